"""A chain's stream through a `StreamGate`: sentences out as they are judged, the rest at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.runnables.utils import AddableDict

from langchain_ragguard.verifier_input import Judged, Keys, mapping, text_of
from ragguard.pipeline import Pipeline
from ragguard.stream import StreamGate, remainder
from ragguard.types import Report, Turn


class Upstream:
    """A stream that can be ended from here.

    LangChain reads what feeds a step to its end, for the trace, even when nobody reads the
    step any more: a model would be paid for saying what nobody sees.

    Args:
        chunks: the stream.
    """

    def __init__(self, chunks: Iterator[Any]) -> None:
        self._chunks = chunks
        self._open = True

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if not self._open:
            raise StopIteration
        return next(self._chunks)

    def stop(self) -> None:
        """End it, and close what feeds it."""
        self._open = False
        close = getattr(self._chunks, "close", None)
        if close is not None:
            close()


class AsyncUpstream:
    """`Upstream`, of an asynchronous stream."""

    def __init__(self, chunks: AsyncIterator[Any]) -> None:
        self._chunks = chunks
        self._open = True

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if not self._open:
            raise StopAsyncIteration
        return await anext(self._chunks)

    async def stop(self) -> None:
        """End it, and close what feeds it."""
        self._open = False
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()


class Sentences:
    """One answer on its way: chunks of mappings in, released text out.

    Nothing is judged before question and context are there. Should more context arrive
    after the answer has begun, the answer so far is judged anew with all of it.

    Args:
        pipeline: what judges.
        keys: where the parts of the turn stand.

    Attributes:
        shown: everything let out so far.
    """

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._pipeline, self._keys = pipeline, keys
        self._whole = AddableDict()
        self._answer = ""
        self._gate: StreamGate | None = None
        self._ended: Report | None = None
        self.shown = ""

    @property
    def stopped(self) -> bool:
        """True once nothing more of the answer can be let out: the rest of it need not be read."""
        failure = None if self._gate is None else self._gate.failure
        return self._ended is not None or (failure is not None and not failure.released)

    def take(self, chunk: Any) -> str:
        """Take the next chunk; return what may be shown now, often ""."""
        text = self._arrived(chunk)
        if self._gate is None or not text:
            return ""
        self._gate.push(text)
        return self._let_out(self._gate.released)

    async def atake(self, chunk: Any) -> str:
        """`take`, without blocking the event loop."""
        text = self._arrived(chunk)
        if self._gate is None or not text:
            return ""
        await self._gate.apush(text)
        return self._let_out(self._gate.released)

    def finish(self) -> tuple[Judged, str | None]:
        """Return the report on the whole, and what is still to be shown of its text; None means all of it."""
        if self._gate is None:
            asked = self._unopened()
            return (self._pipeline.check(asked), None) if isinstance(asked, Turn) else (asked, None)
        return self._concluded(self._gate.stop() if self.stopped else self._gate.finish())

    async def afinish(self) -> tuple[Judged, str | None]:
        """`finish`, without blocking the event loop."""
        if self._gate is None:
            asked = self._unopened()
            return (await self._pipeline.acheck(asked), None) if isinstance(asked, Turn) else (asked, None)
        return self._concluded(await (self._gate.astop() if self.stopped else self._gate.afinish()))

    def _arrived(self, chunk: Any) -> str:
        """Note a chunk; return the text that the gate has not seen yet."""
        part = mapping(chunk)
        self._whole = self._whole + part
        said = part.get(self._keys.answer)
        new = "" if said is None else text_of(said, self._keys.answer)
        self._answer += new
        about = {self._keys.question, self._keys.standalone, self._keys.context, self._keys.report}
        if self._gate is not None and not about & part.keys():
            return new
        self._gate = None
        if self._answer and self._keys.complete(self._whole):
            asked = self._keys.asked(self._whole)
            if isinstance(asked, Turn):
                self._gate = StreamGate(self._pipeline, asked)
            else:
                self._ended = asked
        return self._answer

    def _unopened(self) -> Turn | Judged:
        """What a stream is that had no answer, or not all that an answer is judged by."""
        return self._keys.read(self._whole) if self._ended is None else self._ended

    def _let_out(self, released: str) -> str:
        piece = released[len(self.shown) :]
        self.shown += piece
        return piece

    def _concluded(self, report: Report) -> tuple[Report, str]:
        return report, remainder(self.shown, report.text or "", follows=report.released)
