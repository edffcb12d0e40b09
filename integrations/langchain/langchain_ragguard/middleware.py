"""RagGuardMiddleware: an agent's evidence is gated and its answer judged before anybody sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, NotRequired

from langchain.agents.middleware import (
    AgentMiddleware,
    AgentState,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
    ToolCallRequest,
)
from langchain.agents.middleware.types import OmitFromInput, PrivateStateAttr
from langchain.agents.structured_output import StructuredOutputError
from langchain_core.documents import Document
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langgraph.runtime import Runtime
from langgraph.types import Command

from langchain_ragguard import muting
from langchain_ragguard.middleware_evidence import Reach
from langchain_ragguard.middleware_flow import REVIEW, Answering, Flow, Generate, Judge, Shown, Unreadable
from langchain_ragguard.middleware_gate import RetrievalGate
from langchain_ragguard.middleware_messages import Channel, require_channels
from langchain_ragguard.middleware_policy import RagGuardContext, carrying_out, settings_in
from langchain_ragguard.middleware_review import decided, reviewed, until_decided
from ragguard.adapting import Policy, StreamMode, as_pipeline, require_mode
from ragguard.pipeline import Pipeline
from ragguard.worker import run_on_worker

__all__ = ["RagGuardContext", "RagGuardMiddleware", "RagGuardState"]


def _latest(before: Any, after: Any) -> Any:
    """Two of these in one agent both write; of one step the outermost has the last word."""
    return after


class RagGuardState(AgentState[Any]):
    """What the middleware adds to an agent's state.

    Attributes:
        ragguard: the report of the last answer as JSON, without the text that is withheld.
        ragguard_attempts: how often the answer to which message was asked for anew.
        ragguard_review: with the policy "interrupt", the draft that waits for a person.
    """

    # LangChain's state is Any to the type checker, which then sees no TypedDict here.
    ragguard: NotRequired[Annotated[dict[str, Any] | None, OmitFromInput, _latest]]  # type: ignore[valid-type]
    ragguard_attempts: NotRequired[Annotated[dict[str, Any] | None, PrivateStateAttr, _latest]]  # type: ignore[valid-type]
    ragguard_review: NotRequired[Annotated[dict[str, Any] | None, PrivateStateAttr, _latest]]  # type: ignore[valid-type]


class RagGuardMiddleware(AgentMiddleware[RagGuardState, Any, Any]):
    """Shows of an agent's answer only what the evidence of its tools supports.

    Give it first in `create_agent(middleware=[...])`, so that it judges what the others
    have made of the answer. The model's words come out in no stream; what is released
    comes as one message. Judged is the message of the model that calls no tools; of one
    that does, the calls pass and the words beside them are left out.

    The report is in the state under "ragguard", and in small beside the message, in
    `response_metadata["ragguard"]`. Tracers and callbacks of your own see the model's
    drafts. Exceptions of the model and of tools, and interrupts, pass through.

    Args:
        guard: a `ragguard.Guard`, a `Pipeline`, or guards and `Step`s in order; one must
            judge answers. For the retrieval promise to stay with the answer, the guard of
            the `GuardedRetriever` behind the tool: `retriever.guard`.
        retrieval_tools: names of the tools whose results are evidence; None for all.
        policy: what becomes of an answer that fails: "refuse" shows the guard's message
            instead; "redact" what is left of it; "annotate" all of it, with citations as
            data; "regenerate" asks the model again, told what was wrong; "interrupt" waits
            for a person (needs a checkpointer; the draft is then in the interrupt and in the
            thread's state); "raise" raises `RefusalError`. None leaves it to the guards.
        max_retries: with "regenerate", how often; None leaves it to the guards.
        require_evidence: whether an answer for which no tool was asked is withheld. False
            lets such answers pass unjudged, as small talk needs.
        reach: whether results since the last human message count, or of the whole thread.
        score_key: metadata key of documents' scores, for tools whose results are to be cut
            here; by default the one that `ScoredVectorStoreRetriever` writes.
        higher_is_better: of the scores at `score_key`; False for distances.
        format_documents: what the model reads of documents cut here; by default their texts.
        structured_fields: of a structured response (`response_format`), the fields whose text is
            judged, e.g. ["answer"]; () passes such responses on unjudged. Without it an agent
            with a response format is refused.
        unjudged: channels beside the text that are passed on although nothing judges them:
            "reasoning", "logprobs", "extras". None of an answer that is withheld.
        mode: "withhold" shows an answer once the whole was judged; "sentence" each sentence
            once it was judged, by the threshold for whole answers. What was shown is not
            called back; the state then holds the small report.
        name: tells two of these apart.

    Raises:
        ConfigurationError: no guard judges answers, or none can carry out the policy,
            or policy and mode do not go together.
        InvalidValueError: policy, max_retries, unjudged or mode cannot be used.
    """

    state_schema = RagGuardState

    def __init__(
        self,
        guard: Any,
        *,
        retrieval_tools: Sequence[str] | None = None,
        policy: Policy | None = None,
        max_retries: int | None = None,
        require_evidence: bool = True,
        reach: Reach = "turn",
        score_key: str | None = None,
        higher_is_better: bool = True,
        format_documents: Callable[[Sequence[Document]], str] | None = None,
        structured_fields: Sequence[str] | None = None,
        unjudged: Collection[Channel] = (),
        mode: StreamMode = "withhold",
        name: str = "RagGuardMiddleware",
    ) -> None:
        super().__init__()
        require_mode(mode, policy)
        self.tools: Sequence[BaseTool] = ()
        self._name = name
        self._pipeline = as_pipeline(guard)
        self._settings = RagGuardContext(policy, max_retries, require_evidence)
        self._pipelines: dict[RagGuardContext, Pipeline] = {}
        self._judging(self._settings)
        tools = None if retrieval_tools is None else tuple(retrieval_tools)
        self._gate = RetrievalGate(
            self._pipeline,
            tools,
            score_key=score_key,
            higher_is_better=higher_is_better,
            format_documents=format_documents,
        )
        self._answering = Answering(
            tools=tools,
            reach=reach,
            structured_fields=None if structured_fields is None else tuple(structured_fields),
            unjudged=require_channels(unjudged),
            aloud=self._pipeline if mode == "sentence" else None,
        )

    @property
    def name(self) -> str:
        """The name under which the agent lists it; two in one agent need different ones."""
        return self._name

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
    ) -> ToolMessage | Command[Any]:
        """Return the tool's result, its documents cut where the guard cuts and they are not cut yet.

        Errors, `Command`s, and what carries no documents pass through.

        Raises:
            InvalidScoreError: documents to be cut have no score at `score_key`.
        """
        result = handler(request)
        turn = self._gate.turn(request, result, self._for(request.runtime))
        if turn is None or not isinstance(result, ToolMessage):
            return result
        return self._gate.result(result, self._pipeline.check(turn))

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """`wrap_tool_call`, with every guard on a worker."""
        result = await handler(request)
        turn = await run_on_worker(self._gate.turn, request, result, self._for(request.runtime))
        if turn is None or not isinstance(result, ToolMessage):
            return result
        return await run_on_worker(self._gate.result, result, await self._pipeline.acheck(turn))

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """Return what may be shown of the model's answer.

        Raises:
            ConfigurationError: there is a response format, and no `structured_fields`.
            GenerationError: the model's structured response could not be read.
            RefusalError: the answer is withheld and the policy is "raise".
        """
        settings = self._for(request.runtime)
        pipeline, flow = self._judging(settings), self._answering.flow(request, settings)
        step = _advance(flow, None)
        while not isinstance(step, _Done):
            reply = pipeline.check(step.turn) if isinstance(step, Judge) else _call(handler, step)
            step = _advance(flow, reply)
        return step.shown

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """`wrap_model_call`, with every guard on a worker."""
        settings = self._for(request.runtime)
        pipeline, flow = self._judging(settings), self._answering.flow(request, settings)
        step = await run_on_worker(_advance, flow, None)
        while not isinstance(step, _Done):
            reply = await (pipeline.acheck(step.turn) if isinstance(step, Judge) else _acall(handler, step))
            step = await run_on_worker(_advance, flow, reply)
        return step.shown

    def after_agent(self, state: Any, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """With the policy "interrupt", wait for a person about an answer that was withheld.

        It is a node of its own: nothing is generated or judged anew when the run goes on. A
        reply that is no decision is answered by another interrupt, which says so.
        """
        pending = state.get(REVIEW)
        if not pending:
            return None
        request = pending["request"]
        decision = until_decided(request, lambda reply: decided(reply, request["draft"]))
        return reviewed(state["messages"], pending["message"], decision)

    async def aafter_agent(self, state: Any, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """`after_agent`; no guard is asked."""
        return self.after_agent(state, runtime)

    def _for(self, runtime: Any) -> RagGuardContext:
        return settings_in(getattr(runtime, "context", None)).over(self._settings)

    def _judging(self, settings: RagGuardContext) -> Pipeline:
        """The guards under these settings; made once, so that they are warm the next time."""
        key = replace(settings, group=None)
        if key not in self._pipelines:
            self._pipelines[key] = carrying_out(self._pipeline, key)
        return self._pipelines[key]


@dataclass(frozen=True)
class _Done:
    shown: Shown


def _advance(flow: Flow, reply: Any) -> Generate | Judge | _Done:
    try:
        return flow.send(reply)
    except StopIteration as done:
        return _Done(done.value)


def _call(handler: Callable[[ModelRequest[Any]], Any], wanted: Generate) -> Any:
    try:
        return muting.call_muted(handler, wanted.request)
    except StructuredOutputError as error:
        # Its message and its attributes hold what the model said.
        return Unreadable(type(error).__name__)


async def _acall(handler: Callable[[ModelRequest[Any]], Awaitable[Any]], wanted: Generate) -> Any:
    try:
        return await muting.acall_muted(handler, wanted.request)
    except StructuredOutputError as error:
        return Unreadable(type(error).__name__)
