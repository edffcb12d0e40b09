"""Streamed answers: pieces of text from the engine, and what may be shown of them when."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, closing
from typing import Any

from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse

from ragguard.errors import InvalidValueError
from ragguard.stream import StreamGate, remainder
from ragguard.types import Report

_END = object()


def is_stream(response: Any) -> bool:
    """Whether its answer comes in pieces."""
    return isinstance(response, StreamingResponse | AsyncStreamingResponse)


def pieces(response: StreamingResponse) -> Iterator[str]:
    """Yield the pieces of an answer; closing it closes the engine's own stream."""
    if response.response_txt is not None:
        yield response.response_txt
        return
    try:
        for piece in response.response_gen:
            yield _text(piece)
    finally:
        close = getattr(response.response_gen, "close", None)
        if callable(close):
            close()


async def apieces(response: StreamingResponse | AsyncStreamingResponse) -> AsyncGenerator[str, None]:
    """`pieces`, for either kind; one that is not asynchronous is read on a thread."""
    if response.response_txt is not None:
        yield response.response_txt
    elif isinstance(response, StreamingResponse):
        source = _OneAtATime(pieces(response))
        try:
            while (piece := await asyncio.to_thread(source.take)) is not _END:
                yield _text(piece)
        finally:
            # Not awaited: a piece may still be on its way, and who gave the answer up need not wait for it.
            asyncio.get_running_loop().run_in_executor(None, source.close)
    else:
        source = response.response_gen
        try:
            async for piece in source:
                yield _text(piece)
        finally:
            close = getattr(source, "aclose", None)
            if callable(close):
                await close()


def closed(response: Any) -> None:
    """Give up an answer that nobody will read."""
    close = getattr(response.response_gen, "close", None)
    if callable(close):
        close()


async def aclosed(response: Any) -> None:
    """`closed`, for either kind."""
    close = getattr(response.response_gen, "aclose", None)
    if callable(close):
        await close()
    else:
        await asyncio.to_thread(closed, response)


def whole(response: StreamingResponse) -> str:
    """Return the whole answer."""
    with closing(pieces(response)) as found:  # type: ignore[type-var]
        return "".join(found)


async def awhole(response: StreamingResponse | AsyncStreamingResponse) -> str:
    """`whole`, without blocking the event loop."""
    async with aclosing(apieces(response)) as found:
        return "".join([piece async for piece in found])


def gated(gate: StreamGate, source: Iterator[str]) -> Iterator[str]:
    """Yield what the gate releases until the answer ends or nothing more can be shown."""
    with closing(source) as found:  # type: ignore[type-var]
        for piece in found:
            released = gate.push(piece)
            if released:
                yield released
            if _over(gate):
                return


async def agated(gate: StreamGate, source: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    """`gated`, judging off the event loop."""
    async with aclosing(source) as found:
        async for piece in found:
            released = await gate.apush(piece)
            if released:
                yield released
            if _over(gate):
                return


def ending(gate: StreamGate, shown: int, report: Report) -> tuple[Report, str]:
    """Return the report that counts, and what is still to be shown.

    That is the rest of the answer, or of its revised form, or, with a line before it where
    something was already shown, the message instead of an answer.

    Args:
        gate: finished.
        shown: characters released before it was.
        report: what `finish` returned.
    """
    stopped = gate.failure
    if stopped is not None and not stopped.released and report.released:
        # A part failed and the generator was stopped there: what was read of the answer is not the answer.
        report = stopped.model_copy(update={"verdicts": (*stopped.verdicts, report.verdicts[-1])})
    return report, remainder(gate.released[:shown], report.text or "", follows=report.released)


def _over(gate: StreamGate) -> bool:
    """Whether nothing more of the answer can come: a part that is only revised may still be followed by more."""
    return gate.failure is not None and not gate.failure.released


def _text(piece: Any) -> str:
    if not isinstance(piece, str):
        raise InvalidValueError(
            f"the engine streams a {type(piece).__name__}, not text", hint="stream text, or answer at once"
        )
    return piece


class _OneAtATime:
    """A generator that several threads may ask and close; one that is running cannot be closed."""

    def __init__(self, source: Any) -> None:
        self._source, self._lock = source, threading.Lock()

    def take(self) -> Any:
        with self._lock:
            return next(self._source, _END)

    def close(self) -> None:
        with self._lock:
            self._source.close()
