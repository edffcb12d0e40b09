"""Which sentences of the passages bear on a claim: by its words, before any model is asked.

The few sentences that together hold most of a claim's words are read once more on
their own, across chunks and passages: that finds a claim whose two halves stand
in different places, and shows the model little that is beside the point.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ragguard.alignment.chunks import Chunk
from ragguard.text.words import content_words
from ragguard.types import Span


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence or table row of the passages.

    Attributes:
        chunk: the first chunk that holds it.
        passage: the place of its passage among those given.
        text: as the model reads it.
        span: where it stands in the passage.
        stems: its words of content.
    """

    chunk: int
    passage: int
    text: str
    span: Span
    stems: frozenset[str]


class SentenceIndex:
    """The sentences of all chunks, each once, by the words they hold."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self.sentences = _sentences(chunks)
        self.chunk_stems = [frozenset(content_words(chunk.text)) for chunk in chunks]
        self._with: dict[str, list[int]] = {}
        for place, sentence in enumerate(self.sentences):
            for stem in sentence.stems:
                self._with.setdefault(stem, []).append(place)

    def weight(self, stem: str) -> float:
        """Return how much a word tells: more the fewer sentences hold it; 0 where none does."""
        count = len(self._with.get(stem, ()))
        return math.log(1 + len(self.sentences) / count) if count else 0.0

    def best(self, wanted: frozenset[str], most: int) -> list[int]:
        """Return the places of at most `most` sentences that share most with the words wanted, best first."""
        shared: Counter[int] = Counter()
        for stem in wanted:
            weight = self.weight(stem)
            for place in self._with.get(stem, ()):
                shared[place] += weight  # type: ignore[assignment]
        return sorted(shared, key=lambda place: (-shared[place], place))[:most]

    def together(self, wanted: frozenset[str], most: int) -> list[int]:
        """Return at most `most` sentences, in reading order, that together hold most of the words wanted."""
        candidates = self.best(wanted, 12)
        chosen: list[int] = []
        left = set(wanted)
        while candidates and len(chosen) < most:
            gains = [sum(self.weight(s) for s in self.sentences[c].stems & left) for c in candidates]
            place = max(range(len(candidates)), key=gains.__getitem__)
            if gains[place] <= 0:
                break
            left -= self.sentences[candidates[place]].stems
            insort(chosen, candidates.pop(place))
        return chosen


def _sentences(chunks: Sequence[Chunk]) -> list[Sentence]:
    found: dict[tuple[int, int, int], Sentence] = {}
    for number, chunk in enumerate(chunks):
        for start, end in chunk.units:
            text = chunk.text[start:end].strip()
            if text:
                span = chunk.source_span(start, end)
                stems = frozenset(content_words(text))
                key = (chunk.passage, span.start, span.end)
                found.setdefault(key, Sentence(number, chunk.passage, text, span, stems))
    return list(found.values())
