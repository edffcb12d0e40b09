"""How rare each word is over all registered corpora, in nats."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


class Unigrams:
    """Smoothed word frequencies."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._counts = dict(counts)
        self._total = sum(self._counts.values()) or 1
        self._types = len(self._counts) or 1

    def surprisal(self, words: Sequence[str]) -> NDArray[np.float64]:
        """-log p(word), finite for a word never seen."""
        base = 0.5 * self._types / (self._total * 2 * self._types)
        p = [max(self._counts.get(w, 0) - 0.5, 0) / self._total + base for w in words]
        return -np.log(np.asarray(p, dtype=np.float64))

    def kl(self, words: Sequence[str]) -> float:
        """KL(words' own frequencies || corpus) in nats."""
        if not words:
            return 0.0
        own = Counter(words)
        entropy = -sum(c / len(words) * math.log(c / len(words)) for c in own.values())
        return max(0.0, float(self.surprisal(list(words)).mean()) - entropy)
