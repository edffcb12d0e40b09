"""One registered corpus, looked up for verbatim matches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ragguard.errors import UnknownNameError
from ragguard.trace.documents import TraceDocument
from ragguard.trace.tokens import Tokens, tokenise
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
        occurrences: at most five of them, the earliest first.
    """

    start: int
    end: int
    span: Span
    count: int
    occurrences: tuple[Occurrence, ...]


class TraceCorpus:
    """Documents under one label."""

    def __init__(self, label: Label, documents: Sequence[TraceDocument]) -> None:
        self.label: Label = label
        self.name: str = label
        self._documents = {d.id: d for d in documents}
        self._tokens = {d.id: tokenise(d.text) for d in documents}
        self._places: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for name, tokens in self._tokens.items():
            for place, word in enumerate(tokens.words):
                self._places[word].append((name, place))

    @property
    def size(self) -> int:
        """Tokens of all documents."""
        return sum(len(t.words) for t in self._tokens.values())

    def matches(self, tokens: Tokens, *, least: int = 6) -> list[Match]:
        """Return the maximal, non-nested matches of at least `least` words, in order."""
        found: list[Match] = []
        reached = 0
        for start in range(len(tokens.words)):
            length, places = self._longest(tokens.words, start)
            end = start + length
            if length >= least and end > reached:
                found.append(self._match(tokens, start, end, places))
            reached = max(reached, end)
        return found

    def open_from(self, tokens: Tokens) -> int:
        """Return the place of the first token of the longest suffix that occurs in the corpus."""
        total = len(tokens.words)
        return next((s for s in range(total) if s + self._longest(tokens.words, s)[0] == total), total)

    def documents(self) -> Iterator[TraceDocument]:
        """Yield the documents."""
        yield from self._documents.values()

    def document(self, name: str) -> TraceDocument:
        """Return one document."""
        if name not in self._documents:
            raise UnknownNameError(f"there is no document {name!r}", hint="see documents()")
        return self._documents[name]

    def _longest(self, words: Sequence[str], start: int) -> tuple[int, list[tuple[str, int]]]:
        places = list(self._places.get(words[start], ()))
        length = 1 if places else 0
        while places and start + length < len(words):
            word = words[start + length]
            on = [
                (name, p)
                for name, p in places
                if p + length < len(self._tokens[name].words) and self._tokens[name].words[p + length] == word
            ]
            if not on:
                break
            places, length = on, length + 1
        return length, places

    def _match(self, tokens: Tokens, start: int, end: int, places: list[tuple[str, int]]) -> Match:
        occurrences = []
        for name, p in places[:MOST_OCCURRENCES]:
            own = self._tokens[name]
            span = Span(start=int(own.starts[p]), end=int(own.ends[p + end - start - 1]))
            occurrences.append(Occurrence(document=name, span=span))
        span = Span(start=int(tokens.starts[start]), end=int(tokens.ends[end - 1]))
        return Match(start=start, end=end, span=span, count=len(places), occurrences=tuple(occurrences))
