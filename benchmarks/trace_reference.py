"""The published TraceAlign design made anew, to be measured against: a list of suffixes, and BCI as rarity.

Written from the description of the method and of what its code does (arXiv 2508.02063), not from
the code. What is kept on purpose: every suffix is a Python list of its own, windows have a fixed
width, a word that the corpus does not know has probability 1e-9, and BCI is the summed surprisal
of a window, so that it grows with rarity alone. What is left out: its pickle files.

Two readings of its shield, since the description gives both: `matched` refuses when a window that
occurs in the corpus exceeds the threshold; `any_window` asks no match, as its decoder does.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WINDOW = 8
MOST_HITS = 5
UNKNOWN = 1e-9
BY_HAND = 10.0  # nats: the threshold of its scripts


@dataclass(frozen=True)
class Hit:
    """A window of an answer and a place where it stands in the corpus."""

    start: int
    document: str
    place: int


class ListIndex:
    """All suffixes of all documents, each as a list, in lexicographic order."""

    def __init__(self, documents: Iterable[tuple[str, Sequence[str]]]) -> None:
        self.suffixes: list[tuple[list[str], str, int]] = []
        for name, words in documents:
            own = list(words)
            self.suffixes.extend((own[place:], name, place) for place in range(len(own)))
        self.suffixes.sort(key=lambda entry: entry[0])

    def find(self, window: Sequence[str]) -> list[tuple[str, int]]:
        """Return at most five places of a run of words: (document, place)."""
        sought = list(window)
        width = len(sought)
        low = bisect_left(self.suffixes, sought, key=lambda entry: entry[0][:width])
        found = []
        for suffix, name, place in self.suffixes[low : low + MOST_HITS]:
            if suffix[:width] != sought:
                break
            found.append((name, place))
        return found

    def windows(self, words: Sequence[str], width: int = WINDOW) -> list[Hit]:
        """Return the hits of every window of an answer; one shorter than a window has none."""
        found = []
        for start in range(len(words) - width + 1):
            for name, place in self.find(words[start : start + width]):
                found.append(Hit(start, name, place))
        return found


class ReferenceShield:
    """Refuses an answer for a window whose BCI exceeds a threshold."""

    def __init__(self, documents: Iterable[tuple[str, Sequence[str]]]) -> None:
        given = [(name, list(words)) for name, words in documents]
        self.index = ListIndex(given)
        counts = Counter(word for _, words in given for word in words)
        total = sum(counts.values())
        self._probability = {word: count / total for word, count in counts.items()}

    def bci(self, words: Sequence[str]) -> float:
        """Return -sum log p(word) in nats."""
        return -sum(math.log(self._probability.get(word, UNKNOWN)) for word in words)

    def largest(self, words: Sequence[str], *, matched: bool = True) -> float:
        """Return the largest BCI of a window, 0 where none counts.

        A text shorter than a window is one window when no match is asked.
        """
        last = len(words) - WINDOW
        starts: Iterable[int] = range(max(last, 0) + 1 if words else 0)
        if matched:
            starts = {hit.start for hit in self.index.windows(words)}
        return max((self.bci(words[start : start + WINDOW]) for start in starts), default=0.0)

    def refuses(self, words: Sequence[str], *, threshold: float = BY_HAND, matched: bool = True) -> bool:
        """Whether a window's BCI exceeds the threshold."""
        return self.largest(words, matched=matched) > threshold
