"""Streaming callbacks that pass on only what the guards have released."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from haystack.dataclasses import ComponentInfo, Document, StreamingCallbackT, StreamingChunk

from haystack_integrations.components.guards.ragguard.guards import answer_pipeline
from haystack_integrations.components.guards.ragguard.turns import asked_turn
from ragguard.adapting import StreamMode, require_mode
from ragguard.pipeline import Pipeline
from ragguard.stream import StreamGate, remainder
from ragguard.types import Report, Turn
from ragguard.withheld import small_report
from ragguard.worker import submit

P = ParamSpec("P")
T = TypeVar("T")

_TOOL_TURNS = frozenset({"tool_calls", "tool_call_results"})


class GuardedStream:
    """The answers to one question on their way through a generator's streaming callback.

    In the mode "withhold" nothing is passed on until the answer is complete and judged as a
    whole; in "sentence", each sentence as soon as it is judged, see `StreamGate`. The end is
    the chunk with a `finish_reason`, or `finish` where a generator sends none. The last chunk
    carries a small report in meta["ragguard"], and the rest of the answer or, after a
    failure, the message that may be shown: what was passed on cannot be called back.

    Passed on are chunks of our own making: of the generator's only the text, never its meta,
    its reasoning, its tool calls, or what it says beside them.

    Args:
        pipeline: guards that judge answers.
        turn: question and passages, or a retrieval's report after which no answer may be shown.
        callback: told of what is released.
        mode: "withhold" or "sentence".

    Attributes:
        report: of the last whole answer, or None.
    """

    def __init__(
        self, pipeline: Pipeline, turn: Turn | Report, *, callback: StreamingCallbackT, mode: StreamMode
    ) -> None:
        require_mode(mode)
        self._pipeline, self._turn, self._callback, self._mode = pipeline, turn, callback, mode
        self._info: ComponentInfo | None = None
        self.report: Report | None = None
        self._begin()

    def take(self, chunk: StreamingChunk) -> None:
        """Take the generator's next chunk, and pass on what may be shown now."""
        if (text := self._text(chunk)) and (shown := _elsewhere(self._gate.push, text)):
            self._callback(self._made(shown))
        if chunk.finish_reason is not None and self._ends(chunk.finish_reason):
            self._callback(self._last(_elsewhere(self._gate.finish), chunk.finish_reason))

    async def atake(self, chunk: StreamingChunk) -> None:
        """`take`, with every guard on a worker."""
        if (text := self._text(chunk)) and (shown := await self._gate.apush(text)):
            await _awaited(self._callback(self._made(shown)))
        if chunk.finish_reason is not None and self._ends(chunk.finish_reason):
            await _awaited(self._callback(self._last(await self._gate.afinish(), chunk.finish_reason)))

    def finish(self) -> Report | None:
        """Judge the answer if no chunk said that it was over; return the report, None where there was no answer."""
        if self._ends("stop"):
            self._callback(self._last(_elsewhere(self._gate.finish), "stop"))
        return self.report

    async def afinish(self) -> Report | None:
        """`finish`, with every guard on a worker."""
        if self._ends("stop"):
            await _awaited(self._callback(self._last(await self._gate.afinish(), "stop")))
        return self.report

    def _begin(self) -> None:
        self._over = self._calls = False
        self._gate: _Gate
        if isinstance(self._turn, Report):
            self._gate = _Decided(self._turn)
        elif self._mode == "sentence":
            self._gate = StreamGate(self._pipeline, self._turn)
        else:
            self._gate = _Whole(self._pipeline, self._turn)
        self._told = ""

    def _text(self, chunk: StreamingChunk) -> str:
        """The answer's text in the chunk; none of a tool's."""
        self._info = chunk.component_info or self._info
        if self._over and (chunk.content or chunk.tool_calls):
            self._begin()  # an agent asks its model again, with the same callback
        self._calls = self._calls or bool(chunk.tool_calls)
        if chunk.tool_call_result is not None:
            return ""
        return str(chunk.content or "")

    def _ends(self, finish_reason: str) -> bool:
        """True where there is an answer to judge; a turn that calls tools is none, and its text is dropped."""
        if self._calls or finish_reason in _TOOL_TURNS:
            self._begin()
            return False
        return not self._over

    def _last(self, report: Report, finish_reason: str) -> StreamingChunk:
        failure = getattr(self._gate, "failure", None)
        if failure is not None and not failure.released and report.released:
            report = failure  # what refused a part has refused the answer
        self._over, self.report = True, report
        text = remainder(self._told, report.text or report.reason.sentence, follows=report.released)
        return self._made(text, meta={"ragguard": small_report(report)}, finish_reason=finish_reason)

    def _made(self, text: str, **fields: Any) -> StreamingChunk:
        first = not self._told
        self._told += text
        return StreamingChunk(content=text, component_info=self._info, index=0, start=first, **fields)


def guarded_streaming_callback(
    callback: StreamingCallbackT,
    *,
    query: str,
    documents: list[Document] | None = None,
    retrieval: Mapping[str, Any] | None = None,
    guard: Any = None,
    calibration: Any = None,
    mode: StreamMode = "withhold",
    id_key: str | None = None,
) -> StreamingCallbackT:
    """Return a generator's streaming callback that passes on to `callback` only what was released.

    For one question whose documents are known before the generator runs; inside a pipeline
    that retrieves, use `AnswerStreamGate`. A coroutine function gives a coroutine function,
    for `run_async`; any other serves `run`. See `GuardedStream`.

    Args:
        callback: told of what is released.
        query: a standalone question.
        documents: what the generator reads; None takes those of `retrieval`.
        retrieval: the gate's report.
        guard: see `FactualConsistencyValidator`; a live one is made once for many answers.
        calibration: see `FactualConsistencyValidator`.
        mode: "withhold" or "sentence".
        id_key: meta key that names a document.

    Raises:
        ConfigurationError: no guard judges answers.
        InvalidValueError: there is nothing to judge by, or no such mode.
    """
    pipeline = answer_pipeline(guard, calibration=calibration)
    turn = asked_turn(query, documents, retrieval=retrieval, id_key=id_key)
    guarded = GuardedStream(pipeline, turn, callback=callback, mode=mode)
    if inspect.iscoroutinefunction(callback):
        return as_async_callback(guarded)
    return as_callback(guarded)


def as_callback(guarded: GuardedStream) -> StreamingCallbackT:
    """Return it as a plain function: pipelines copy their inputs deeply, and of a function they make no copy."""

    def passes_on(chunk: StreamingChunk) -> None:
        guarded.take(chunk)

    return cast(StreamingCallbackT, passes_on)


def as_async_callback(guarded: GuardedStream) -> StreamingCallbackT:
    """`as_callback`, for an event loop."""

    async def passes_on(chunk: StreamingChunk) -> None:
        await guarded.atake(chunk)

    return cast(StreamingCallbackT, passes_on)


class _Gate(Protocol):
    released: str

    def push(self, text: str) -> str: ...

    async def apush(self, text: str) -> str: ...

    def finish(self) -> Report: ...

    async def afinish(self) -> Report: ...


class _Whole:
    """A `StreamGate` that lets nothing out before the end."""

    def __init__(self, pipeline: Pipeline, turn: Turn) -> None:
        self._pipeline, self._turn = pipeline, turn
        self._answer = self.released = ""

    def push(self, text: str) -> str:
        self._answer += text
        return ""

    async def apush(self, text: str) -> str:
        return self.push(text)

    def finish(self) -> Report:
        return self._pipeline.check(self._turn.replace(answer=self._answer))

    async def afinish(self) -> Report:
        return await self._pipeline.acheck(self._turn.replace(answer=self._answer))


class _Decided:
    """A `StreamGate` after a retrieval that ended the turn: nothing comes out of any answer."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.released = ""

    def push(self, text: str) -> str:
        return ""

    async def apush(self, text: str) -> str:
        return ""

    def finish(self) -> Report:
        return self._report

    async def afinish(self) -> Report:
        return self._report


async def _awaited(told: Any) -> None:
    if inspect.isawaitable(told):
        await told


def _elsewhere(judge: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Judge on a worker if this is an event loop's thread: a notebook's, or a plain callback's in `run_async`."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return judge(*args, **kwargs)
    return submit(judge, *args, **kwargs).result()
