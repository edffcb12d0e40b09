"""What a model reads of a passage, and where each part of it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ragguard.types import Span

Role = Literal["text", "label", "glue"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A range of what is read, and the characters of the passage it stands for.

    Attributes:
        start: in what is read.
        end: in what is read; `start` where the passage's signs (a table's rule) are not read.
        source_start: in the passage.
        source_end: in the passage.
        role: `text` is read where it stands; a `label` is a column's or a field's name, repeated
            in each row; `glue` is read in place of signs such as "|" or `","`.
    """

    start: int
    end: int
    source_start: int
    source_end: int
    role: Role = "text"

    @property
    def source(self) -> Span:
        """The range of the passage."""
        return Span(start=self.source_start, end=self.source_end)

    @property
    def verbatim(self) -> bool:
        """Whether its characters correspond one to one."""
        return self.end - self.start == self.source_end - self.source_start


@dataclass(frozen=True, slots=True)
class Reading:
    """A passage as it is read.

    Attributes:
        text: what is read.
        pieces: in order of `start`; their sources hold every character of the passage that is not white space.
        units: ranges of `text` that stand together, in order: sentences and rows.
        lines: places in `text` at which a line ended, where the text no longer shows it.
    """

    text: str
    pieces: tuple[Piece, ...]
    units: tuple[tuple[int, int], ...]
    lines: tuple[int, ...] = ()


class Writer:
    """Builds a reading from left to right; each method returns nothing and appends."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._parts: list[str] = []
        self._pieces: list[Piece] = []
        self._units: list[tuple[int, int]] = []
        self.length = 0

    def copy(self, start: int, end: int, *, role: Role = "text", words: str | None = None) -> None:
        """Append source[start:end], or `words` in its place."""
        text = self._source[start:end] if words is None else words
        if end > start:
            self._pieces.append(Piece(self.length, self.length + len(text), start, end, role))
        self._append(text)

    def glue(self, text: str, start: int = 0, end: int = 0) -> None:
        """Append text of our own, in place of the signs source[start:end] if any."""
        if self._source[start:end].strip():
            self.copy(start, end, role="glue", words=text)
        else:
            self._append(text)

    def unit(self, start: int, end: int | None = None) -> None:
        """Declare that what was written from `start` on stands together."""
        end = self.length if end is None else end
        if end > start:
            self._units.append((start, end))

    def ends_with(self, signs: str) -> bool:
        """Whether what was written last ends with one of `signs`, blanks apart."""
        return bool(self._parts) and self._parts[-1].rstrip(" \t").endswith(tuple(signs))

    def reading(self) -> Reading:
        """What was written."""
        return Reading("".join(self._parts), tuple(self._pieces), tuple(self._units))

    def _append(self, text: str) -> None:
        if text:
            self._parts.append(text)
            self.length += len(text)
