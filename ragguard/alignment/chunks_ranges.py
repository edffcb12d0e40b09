"""Where to cut what a model reads so that each part fits its budget of tokens.

Counts come from one tokenization of the whole reading. Cutting can make a word more
tokens than it was (its first part has lost its blank), so every part of a reading
that was cut is counted again by itself, and halved until it fits.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

from ragguard.alignment.chunks_spacing import readable
from ragguard.alignment.linearise_writer import Reading
from ragguard.text.sentences import trimmed

_Range = tuple[int, int]
_Spans = Callable[[Sequence[str]], list[list[_Range]]]

LEAST_BUDGET = 8
"""One character can be four tokens, and must fit with some others."""
_SHARE = 8  # a sentence too long is cut into parts of an eighth of the budget; one part is the overlap
_CLAUSE = re.compile(r"[|;](?: |$)|[,:\u2013\u2014\u060c] |[\u3001\uff0c\uff1b\uff1a]")
_BLANK = re.compile(r" ")


def fitting_ranges(
    readings: Sequence[Reading], token_spans: _Spans, *, budget: int, overlap: int
) -> list[tuple[Reading, list[_Range]]]:
    """Return each reading with the ranges of it that are chunks, in order.

    A reading comes back with a blank inside words that the tokenizer could not read,
    and with its units cut where one alone was too long.
    """
    counted = _counted(readings, token_spans)
    found = [_cut(reading, tokens, budget, overlap) for reading, tokens in counted]
    todo = [
        (place, where)
        for place, (reading, ranges) in enumerate(found)
        for where in ranges
        if where != (0, len(reading.text))
    ]
    while todo:
        counts = [len(one) for one in token_spans([found[place][0].text[a:b] for place, (a, b) in todo])]
        above = [item for item, count in zip(todo, counts, strict=True) if count > budget]
        todo = []
        for place, where in above:
            halves = _halves(found[place][0].text, *where)
            ranges = found[place][1]
            at = ranges.index(where)
            ranges[at : at + 1] = halves
            todo += [(place, half) for half in halves if len(halves) > 1]
    return found


def _counted(readings: Sequence[Reading], token_spans: _Spans) -> list[tuple[Reading, list[_Range]]]:
    tokens = token_spans([reading.text for reading in readings]) if readings else []
    spaced = [readable(reading, one) for reading, one in zip(readings, tokens, strict=True)]
    again = [place for place, reading in enumerate(spaced) if reading is not readings[place]]
    if again:
        for place, one in zip(again, token_spans([spaced[place].text for place in again]), strict=True):
            tokens[place] = one
    return list(zip(spaced, tokens, strict=True))


def _cut(
    reading: Reading, tokens: Sequence[_Range], budget: int, overlap: int
) -> tuple[Reading, list[_Range]]:
    if len(tokens) <= budget:
        whole = trimmed(reading.text, 0, len(reading.text))
        return reading, [whole] if whole[1] > whole[0] else []
    ruler = _Ruler(tokens)
    units: list[_Range] = []
    for unit in reading.units:
        units.extend([unit] if ruler.count(*unit) <= budget else _parts(reading, unit, ruler, budget))
    return Reading(reading.text, reading.pieces, tuple(units), reading.lines), _packed(
        units, ruler, budget, overlap
    )


class _Ruler:
    """Counts the tokens that start between two characters."""

    def __init__(self, tokens: Sequence[_Range]) -> None:
        self.starts = sorted(start for start, _ in tokens)

    def count(self, start: int, end: int) -> int:
        return bisect_left(self.starts, end) - bisect_left(self.starts, start)

    def reach(self, start: int, tokens: int) -> int | None:
        """Where the token that many further starts; None beyond the last."""
        at = bisect_left(self.starts, start) + tokens
        return self.starts[at] if at < len(self.starts) else None


def _parts(reading: Reading, unit: _Range, ruler: _Ruler, budget: int) -> Iterator[_Range]:
    """Cut a unit at the coarsest borders that help, then join neighbours up to a share of the budget."""
    most = max(1, budget // _SHARE)
    open_: _Range | None = None
    for start, end in _atoms(reading, unit, ruler, most, 0):
        if open_ is not None and ruler.count(open_[0], end) <= most:
            open_ = (open_[0], end)
            continue
        if open_ is not None:
            yield open_
        open_ = (start, end)
    if open_ is not None:
        yield open_


def _atoms(reading: Reading, span: _Range, ruler: _Ruler, most: int, level: int) -> Iterator[_Range]:
    start, end = span
    if ruler.count(start, end) <= most and end - start <= most * 16:
        yield span
        return
    if level == 3:
        yield from _between_tokens(span, ruler, most)
        return
    cuts = _borders(reading, start, end, level)
    for a, b in zip([start, *cuts], [*cuts, end], strict=True):
        a, b = trimmed(reading.text, a, b)
        if b > a:
            yield from _atoms(reading, (a, b), ruler, most, level + 1)


def _borders(reading: Reading, start: int, end: int, level: int) -> list[int]:
    if level == 0:
        return [*reading.lines[bisect_left(reading.lines, start + 1) : bisect_left(reading.lines, end)]]
    pattern = _CLAUSE if level == 1 else _BLANK
    return [m.end() for m in pattern.finditer(reading.text, start, end) if m.end() < end]


def _between_tokens(span: _Range, ruler: _Ruler, most: int) -> Iterator[_Range]:
    """Parts of so many tokens, and of so many characters where the tokenizer passes over them."""
    start, end = span
    while start < end:
        reach = ruler.reach(start, most)
        cut = min(end, end if reach is None else max(reach, start + 1), start + most * 16)
        yield start, cut
        start = cut


def _packed(units: Sequence[_Range], ruler: _Ruler, budget: int, overlap: int) -> list[_Range]:
    packed: list[_Range] = []
    first = 0
    while first < len(units):
        last = first
        while last + 1 < len(units) and ruler.count(units[first][0], units[last + 1][1]) <= budget:
            last += 1
        packed.append((units[first][0], units[last][1]))
        if last + 1 == len(units):
            break
        first = _next_start(units, first, last, ruler, budget, overlap)
    return packed


def _next_start(
    units: Sequence[_Range], first: int, last: int, ruler: _Ruler, budget: int, overlap: int
) -> int:
    """The earliest unit to repeat that leaves half of the budget, and room for the next unit."""
    start = max(first + 1, last + 1 - overlap)
    while start <= last and (
        ruler.count(units[start][0], units[last][1]) > budget // 2
        or ruler.count(units[start][0], units[last + 1][1]) > budget
    ):
        start += 1
    return start


def _halves(text: str, start: int, end: int) -> list[_Range]:
    if end - start < 2:
        return [(start, end)]
    middle = (start + end) // 2
    blank = text.rfind(" ", start + 1, middle + 1)
    middle = blank if blank > start else middle
    parts = [trimmed(text, start, middle), trimmed(text, middle, end)]
    return [(a, b) for a, b in parts if b > a]
