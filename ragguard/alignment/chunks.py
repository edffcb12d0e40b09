"""Passages as chunks that a pair model takes whole: nothing of a passage is left unread.

A chunk is a run of sentences (or table rows) of one passage, as many as fit the
budget of the model's own tokenizer. The published code counts 350 white-space
words instead, so that a long table, a line of numbers or Chinese text is cut by
the tokenizer without a word. Here a sentence too long for itself is cut at
lines, cells and clauses, then between words, then between tokens.

References:
    Zha et al. (2023), AlignScore: Evaluating Factual Consistency with a Unified
    Alignment Function, section 3.3 (chunks of the context, sentences of the claim).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ragguard.alignment.chunks_ranges import LEAST_BUDGET, fitting_ranges
from ragguard.alignment.chunks_spacing import evened
from ragguard.alignment.linearise import Piece, Reading, linearise
from ragguard.errors import InvalidValueError
from ragguard.types import Passage, Span


class TokenSpans(Protocol):
    """The character range of every token of every text, uncut, without special tokens."""

    def __call__(self, texts: Sequence[str], /) -> list[list[tuple[int, int]]]: ...


@dataclass(frozen=True)
class Chunk:
    """What the model reads at once.

    Attributes:
        passage: its place among the passages given.
        text: what is read; each run of white space is one blank.
        pieces: where it comes from, in order of `start`.
        units: ranges of `text`: its sentences and rows, whole or cut.
    """

    passage: int
    text: str
    pieces: tuple[Piece, ...]
    units: tuple[tuple[int, int], ...]

    def source_span(self, start: int, end: int) -> Span:
        """Return the characters of the passage that text[start:end] was read from.

        Of a row that is its cells; a column's name is where it stands only when
        nothing else is asked for.

        Raises:
            InvalidValueError: the range is empty or not in the chunk.
        """
        if not 0 <= start < end <= len(self.text):
            raise InvalidValueError(
                f"the range {start} to {end} is not in a chunk of {len(self.text)} characters"
            )
        first = bisect_right(self.pieces, start, key=_end)
        found = self.pieces[first : bisect_left(self.pieces, end, key=_start)]
        for role in ("text", "label", "glue"):
            ranges = [_span(p, max(start, p.start), min(end, p.end)) for p in found if p.role == role]
            if ranges:
                return Span(start=min(a for a, _ in ranges), end=max(b for _, b in ranges))
        # Glue without signs of its own, such as ": ": what stands next to it.
        return min(self.pieces, key=lambda p: max(p.start - end, start - p.end, 0)).source


def chunk_passages(
    passages: Sequence[Passage], token_spans: TokenSpans, *, budget: int, overlap: int = 1
) -> list[Chunk]:
    """Return the chunks of every passage, in order; a chunk never reaches into the next passage.

    Every character that is not white space lies in at least one chunk, and each
    chunk is at most `budget` tokens. Passages of white space alone give none.

    Args:
        token_spans: the tokens of texts by the model's own tokenizer, special ones apart.
        budget: tokens of a chunk, special ones apart: what the model takes less the claim's.
        overlap: sentences repeated at the start of the next chunk, where they fit its half.

    Raises:
        InvalidValueError: `budget` is below 8, or `overlap` is negative.
    """
    if budget < LEAST_BUDGET:
        raise InvalidValueError(
            f"a budget of {budget} tokens cannot hold a sentence",
            hint=f"at least {LEAST_BUDGET}; the claim may be too long for the model",
        )
    if overlap < 0:
        raise InvalidValueError(f"overlap is {overlap}", hint="0 means none")
    readings = [evened(linearise(passage.text)) for passage in passages]
    found = fitting_ranges(readings, token_spans, budget=budget, overlap=overlap)
    chunks = (
        _chunk(passage, reading, place, ranges)
        for passage, (reading, ranges) in enumerate(found)
        for place in range(len(ranges))
    )
    return [chunk for chunk in chunks if chunk.pieces]  # less a full stop of ours that stood alone


def sentences_of(passage: Passage) -> list[Span]:
    """Return the places of the sentences and table rows of a passage, in order."""
    reading = linearise(passage.text)
    whole = Chunk(0, reading.text, reading.pieces, reading.units)
    return [whole.source_span(start, end) for start, end in reading.units]


def seen_share(passages: Sequence[Passage], chunks: Iterable[Chunk]) -> float:
    """Return the share of the passages' characters, white space apart, that some chunk holds; in [0, 1]."""
    ranges: list[list[tuple[int, int]]] = [[] for _ in passages]
    for chunk in chunks:
        ranges[chunk.passage].extend((p.source_start, p.source_end) for p in chunk.pieces)
    total = seen = 0
    for passage, one in zip(passages, ranges, strict=True):
        total += sum(map(len, passage.text.split()))
        at = 0
        for start, end in sorted(one):
            seen += sum(map(len, passage.text[max(at, start) : end].split()))
            at = max(at, end)
    return seen / total if total else 1.0


def _chunk(passage: int, reading: Reading, place: int, ranges: Sequence[tuple[int, int]]) -> Chunk:
    start, end = ranges[place]
    # Signs that are not read (a table's rule) stand at one place of the reading: they go with what is next.
    reach_start = min(start, ranges[place - 1][1]) if place else 0
    reach_end = end if place + 1 < len(ranges) else len(reading.text)
    pieces = _pieces(reading, start, end, reach_start, reach_end)
    units = ((max(a, start) - start, min(b, end) - start) for a, b in _between(reading.units, start, end))
    return Chunk(passage, reading.text[start:end], tuple(pieces), tuple(units))


def _pieces(reading: Reading, start: int, end: int, reach_start: int, reach_end: int) -> Iterator[Piece]:
    first = bisect_left(reading.pieces, reach_start, key=_end)
    last = bisect_right(reading.pieces, reach_end, key=_start)
    for piece in reading.pieces[first:last]:
        a, b = max(start, piece.start), min(end, piece.end)
        if a < b:
            yield Piece(a - start, b - start, *_span(piece, a, b), piece.role)
        elif piece.start == piece.end:
            at = min(max(piece.start, start), end) - start
            yield Piece(at, at, piece.source_start, piece.source_end, "glue")


def _between(ranges: Sequence[tuple[int, int]], start: int, end: int) -> Sequence[tuple[int, int]]:
    first = bisect_right(ranges, start, key=lambda r: r[1])
    return ranges[first : bisect_left(ranges, end, key=lambda r: r[0])]


def _span(piece: Piece, start: int, end: int) -> tuple[int, int]:
    """The source of a part of a piece; all of a name, and all where characters do not correspond."""
    if not piece.verbatim or piece.role == "label":  # "b_c" is read as "b c", and may be cut between them
        return piece.source_start, piece.source_end
    shift = piece.source_start - piece.start
    return max(start, piece.start) + shift, min(end, piece.end) + shift


def _start(piece: Piece) -> int:
    return piece.start


def _end(piece: Piece) -> int:
    return piece.end
