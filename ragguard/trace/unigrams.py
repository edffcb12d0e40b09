"""How rare each word is over all registered corpora, in nats.

Absolute discounting, interpolated with a uniform floor: of the N running words
and V different ones counted, every count c gives up the discount D, and what that
frees is spread evenly over 2 V words, the V seen and as many again unseen:

    p(w) = max(c(w) - D, 0) / N + (D V / N) / (2 V),    D = n1 / (n1 + 2 n2) in [0.5, 0.9]

with n1 and n2 the words counted once and twice. The sum over the 2 V words is 1.
An unseen word has p = D / (2 N): a few times less likely than one seen once, so a
typo costs about what any rare word does, and does not outweigh a sentence.

References:
    Ney, Essen, Kneser 1994, section 2: absolute discounting and the estimate of D.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragguard.trace.lexicon import Digests, Lexicon, digests, sorting

_LEAST_DISCOUNT, _MOST_DISCOUNT = 0.5, 0.9


class Unigrams:
    """Smoothed frequencies of single words.

    Args:
        table: digests of the words, sorted, all different; shape [2, V].
        counts: how often each occurs, shape [V].
        total, discount: N and D where they are known, so that the counts need not be read for them.
    """

    def __init__(
        self,
        table: NDArray[Any],
        counts: NDArray[Any],
        *,
        total: int | None = None,
        discount: float | None = None,
    ) -> None:
        self._lexicon = Lexicon(table)
        self._counts = np.asarray(counts)
        self.types = int(self._counts.size)
        self.total = int(self._counts.sum(dtype=np.int64)) if total is None else total
        self.discount = estimated_discount(self._counts) if discount is None else discount

    @classmethod
    def from_counts(cls, counts: Mapping[str, int]) -> Unigrams:
        """Return the statistics of folded words counted by hand."""
        table = digests(list(counts))
        order = sorting(table)
        return cls(table[:, order], np.array(list(counts.values()), dtype=np.int64)[order])

    @property
    def unseen(self) -> float:
        """Probability of one word that was never counted."""
        return self.discount / (2 * self.total) if self.total else 1.0

    def probability(self, words: Sequence[str]) -> NDArray[np.float64]:
        """Return p of each word; positive for any, shape [len(words)]."""
        if not self.total:
            return np.ones(len(words))
        at = self._lexicon.find(words)
        counted = np.where(at < 0, 0, self._counts[np.maximum(at, 0)]).astype(np.float64)
        return np.maximum(counted - self.discount, 0.0) / self.total + self.unseen

    def surprisal(self, words: Sequence[str]) -> NDArray[np.float64]:
        """Return -log p of each word, in nats, shape [len(words)]; finite for a word never seen.

        Args:
            words: folded, as `tokenise` gives them.
        """
        return -np.log(self.probability(words))

    def kl(self, words: Sequence[str]) -> float:
        """Return the divergence of the words' own frequencies from the corpora's, in nats.

        0 for no words, and where both agree; it grows with words that are frequent here and rare there.
        """
        if not words:
            return 0.0
        own = Counter(words)
        share = np.array(list(own.values()), dtype=np.float64) / len(words)
        return max(0.0, float(share @ (np.log(share) + self.surprisal(list(own)))))


def estimated_discount(counts: NDArray[Any]) -> float:
    """Return D for these counts."""
    once, twice = (int(np.count_nonzero(counts == c)) for c in (1, 2))
    share = once / (once + 2 * twice) if once else 0.0
    return min(max(share, _LEAST_DISCOUNT), _MOST_DISCOUNT)


def pooled(parts: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> tuple[Digests, NDArray[np.int64]]:
    """Return one sorted table and its counts for several: equal words are added up.

    Args:
        parts: a table [2, n] and counts [n] each.
    """
    table = np.concatenate([np.zeros((2, 0), dtype=np.uint64), *(np.asarray(p[0]) for p in parts)], axis=1)
    counts = np.concatenate([np.zeros(0, dtype=np.int64), *(np.asarray(p[1]) for p in parts)])
    order = sorting(table)
    table, counts = table[:, order], counts[order].astype(np.int64)
    if not counts.size:
        return table, counts
    new = np.concatenate([[True], (table[:, 1:] != table[:, :-1]).any(axis=0)])
    firsts = np.flatnonzero(new)
    return np.ascontiguousarray(table[:, firsts]), np.add.reduceat(counts, firsts)
