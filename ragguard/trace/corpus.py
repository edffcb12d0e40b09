"""One registered corpus, looked up for verbatim matches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from ragguard.errors import IndexFileError, UnknownNameError
from ragguard.trace.documents import TraceDocument
from ragguard.trace.matching import maximal
from ragguard.trace.sealed import REBUILD
from ragguard.trace.segment import Segment
from ragguard.trace.suffix_array import Places
from ragguard.trace.tokens import Tokens
from ragguard.types import Span

Label: TypeAlias = Literal["deny", "policy", "trusted"]
MOST_OCCURRENCES = 5


@dataclass(frozen=True)
class Occurrence:
    """Where a match stands in a registered document: raw characters of it."""

    document: str
    span: Span


@dataclass(frozen=True)
class Match:
    """A maximal run of words that also stands in the corpus.

    Attributes:
        start, end: places in the tokens looked up, half-open.
        span: raw characters of the text looked up.
        count: how often it occurs in the corpus.
        occurrences: at most five of them, the earliest registered first.
    """

    start: int
    end: int
    span: Span
    count: int
    occurrences: tuple[Occurrence, ...]


class TraceCorpus:
    """Documents under one label, in one segment or several; all look-ups are over all of them.

    Safe to use from several threads. A corpus keeps showing what it was opened on, whatever is added later.
    """

    def __init__(self, label: Label, segments: Sequence[Segment] = ()) -> None:
        self.label: Label = label
        self.name: str = label
        self.segments = tuple(segments)

    def __len__(self) -> int:
        return sum(map(len, self.segments))

    @property
    def size(self) -> int:
        """Tokens of all documents."""
        return sum(segment.size for segment in self.segments)

    def matches(self, tokens: Tokens, *, least: int = 6) -> list[Match]:
        """Return the maximal, non-nested matches of at least `least` words, in order.

        Every place of the text is looked up in one pass. No match crosses a document's border.

        Args:
            tokens: of the text looked up.
            least: shortest match reported, at least 1.

        Raises:
            InvalidValueError: `least` is below 1.
            IndexFileError: the files turn out to be inconsistent.
        """
        try:
            queries, longest = self._longest(tokens, least)
            starts, ends = maximal(longest, least)
            return self._described(tokens, queries, starts, ends) if starts.size else []
        except IndexError as error:
            raise self._inconsistent() from error

    def open_from(self, tokens: Tokens) -> int:
        """Return the place of the first token of the longest suffix of `tokens` that occurs in the corpus.

        The length of `tokens` where not even the last one occurs. Such a suffix is a match
        that may go on growing with the text that follows.
        """
        try:
            places = [s.array.reaching_end(s.numbers(tokens.words)) for s in self.segments]
        except IndexError as error:
            raise self._inconsistent() from error
        return min(places, default=len(tokens.words))

    def documents(self) -> Iterator[TraceDocument]:
        """Yield the documents in the order they were registered."""
        for segment in self.segments:
            yield from segment.documents()

    def document(self, name: str) -> TraceDocument:
        """Return the document of that id; no other text is read.

        Raises:
            UnknownNameError: there is none.
        """
        for segment in self.segments:
            number = segment.find(name)
            if number is not None:
                return segment.document(number)
        raise UnknownNameError(f"the {self.label} corpus has no document {name!r}", hint="see documents()")

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and any(segment.find(name) is not None for segment in self.segments)

    def _longest(self, tokens: Tokens, least: int) -> tuple[list[Places], Places]:
        """The text in each segment's tokens, and the longest match at each place in any."""
        queries = [segment.numbers(tokens.words) for segment in self.segments]
        longest = np.zeros(len(tokens.words), dtype=np.int64)
        for segment, query in zip(self.segments, queries, strict=True):
            longest = np.maximum(longest, segment.array.longest(query, least))
        return queries, longest

    def _described(
        self, tokens: Tokens, queries: Sequence[Places], starts: Places, ends: Places
    ) -> list[Match]:
        counts = np.zeros(starts.size, dtype=np.int64)
        occurrences: list[list[Occurrence]] = [[] for _ in starts]
        for segment, query in zip(self.segments, queries, strict=True):
            low, high = segment.array.intervals(query, starts, ends)
            counts += high - low
            for place in np.flatnonzero(high > low).tolist():
                length = int(ends[place] - starts[place])
                wanted = MOST_OCCURRENCES - len(occurrences[place])
                for token in segment.earliest(int(low[place]), int(high[place]), wanted).tolist():
                    document, span = segment.locate(token, length)
                    occurrences[place].append(Occurrence(document, span))
        return [
            Match(
                start=start,
                end=end,
                span=Span(start=int(tokens.starts[start]), end=int(tokens.ends[end - 1])),
                count=count,
                occurrences=tuple(found),
            )
            for start, end, count, found in zip(
                starts.tolist(), ends.tolist(), counts.tolist(), occurrences, strict=True
            )
        ]

    def _inconsistent(self) -> IndexFileError:
        return IndexFileError(f"the {self.label} corpus is inconsistent", hint=REBUILD)
