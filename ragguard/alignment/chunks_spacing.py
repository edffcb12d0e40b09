"""White space in what a model reads: one blank a run, with the way back to the passage kept."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from ragguard.alignment.linearise_writer import Piece, Reading

_Range = tuple[int, int]
_UNEVEN = re.compile(r"[^\S ]\s*+| \s++")
_LONGEST_WORD, _CUT_WORD = 100, 90


def evened(reading: Reading) -> Reading:
    """Return the reading with each run of white space as one blank; where a line ended stays known."""
    cuts = [m.span() for m in _UNEVEN.finditer(reading.text)]
    if not cuts:
        return reading
    moved = _Moved(cuts)
    lines = tuple(moved.end(a) for a, b in cuts if "\n" in reading.text[a:b])
    even = _respaced(reading, cuts, moved)
    return Reading(even.text, even.pieces, even.units, lines)


def readable(reading: Reading, tokens: Sequence[_Range]) -> Reading:
    """Return the reading with a blank inside each word too long for the tokenizer.

    A WordPiece tokenizer makes one unknown token of a word above 100 characters (a
    key, a Thai sentence): the model would read none of it.
    """
    cuts = [(at, at) for a, b in tokens if b - a > _LONGEST_WORD for at in range(a + _CUT_WORD, b, _CUT_WORD)]
    if not cuts:
        return reading
    moved = _Moved(cuts)
    even = _respaced(reading, cuts, moved)
    return Reading(even.text, even.pieces, even.units, tuple(moved.end(at) for at in reading.lines))


class _Moved:
    """Where a place is, once each cut is one blank."""

    def __init__(self, cuts: Sequence[_Range]) -> None:
        self._cuts = cuts
        self._starts = [start for start, _ in cuts]
        self._ends = [end for _, end in cuts]
        self._shift = [0]
        for start, end in cuts:
            self._shift.append(self._shift[-1] + 1 - (end - start))

    def start(self, place: int) -> int:
        """Of something that starts there: after the blank."""
        done = bisect_right(self._ends, place)
        if done < len(self._cuts) and self._starts[done] <= place:
            return self._ends[done] + self._shift[done + 1]
        return place + self._shift[done]

    def end(self, place: int) -> int:
        """Of something that ends there: before the blank."""
        begun = bisect_left(self._starts, place)
        if begun and self._ends[begun - 1] >= place:
            return self._starts[begun - 1] + self._shift[begun - 1]
        return place + self._shift[begun]

    def kept(self, start: int, end: int) -> Iterator[_Range]:
        """What is left of a range between the cuts."""
        for cut in range(bisect_left(self._ends, start), bisect_left(self._starts, end)):
            if self._starts[cut] > start:
                yield start, self._starts[cut]
            start = max(start, self._ends[cut])
        if end > start:
            yield start, end


def _respaced(reading: Reading, cuts: Sequence[_Range], moved: _Moved) -> Reading:
    parts: list[str] = []
    at = 0
    for start, end in cuts:
        parts += (reading.text[at:start], " ")
        at = end
    text = "".join([*parts, reading.text[at:]])
    pieces = tuple(new for piece in reading.pieces for new in _moved_piece(piece, moved))
    return Reading(text, pieces, tuple((moved.start(a), moved.end(b)) for a, b in reading.units))


def _moved_piece(piece: Piece, moved: _Moved) -> Iterator[Piece]:
    if not piece.verbatim:
        start = moved.start(piece.start)
        yield Piece(start, max(start, moved.end(piece.end)), piece.source_start, piece.source_end, piece.role)
        return
    shift = piece.source_start - piece.start
    for a, b in moved.kept(piece.start, piece.end):
        yield Piece(moved.start(a), moved.end(b), a + shift, b + shift, piece.role)
