"""Which sentences of the passages bear on a claim: by its words, before any model is asked.

The few sentences that together hold most of a claim's words are read once more on
their own, across chunks and passages: that finds a claim whose two halves stand
in different places, and shows the model little that is beside the point.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ragguard.alignment.chunks import Chunk
from ragguard.text.words import content_words
from ragguard.types import Span

_CANDIDATES = 12
# Kana, Han, Thai, Lao, Burmese, Khmer: no blanks between words.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]+")

# Scripts of India write vowels as marks, which no pattern for letters matches.
_MARKED = re.compile(r"[\u0900-\u0963\u0966-\u0dff]+")


def stems_of(text: str) -> frozenset[str]:
    """Return what two texts about the same have in common: stems of words, and pairs of signs in unspaced scripts.

    Example:
        >>> sorted(stems_of("The bridges opened in 1978"))
        ['1978', 'bridg', 'open']
        >>> sorted(stems_of("大桥1978年"))
        ['1978', '大桥', '年']
    """
    pairs = {
        "".join(two) for run in _UNSPACED.findall(text) for two in (pairwise(run) if len(run) > 1 else [run])
    }
    spaced = _MARKED.sub(" ", _UNSPACED.sub(" ", text))
    return frozenset(content_words(spaced) | set(_MARKED.findall(text)) | pairs)


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
    """The sentences of all chunks, each once, by the words they hold.

    Args:
        counts: tokens of every text given; without it sentences have no size.
    """

    def __init__(
        self, chunks: Sequence[Chunk], counts: Callable[[Sequence[str]], Sequence[int]] | None = None
    ) -> None:
        self.sentences = _sentences(chunks)
        self.chunk_stems = [stems_of(chunk.text) for chunk in chunks]
        self.sizes = list(counts([s.text for s in self.sentences])) if counts else [0] * len(self.sentences)
        self._with: dict[str, list[int]] = {}
        for place, sentence in enumerate(self.sentences):
            for stem in sentence.stems:
                self._with.setdefault(stem, []).append(place)

    def best(self, wanted: frozenset[str], most: int) -> list[int]:
        """Return the places of at most `most` sentences that share most with the words wanted, best first."""
        return self._ranked(self._weights(wanted))[:most]

    def together(self, wanted: frozenset[str], most: int) -> list[int]:
        """Return at most `most` sentences that together hold most of the words wanted, the most telling first."""
        weights = self._weights(wanted)
        candidates = self._ranked(weights)[:_CANDIDATES]
        chosen: list[int] = []
        left = set(weights)
        while candidates and len(chosen) < most:
            gains = [sum(weights[s] for s in sorted(self.sentences[c].stems & left)) for c in candidates]
            place = max(range(len(candidates)), key=gains.__getitem__)
            if gains[place] <= 0:
                break
            left -= self.sentences[candidates[place]].stems
            chosen.append(candidates.pop(place))
        return chosen

    def at(self, passage: int, offset: int) -> int | None:
        """Return the place of the sentence that holds a character of a passage, or None."""
        return next(
            (
                place
                for place, one in enumerate(self.sentences)
                if one.passage == passage and one.span.start <= offset < one.span.end
            ),
            None,
        )

    def _weights(self, wanted: frozenset[str]) -> Mapping[str, float]:
        """How much each word that is there tells: more, the fewer sentences hold it.

        Counted among the sentences that hold any of them: one that is beside the point
        must not change which others are read.
        """
        known = {stem: self._with[stem] for stem in sorted(wanted) if stem in self._with}
        bearing = len(set().union(*known.values()))
        return {stem: math.log(1 + bearing / len(places)) for stem, places in known.items()}

    def _ranked(self, weights: Mapping[str, float]) -> list[int]:
        shared: defaultdict[int, float] = defaultdict(float)
        for stem, weight in weights.items():
            for place in self._with[stem]:
                shared[place] += weight
        return sorted(shared, key=lambda place: (-shared[place], place))


def _sentences(chunks: Sequence[Chunk]) -> list[Sentence]:
    found: dict[tuple[int, int, int], Sentence] = {}
    for number, chunk in enumerate(chunks):
        for start, end in chunk.units:
            text = chunk.text[start:end].strip()
            if text:
                span = chunk.source_span(start, end)
                stems = stems_of(text)
                key = (chunk.passage, span.start, span.end)
                found.setdefault(key, Sentence(number, chunk.passage, text, span, stems))
    return list(found.values())
