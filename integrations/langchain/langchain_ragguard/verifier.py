"""RagGuardVerifier: an answer in a chain is judged before any of it is passed on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Literal

from langchain_core.callbacks import (
    AsyncCallbackManagerForChainRun,
    CallbackManagerForChainRun,
    adispatch_custom_event,
    dispatch_custom_event,
)
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig, RunnableSerializable
from langchain_core.runnables.config import get_config_list
from langchain_core.runnables.utils import AddableDict
from pydantic import ConfigDict, PrivateAttr
from typing_extensions import TypedDict

from langchain_ragguard.documents import FACTS
from langchain_ragguard.middleware_policy import RagGuardContext, carrying_out
from langchain_ragguard.verifier_input import Judged, Keys, gathered
from langchain_ragguard.verifier_stream import AsyncUpstream, Sentences, Upstream
from ragguard.adapting import StreamMode, as_pipeline
from ragguard.errors import RagGuardError
from ragguard.pipeline import Pipeline
from ragguard.types import Report, Turn
from ragguard.withheld import shown_report
from ragguard.worker import run_on_worker

DECISION = "ragguard.decision"
"""Name of the custom event that says what became of an answer, without any text of it."""


class RagGuardVerifier(RunnableSerializable[dict[str, Any], dict[str, Any]]):
    """Passes on an answer only after the guard has released it; of any other nothing comes out.

    Takes {"question", "context", "answer"} and returns {"answer", "released", "ragguard"}:
    the text that may be shown, whether it is the (possibly revised) answer, and the
    report as JSON, without the text that is withheld. Of a message that only calls tools the
    calls are passed on, unjudged, and nothing beside them: "ragguard" is then None.

    The context is taken as it comes and is not cut; nothing is promised of how it was
    retrieved. So that the retrieval promise stays with the answer, give the
    retriever's own report, {"report", "answer"}, instead of question and context, and
    a guard with the same calibration. A report that released nothing stays as it is.

    A batch is judged in one pass of the scorer, `max_concurrency` answers at a time if
    that is set. Tracing callbacks and `astream_events` see what ran upstream, the model's
    raw answer included; `stream` and `astream` do not.

    Args:
        guard: a `ragguard.Guard`, a `Pipeline`, or guards and `Step`s in order; one must judge answers.
        mode: how a stream comes out. "withhold" holds an answer back to its end, and passes it
            on as one; "sentence" passes each sentence on once it is judged releasable together
            with those before it. A claim passes above the guard's threshold; as long as no
            calibration stands behind that, the report's verdicts say `uncalibrated`. What was
            passed on cannot be called back: after a failure the message follows it.
        policy: what becomes of an answer that fails: "refuse" passes on the guard's message
            instead; "redact" what is left of it; "annotate" all of it; "raise" raises, for
            `with_fallbacks`, or for `with_retry` around the whole chain. None leaves it to the
            guards. To ask a person is for `RagGuardMiddleware` and `langchain_ragguard.graph`.
        question_key: of the question, a string.
        standalone_key: of the question as it was retrieved with, where a follow-up was rewritten; optional.
        context_key: of the context: documents, strings or a mixture, or one string.
        answer_key: of the answer: a string or a message.
        report_key: of a `ragguard.Report` by `GuardedRetriever.report`.
        id_key: metadata key that names a document, as for `GuardedRetriever`.

    Raises:
        ConfigurationError: no guard judges answers, or none can carry out the policy.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    guard: Any
    mode: StreamMode = "withhold"
    policy: Literal["refuse", "redact", "annotate", "raise"] | None = None
    question_key: str = "question"
    standalone_key: str = "standalone"
    context_key: str = "context"
    answer_key: str = "answer"
    report_key: str = "report"
    id_key: str | None = None

    _pipeline: Pipeline = PrivateAttr()
    _keys: Keys = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Refuse guards that would pass on any answer unjudged."""
        self._pipeline = carrying_out(as_pipeline(self.guard), RagGuardContext(policy=self.policy))
        self._keys = Keys(
            question=self.question_key,
            standalone=self.standalone_key,
            context=self.context_key,
            answer=self.answer_key,
            report=self.report_key,
            document=self.id_key,
        )

    @property
    def InputType(self) -> Any:  # noqa: N802 - LangChain's name
        """A mapping with the three keys, so that the guard can be used as a tool."""
        found: Any = {self.question_key: str, self.context_key: list[str] | str, self.answer_key: str}
        return TypedDict("RagGuardVerifierInput", found)  # type: ignore[operator]

    def invoke(
        self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Return the judged answer.

        Raises:
            InvalidValueError: a key is missing or holds something else than it should.
            RefusalError: nothing may be shown, and the policy is "raise".
        """
        return self._call_with_config(self._judge, input, config, **kwargs)

    async def ainvoke(
        self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """`invoke`, with every guard on a worker."""
        return await self._acall_with_config(self._ajudge, input, config, **kwargs)

    def batch(
        self,
        inputs: list[dict[str, Any]],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[dict[str, Any]]:
        """Return the judged answers in order, all judged together."""
        found = []
        for part, configs in _parts(inputs, config):
            found += self._batch_with_config(
                self._judge_many, part, configs, return_exceptions=return_exceptions, **kwargs
            )
        return found

    async def abatch(
        self,
        inputs: list[dict[str, Any]],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[dict[str, Any]]:
        """`batch`, with every guard on a worker."""
        found = []
        for part, configs in _parts(inputs, config):
            found += await self._abatch_with_config(
                self._ajudge_many, part, configs, return_exceptions=return_exceptions, **kwargs
            )
        return found

    def stream(
        self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield the judged answer, whole or sentence by sentence."""
        return self.transform(iter([input]), config, **kwargs)

    async def astream(
        self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[dict[str, Any]]:
        """`stream`, with every guard on a worker."""

        async def one() -> AsyncIterator[dict[str, Any]]:
            yield input

        async for found in self.atransform(one(), config, **kwargs):
            yield found

    def transform(
        self, input: Iterator[dict[str, Any]], config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[dict[str, Any]]:
        """Take the chunks of an answer in; yield what of it is judged releasable, as `mode` says."""
        upstream = Upstream(input)
        judged = self._transform_stream_with_config(upstream, self._transformed(upstream), config, **kwargs)
        try:
            # Not `yield from`: the upstream has to end before LangChain is told to close.
            for found in judged:  # noqa: UP028
                yield found
        finally:
            upstream.stop()
            judged.close()  # type: ignore[attr-defined]

    async def atransform(
        self, input: AsyncIterator[dict[str, Any]], config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[dict[str, Any]]:
        """`transform`, with every guard on a worker."""
        upstream = AsyncUpstream(input)
        judged = self._atransform_stream_with_config(upstream, self._atransformed(upstream), config, **kwargs)
        try:
            async for found in judged:
                yield found
        finally:
            await upstream.stop()
            await judged.aclose()  # type: ignore[attr-defined]

    def _transformed(self, upstream: Upstream) -> Any:
        def transformed(
            chunks: Iterator[dict[str, Any]], run_manager: CallbackManagerForChainRun, config: RunnableConfig
        ) -> Iterator[dict[str, Any]]:
            if self.mode == "withhold":
                yield AddableDict(self._judge(gathered(chunks), run_manager, config))
                return
            sentences = Sentences(self._pipeline, self._keys)
            for chunk in chunks:
                if piece := sentences.take(chunk):
                    yield AddableDict(answer=piece)
                if sentences.stopped:
                    upstream.stop()
                    break
            found, rest = sentences.finish()
            yield AddableDict(self._told(found, config, rest))

        return transformed

    def _atransformed(self, upstream: AsyncUpstream) -> Any:
        async def transformed(
            chunks: AsyncIterator[dict[str, Any]],
            run_manager: AsyncCallbackManagerForChainRun,
            config: RunnableConfig,
        ) -> AsyncIterator[dict[str, Any]]:
            if self.mode == "withhold":
                given = gathered([chunk async for chunk in chunks])
                yield AddableDict(await self._ajudge(given, run_manager, config))
                return
            sentences = Sentences(self._pipeline, self._keys)
            async for chunk in chunks:
                if piece := await sentences.atake(chunk):
                    yield AddableDict(answer=piece)
                if sentences.stopped:
                    await upstream.stop()
                    break
            found, rest = await sentences.afinish()
            yield AddableDict(await self._atold(found, config, rest))

        return transformed

    def _judge(
        self, given: dict[str, Any], run_manager: CallbackManagerForChainRun, config: RunnableConfig
    ) -> dict[str, Any]:
        asked = self._keys.read(given)
        return self._told(self._pipeline.check(asked) if isinstance(asked, Turn) else asked, config)

    async def _ajudge(
        self, given: dict[str, Any], run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig
    ) -> dict[str, Any]:
        asked = await run_on_worker(self._keys.read, given)
        return await self._atold(
            await self._pipeline.acheck(asked) if isinstance(asked, Turn) else asked, config
        )

    def _judge_many(
        self,
        given: list[dict[str, Any]],
        run_manager: list[CallbackManagerForChainRun],
        config: list[RunnableConfig],
    ) -> list[Exception | dict[str, Any]]:
        asked = self._keys.read_many(given)
        reports = iter(self._pipeline.check_many([one for one in asked if isinstance(one, Turn)]))
        found = [next(reports) if isinstance(one, Turn) else one for one in asked]
        return [self._told_or_error(one, c) for one, c in zip(found, config, strict=True)]

    async def _ajudge_many(
        self,
        given: list[dict[str, Any]],
        run_manager: list[AsyncCallbackManagerForChainRun],
        config: list[RunnableConfig],
    ) -> list[Exception | dict[str, Any]]:
        asked = await run_on_worker(self._keys.read_many, given)
        reports = iter(await self._pipeline.acheck_many([one for one in asked if isinstance(one, Turn)]))
        found = [next(reports) if isinstance(one, Turn) else one for one in asked]
        return [await self._atold_or_error(one, c) for one, c in zip(found, config, strict=True)]

    def _told(self, found: Judged, config: RunnableConfig, rest: str | None = None) -> dict[str, Any]:
        if isinstance(found, Report):
            dispatch_custom_event(DECISION, _decided(found), config=config)
        return self._output(found, rest)

    async def _atold(self, found: Judged, config: RunnableConfig, rest: str | None = None) -> dict[str, Any]:
        if isinstance(found, Report):
            await adispatch_custom_event(DECISION, _decided(found), config=config)
        return await run_on_worker(self._output, found, rest)

    def _told_or_error(self, found: Judged, config: RunnableConfig) -> Exception | dict[str, Any]:
        try:
            return self._told(found, config)
        except RagGuardError as error:
            return error

    async def _atold_or_error(self, found: Judged, config: RunnableConfig) -> Exception | dict[str, Any]:
        try:
            return await self._atold(found, config)
        except RagGuardError as error:
            return error

    def _output(self, found: Judged, rest: str | None) -> dict[str, Any]:
        """What is passed on; of an answer that was passed on in part, only the `rest`."""
        if isinstance(found, RagGuardError):
            raise found
        if isinstance(found, BaseMessage):
            return {"answer": found, "released": True, FACTS: None}
        if self.policy == "raise":
            found.raise_for_refusal()
        text = (found.text or "") if rest is None else rest
        return {"answer": text, "released": found.released, FACTS: shown_report(found)}


def _decided(report: Report) -> dict[str, Any]:
    return {"action": report.action.value, "reason": report.reason.value, "released": report.released}


def _parts(
    inputs: Sequence[dict[str, Any]], config: RunnableConfig | list[RunnableConfig] | None
) -> Iterator[tuple[list[dict[str, Any]], list[RunnableConfig]]]:
    """The inputs and their configs, as many at a time as `max_concurrency` allows."""
    configs = get_config_list(config, len(inputs))
    step = (configs[0].get("max_concurrency") if configs else None) or max(1, len(inputs))
    for first in range(0, len(inputs), step):
        yield list(inputs[first : first + step]), configs[first : first + step]
