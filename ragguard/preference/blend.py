"""One score a passage from three: the reranker's, the retriever's similarity, and BM25.

Each part is brought to a like spread first, so that weights compare: within the
candidates of one question cosines of sentence embeddings differ by about a tenth,
log-odds of relevance by about three. Only BM25 is normalised per question (by the
best of the candidates), as its height says how long the question is. The others
keep their height: the sum still tells a question without an answer from one with,
and one threshold on it can serve all questions.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ragguard.errors import InvalidValueError
from ragguard.preference.ranking import order_of, reciprocal_rank

Floats = NDArray[np.float64]

LOG_ODDS = 32.0
"""Log-odds of relevance that weigh as much as 1 of similarity."""
BEST_BM25 = 2.0
"""How many times the candidates' best BM25 score weighs as much as 1 of similarity."""

STEPS = 20
"""The grid of weights has steps of 1/20."""


@dataclass(frozen=True)
class Parts:
    """What is known of one question's candidates; each of shape (candidates,).

    Attributes:
        relevance: log-odds by the reranker.
        similarity: by the retriever; higher is nearer.
        bm25: scores among the candidates, 0 or more.
    """

    relevance: Floats
    similarity: Floats
    bm25: Floats


@dataclass(frozen=True)
class Blend:
    """Weights of the parts: 0 or more, and 1 together.

    Raises:
        InvalidValueError: a weight is negative or not a number, or they are not 1 together.
    """

    relevance: float = 1.0
    similarity: float = 0.0
    bm25: float = 0.0

    def __post_init__(self) -> None:
        weights = self.weights
        if not all(math.isfinite(w) and w >= 0 for w in weights.values()):
            raise InvalidValueError(f"weights must be 0 or more, got {weights}", hint="e.g. 0.5, 0.3, 0.2")
        if abs(sum(weights.values()) - 1.0) > 1e-6:
            raise InvalidValueError(
                f"weights must be 1 together, got {weights}", hint="divide them by their sum"
            )

    @property
    def weights(self) -> dict[str, float]:
        """By the name of the part."""
        return asdict(self)

    def scores(self, parts: Parts) -> Floats:
        """Return one score a candidate, shape (candidates,); monotone in every part.

        A part of weight 0 is not looked at: it may hold anything, NaN included.
        """
        found = np.zeros(len(parts.relevance))
        if self.relevance > 0:
            found += self.relevance / LOG_ODDS * parts.relevance
        if self.similarity > 0:
            found += self.similarity * parts.similarity
        if self.bm25 > 0:
            found += self.bm25 * _by_the_best(parts.bm25)
        return found

    @classmethod
    def of(cls, weights: Mapping[str, float]) -> Blend:
        """Return the blend of named weights; those left out are 0.

        Raises:
            InvalidValueError: there is no part of that name, or the weights cannot be used.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(weights) - set(known))
        if unknown:
            raise InvalidValueError(f"no part named {', '.join(unknown)}", hint=f"known: {', '.join(known)}")
        return cls(**{name: float(weights.get(name, 0.0)) for name in known})


BUNDLED = Blend(0.5, 0.35, 0.15)
"""For the bundled relevance head; chosen on questions that no published figure is about."""


@dataclass(frozen=True)
class Judged:
    """One question of known relevance, to choose weights by.

    Attributes:
        parts: of its candidates, in the retriever's order.
        relevant: which of them are, shape (candidates,).
    """

    parts: Parts
    relevant: Sequence[bool] | NDArray[np.bool_]


def mean_reciprocal_rank(blend: Blend, questions: Sequence[Judged]) -> float:
    """Return the mean of 1 / place of the first relevant candidate, 0 beyond the tenth or where none is."""
    return float(np.mean([_reciprocal(blend.scores(q.parts), q.relevant) for q in questions]))


def choose(
    questions: Sequence[Judged], *, without: Sequence[str] = (), groups: Sequence[Hashable] | None = None
) -> Blend:
    """Return the weights of the grid with the best mean reciprocal rank; of equals the one most like its equals.

    Choose on questions whose figures are not reported, and on which nothing is calibrated.

    Args:
        questions: at least one.
        without: parts that get no weight.
        groups: of each question; every group counts alike, however many questions it has.

    Raises:
        InvalidValueError: there are no questions, or not a group for each.
    """
    if not questions:
        raise InvalidValueError("weights are chosen on questions, and there are none")
    if groups is not None and len(groups) != len(questions):
        raise InvalidValueError(f"{len(questions)} questions have {len(groups)} groups")
    grid = [blend for blend in _grid() if all(blend.weights[name] == 0 for name in without)]
    members: dict[Hashable, list[Judged]] = {}
    for question, group in zip(questions, groups or [None] * len(questions), strict=True):
        members.setdefault(group, []).append(question)
    values = np.array([np.mean([mean_reciprocal_rank(b, m) for m in members.values()]) for b in grid])
    points = np.array([list(blend.weights.values()) for blend in grid])
    best = np.flatnonzero(values >= values.max() - 1e-12)
    middle = points[best].mean(axis=0)
    nearest = int(np.argmin(((points[best] - middle) ** 2).sum(axis=1)))
    return grid[int(best[nearest])]


def _grid() -> Iterator[Blend]:
    for first in range(STEPS, -1, -1):
        for second in range(STEPS - first, -1, -1):
            third = STEPS - first - second
            yield Blend(first / STEPS, second / STEPS, third / STEPS)


def _reciprocal(scores: ArrayLike, relevant: ArrayLike) -> float:
    ordered = np.asarray(relevant)[order_of(scores)]
    return reciprocal_rank(ordered) if ordered.any() else 0.0


def _by_the_best(scores: Floats) -> Floats:
    best = float(scores.max(initial=0.0))
    return scores / (BEST_BM25 * best) if best > 0 else np.zeros(len(scores))
