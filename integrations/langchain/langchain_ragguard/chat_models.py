"""GuardedChatModel: a chat model of which only judged text leaves, whole or sentence by sentence."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any, Literal

from langchain_core.caches import BaseCache
from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    BaseCallbackHandler,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, PrivateAttr

from langchain_ragguard.chat_apart import aapart, apart, astream_apart, stream_apart, tracers_of
from langchain_ragguard.chat_evidence import PASSAGES, Asked, ContextExtractor, as_passages, last_exchange
from langchain_ragguard.chat_stream import Outgoing, gate
from langchain_ragguard.chat_structured import text_fields
from langchain_ragguard.middleware_evidence import Reach
from langchain_ragguard.middleware_policy import RagGuardContext, carrying_out
from ragguard.adapting import StreamMode, as_pipeline
from ragguard.pipeline import Pipeline
from ragguard.types import Report, Turn
from ragguard.worker import run_on_worker

_TOOLS = ("tools", "functions")
_TRACED = ("ls_structured_output_format", "structured_output_format")
"""What a run is told for its trace alone: of the guarded run."""


class GuardedChatModel(BaseChatModel):
    """Wraps a chat model; of what it says, only what the guard has released leaves.

    The model runs apart: in a context of its own, so that no stream of whoever calls sees
    it. Tracers of the caller's see it under the guarded model's run. What a message says
    of its judgement is `response_metadata["ragguard"]`; one that was not judged says nothing.

    The question is the last human message. The passages are, in this order: those given by
    `.bind(passages=...)`; those under `ragguard_passages` in the config's "configurable";
    what `context_extractor` returns; what tools have found since the question, as for
    `RagGuardMiddleware`. Where nobody gave or found a passage no answer is shown;
    `require_evidence=False` judges it all the same where nothing was found, and lets it
    pass unjudged where nobody looked, as small talk needs.

    Only text and tool calls leave: no reasoning, log probabilities, other candidates or
    further keyword arguments of the model's. A message of tool calls alone is passed on
    unjudged. Text beside tool calls comes out if it was released and is left out if not.

    Args:
        inner: a chat model, with or without tools bound, or a runnable that gives messages.
        guard: a `ragguard.Guard`, a `Pipeline`, or guards and `Step`s in order; one must judge answers.
        mode: "withhold" shows an answer once the whole was judged; "sentence" shows each
            sentence once it was judged. What was shown is not called back: after a sentence
            that is refused comes the guard's message, and no more.
        context_extractor: from the messages to the turn that is judged; None of it leaves it unjudged.
        retrieval_tools: names of the tools whose results are evidence; None for all.
        reach: whether results since the last human message count, or of the whole thread.
        id_key: metadata key that names a document given for a call.
        require_evidence: whether an answer without any passage is withheld.
        judged_arguments: names of arguments, by name of tool, that are texts of the answer.
            Each is judged as one, and replaced by the guard's message where it is refused.
        policy: what becomes of an answer that fails: "refuse" shows the guard's message instead;
            "redact" what is left of it; "annotate" all of it; "raise" raises `RefusalError`.
            None leaves it to the guards. To ask the model again, or a person, is for
            `RagGuardMiddleware` and `langchain_ragguard.graph`.
        tracers: see the model's own run, raw, beside the tracers of the caller's.

    Raises:
        ConfigurationError: no guard judges answers, or none can carry out the policy.
    """

    inner: Any
    guard: Any = Field(exclude=True)
    mode: StreamMode = "withhold"
    context_extractor: ContextExtractor | None = Field(default=None, exclude=True)
    retrieval_tools: tuple[str, ...] | None = None
    reach: Reach = "turn"
    id_key: str | None = None
    require_evidence: bool = True
    judged_arguments: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    policy: Literal["refuse", "redact", "annotate", "raise"] | None = None
    tracers: tuple[BaseCallbackHandler, ...] = Field(default=(), exclude=True)
    # A cached verdict would be of other passages: what is cached is the inner model's answer.
    cache: BaseCache | bool | None = Field(default=False, exclude=True)

    _pipeline: Pipeline = PrivateAttr()
    _tools: bool = PrivateAttr(default=False)
    _declared: dict[str, frozenset[str]] | None = PrivateAttr(default=None)
    _called: RunnableConfig | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any, /) -> None:
        """Refuse guards that would pass on any answer unjudged."""
        settings = RagGuardContext(self.policy, None, self.require_evidence)
        self._pipeline = carrying_out(as_pipeline(self.guard), settings)

    @property
    def _llm_type(self) -> str:
        return "ragguard-guarded"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"inner": getattr(self.inner, "_llm_type", type(self.inner).__name__), "mode": self.mode}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        own = getattr(self.inner, "_get_ls_params", None)
        return super()._get_ls_params(stop=stop, **kwargs) if own is None else own(stop=stop, **kwargs)

    def _resolve_model_profile(self) -> Any:
        profile = getattr(self.inner, "profile", None)
        # JSON is not judged as prose: structured output goes through a tool, see `with_structured_output`.
        return None if not profile else {k: v for k, v in profile.items() if k != "structured_output"}

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[Any, Any]:
        """Return a guarded copy around the model with these tools bound."""
        traced = {key: kwargs.pop(key) for key in _TRACED if key in kwargs}
        kwargs = kwargs if tool_choice is None else {**kwargs, "tool_choice": tool_choice}
        copy = self.model_copy(update={"inner": self.inner.bind_tools(tools, **kwargs)})
        copy._tools = True
        return copy.bind(**traced)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        judge: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> Runnable[Any, Any]:
        """Return a guarded copy whose answers are values of a schema, given as a tool's arguments.

        Args:
            schema: as for any chat model.
            include_raw: as for any chat model.
            judge: names of the fields that hold texts of the answer; the others are not judged.
                By default every field whose value is text, and what the schema does not name
                is left out; () judges none.
            kwargs: as for any chat model.

        Raises:
            ConfigurationError: text stands within lists or objects, and `judge` is not given.
        """
        function = convert_to_openai_tool(schema)["function"]
        name, known = function["name"], self.judged_arguments.get(function["name"])
        if judge is None and known is None:
            fields = function.get("parameters", {})
            judged, declared = text_fields(fields), {name: frozenset(fields["properties"])}
        else:
            judged, declared = tuple(known or () if judge is None else judge), None
        told = {**self.judged_arguments, **({name: judged} if judged else {})}
        copy = self.model_copy(update={"judged_arguments": told})
        copy._declared = declared
        return BaseChatModel.with_structured_output(copy, schema, include_raw=include_raw, **kwargs)

    # What the caller's config says has to be known where the model is run; `_stream` is not told.

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Return the message as far as it is released."""
        called, given = self._under(config)
        return BaseChatModel.invoke(called, input, given, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """`invoke`, with every guard on a worker."""
        called, given = self._under(config)
        return await BaseChatModel.ainvoke(called, input, given, **kwargs)

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:
        """Yield the message as it is released."""
        called, given = self._under(config)
        yield from BaseChatModel.stream(called, input, given, **kwargs)

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """`stream`, with every guard on a worker."""
        called, given = self._under(config)
        async for chunk in BaseChatModel.astream(called, input, given, **kwargs):
            yield chunk

    def stream_events(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Return or yield the events of the guarded message."""
        called, given = self._under(config)
        return BaseChatModel.stream_events(called, input, given, **kwargs)

    def astream_events(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """`stream_events`, asynchronously."""
        called, given = self._under(config)
        return BaseChatModel.astream_events(called, input, given, **kwargs)

    def _under(self, config: RunnableConfig | None) -> tuple[GuardedChatModel, RunnableConfig]:
        """A copy that knows the config it is called with, and the config, which names the run."""
        given = ensure_config(config)
        given["run_id"] = given.get("run_id") or uuid.uuid4()
        copy = self.model_copy()
        copy._called = {**given}
        return copy, given

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._run(messages, stop, run_manager, kwargs, whole=True))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        chunks = [c async for c in self._arun(messages, stop, run_manager, kwargs, whole=True)]
        return generate_from_stream(iter(chunks))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        return self._run(messages, stop, run_manager, kwargs, whole=False)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for chunk in self._arun(messages, stop, run_manager, kwargs, whole=False):
            yield chunk

    def _run(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        run: Any,
        kwargs: dict[str, Any],
        *,
        whole: bool,
    ) -> Iterator[ChatGenerationChunk]:
        given, kwargs = _split(kwargs, stop)
        asked = self._asked(messages, given)
        outgoing = self._outgoing(asked, kwargs)
        called = apart if whole else stream_apart
        with closing(called(self.inner, messages, self._traced(run), **kwargs)) as pieces:
            for piece in pieces:
                text = outgoing.text(piece)
                if (chunk := outgoing.passed(outgoing.gate.push(text) if text else "")) is not None:
                    yield chunk
                if outgoing.stopped:
                    break
        report = outgoing.gate.finish() if outgoing.has_text else None
        reports = [
            one if isinstance(one, Report) else self._pipeline.check(one) for one in outgoing.arguments(asked)
        ]
        yield outgoing.last(report, reports, policy=self.policy)

    async def _arun(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        run: Any,
        kwargs: dict[str, Any],
        *,
        whole: bool,
    ) -> AsyncIterator[ChatGenerationChunk]:
        given, kwargs = _split(kwargs, stop)
        asked = await run_on_worker(self._asked, messages, given)
        outgoing = self._outgoing(asked, kwargs)
        called = aapart if whole else astream_apart
        async with aclosing(called(self.inner, messages, self._traced(run), **kwargs)) as pieces:
            async for piece in pieces:
                text = outgoing.text(piece)
                if (chunk := outgoing.passed(await outgoing.gate.apush(text) if text else "")) is not None:
                    yield chunk
                if outgoing.stopped:
                    break
        report = await outgoing.gate.afinish() if outgoing.has_text else None
        reports = [
            one if isinstance(one, Report) else await self._pipeline.acheck(one)
            for one in outgoing.arguments(asked)
        ]
        yield outgoing.last(report, reports, policy=self.policy)

    def _asked(self, messages: Sequence[BaseMessage], given: Any) -> Asked:
        """What the answer is judged in."""
        if self.context_extractor is not None:
            asked = self.context_extractor(messages)
        else:
            asked = last_exchange(messages, retrieval_tools=self.retrieval_tools, reach=self.reach)
        if given is None:
            given = (self._called or ensure_config()).get("configurable", {}).get(PASSAGES)
        if given is not None and asked is not None:
            turn = asked.turn if isinstance(asked, Report) else asked
            return turn.replace(passages=as_passages(given, id_key=self.id_key))
        if isinstance(asked, Turn) and asked.passages is None:
            return asked.replace(passages=()) if self.require_evidence else None
        return asked

    def _outgoing(self, asked: Asked, kwargs: Mapping[str, Any]) -> Outgoing:
        bound = {**getattr(self.inner, "kwargs", {}), **kwargs}
        tools = self._tools or any(bound.get(key) for key in _TOOLS)
        return Outgoing(
            gate(self._pipeline, asked, self.mode),
            judged=self.judged_arguments,
            tools=tools,
            declared=self._declared,
        )

    def _traced(self, run: Any) -> RunnableConfig:
        """The config of the model's own run: nothing but tracers, and where in the trace it stands."""
        if run is not None:
            return {"callbacks": tracers_of(list(run.handlers), more=self.tracers, run=run.run_id)}
        called = self._called or {}
        manager = tracers_of(
            called.get("callbacks"), self.callbacks, more=self.tracers, run=called.get("run_id")
        )
        return {"callbacks": manager}


def _split(kwargs: Mapping[str, Any], stop: list[str] | None) -> tuple[Any, dict[str, Any]]:
    """The passages given for this call, and what is for the model."""
    own = {key: value for key, value in kwargs.items() if key != "passages"}
    return kwargs.get("passages"), own if stop is None else {**own, "stop": stop}
