"""RagGuardRunnable: an answer in a chain is judged before any of it is passed on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig, RunnableSerializable
from langchain_core.runnables.config import get_config_list
from langchain_core.runnables.utils import AddableDict
from pydantic import ConfigDict, PrivateAttr

from langchain_ragguard.documents import as_passage, passage_id
from ragguard.errors import ConfigurationError, DuplicateIdError, InvalidValueError
from ragguard.guard import Guard
from ragguard.pipeline import Pipeline, Step
from ragguard.protocols import TurnGuard
from ragguard.types import Generation, Mode, Passage, Report, Stage, Turn
from ragguard.withheld import shown_report
from ragguard.worker import run_on_worker

_AT_ONCE = 4
"""Threads of a batch unless its config says otherwise: a scorer already uses every core."""


class RagGuardRunnable(RunnableSerializable[dict[str, Any], dict[str, Any]]):
    """Passes on an answer only after the guard has released it; of any other nothing comes out.

    Takes {"question", "context", "answer"} and returns {"answer", "released",
    "report"}: the text that may be shown, whether it is the (possibly revised)
    answer, and the report as JSON, without the text that is withheld. In a stream
    the answer's chunks are held back, judged together, and passed on as one.

    The context is taken as it comes and is not cut; nothing is promised of how it was
    retrieved. So that the retrieval promise stays with the answer, give the
    retriever's own report, {"report", "answer"}, instead of question and context, and
    a guard with the same calibration. A report that released nothing stays as it is.

    Tracing callbacks and `astream_events` see what ran upstream, the model's raw
    answer included; `stream` and `astream` do not.

    Args:
        guard: a `ragguard.Guard`, a `Pipeline`, or guards and `Step`s in order; one must judge answers.
        question_key: of the question, a string.
        context_key: of the context: documents, strings or a mixture, or one string.
        answer_key: of the answer: a string or a message.
        report_key: of a `ragguard.Report` by `GuardedRetriever.report`.
        id_key: metadata key that names a document, as for `GuardedRetriever`.

    Raises:
        ConfigurationError: no guard judges answers.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    guard: Any
    question_key: str = "question"
    context_key: str = "context"
    answer_key: str = "answer"
    report_key: str = "report"
    id_key: str | None = None

    _pipeline: Pipeline = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Refuse guards that would pass on any answer unjudged."""
        self._pipeline = _pipeline(self.guard)
        judges = [
            s for s in self._pipeline.steps if Stage.ANSWER in s.guard.stages and s.mode is not Mode.OFF
        ]
        if not judges:
            raise ConfigurationError("no guard judges answers", hint="e.g. guard=ConsistencyGuard()")

    def invoke(
        self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Return the judged answer.

        Raises:
            InvalidValueError: a key is missing or holds something else than it should.
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
        """Return the judged answers in order, four at a time unless `max_concurrency` says otherwise."""
        configs = [
            RunnableConfig(**{**c, "max_concurrency": c.get("max_concurrency") or _AT_ONCE})
            for c in get_config_list(config, len(inputs))
        ]
        return super().batch(inputs, configs, return_exceptions=return_exceptions, **kwargs)

    def stream(
        self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield the judged answer, once."""
        return self.transform(iter([input]), config, **kwargs)

    async def astream(
        self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield the judged answer, once."""

        async def one() -> AsyncIterator[dict[str, Any]]:
            yield input

        async for found in self.atransform(one(), config, **kwargs):
            yield found

    def transform(
        self, input: Iterator[dict[str, Any]], config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[dict[str, Any]]:
        """Hold back the chunks until there are no more, then yield the judged answer, once."""
        yield from self._transform_stream_with_config(input, self._transformed, config, **kwargs)

    async def atransform(
        self, input: AsyncIterator[dict[str, Any]], config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[dict[str, Any]]:
        """`transform`, with every guard on a worker."""
        async for found in self._atransform_stream_with_config(input, self._atransformed, config, **kwargs):
            yield found

    def _transformed(self, chunks: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        yield AddableDict(self._judge(_gathered(chunks)))

    async def _atransformed(self, chunks: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
        yield AddableDict(await self._ajudge(_gathered([chunk async for chunk in chunks])))

    def _judge(self, given: dict[str, Any]) -> dict[str, Any]:
        asked = self._asked(given)
        return _passed_on(asked if isinstance(asked, Report) else self._pipeline.check(asked))

    async def _ajudge(self, given: dict[str, Any]) -> dict[str, Any]:
        asked = await run_on_worker(self._asked, given)
        return _passed_on(asked if isinstance(asked, Report) else await self._pipeline.acheck(asked))

    def _asked(self, given: Mapping[str, Any]) -> Report | Turn:
        """The turn to judge, or the report of a retrieval after which no answer may be shown."""
        if not isinstance(given, Mapping):
            raise InvalidValueError(f"the guard takes a mapping, got {type(given).__name__}")
        answer = _text(self._value(given, self.answer_key), self.answer_key)
        earlier = given.get(self.report_key)
        if isinstance(earlier, Report):
            return earlier.turn.replace(answer=answer) if earlier.released else earlier
        question = _text(self._value(given, self.question_key), self.question_key)
        passages = self._passages(self._value(given, self.context_key))
        return Turn(question=question, passages=passages, answer=answer)

    def _value(self, given: Mapping[str, Any], key: str) -> Any:
        if given.get(key) is None:
            raise InvalidValueError(
                f"the input has no {key!r}", hint="the keys can be set, e.g. answer_key=..."
            )
        return given[key]

    def _passages(self, context: Any) -> tuple[Passage, ...]:
        parts = [context] if isinstance(context, str | Document) else context
        if not isinstance(parts, Sequence) or any(not isinstance(p, str | Document) for p in parts):
            raise InvalidValueError(f"{self.context_key!r} holds neither text nor documents")
        passages: dict[str, Passage] = {}
        for part in parts:
            document = Document(page_content=part) if isinstance(part, str) else part
            name = passage_id(document, id_key=None if isinstance(part, str) else self.id_key)
            passage = as_passage(document, name=name)
            if passages.setdefault(name, passage).text != passage.text:
                raise DuplicateIdError(f"two documents of different text share the id {name!r}")
        return tuple(passages.values())


def _pipeline(guard: Any) -> Pipeline:
    if isinstance(guard, Guard):
        return guard.pipeline
    if isinstance(guard, Pipeline):
        return guard
    guards = guard if isinstance(guard, list | tuple) else [guard]
    if any(not isinstance(g, Step | TurnGuard) for g in guards):
        raise ConfigurationError("guard is neither a Guard, a Pipeline nor guards in a list")
    return Pipeline(guards)


def _gathered(chunks: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The chunks as one input; nothing else than mappings can be told apart by key."""
    whole = AddableDict()
    for chunk in chunks:
        if not isinstance(chunk, Mapping):
            raise InvalidValueError(f"the guard takes a stream of mappings, got {type(chunk).__name__}")
        whole = whole + AddableDict(chunk)
    return whole


def _text(value: Any, key: str) -> str:
    if isinstance(value, BaseMessage | Generation):
        return str(value.text)
    if not isinstance(value, str):
        raise InvalidValueError(f"{key!r} holds a {type(value).__name__}, not text")
    return value


def _passed_on(report: Report) -> dict[str, Any]:
    return {"answer": report.text or "", "released": report.released, "report": shown_report(report)}
