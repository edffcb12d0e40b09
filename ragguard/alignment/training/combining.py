"""Fits the monotone combiner on answers of which only "all supported or not" is known.

An answer fails by its worst claim. So the fit alternates: with the curves at hand,
the lowest-scoring claim stands for its answer; with those claims, a logistic
regression whose rises may not be negative. Every set has an intercept of its own
while fitting, so that sets differ in difficulty without bending the curves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from ragguard.alignment.combiner import Combiner, curve_basis
from ragguard.alignment.features import NAMES
from ragguard.errors import InvalidValueError

Array = NDArray[np.float64]
_ROUNDS = 4


@dataclass(frozen=True)
class Answers:
    """Labelled answers of one set.

    Attributes:
        features: one array (claims, len(NAMES)) an answer.
        labels: 1 where every claim is supported, shape (answers,).
    """

    features: Sequence[Array]
    labels: NDArray[np.int64]


def fit_combiner(
    sets: Mapping[str, Answers],
    *,
    penalty: float = 1.0,
    bends: int = 5,
    names: Sequence[str] = NAMES,
    weights: Mapping[str, float] | None = None,
) -> Combiner:
    """Return the combiner that fits the sets best, each set counting alike unless `weights` says otherwise.

    Args:
        penalty: of the squared rises; larger means flatter curves.
        bends: intervals of each curve, at quantiles of its feature.
        names: the features used; the others are left out.

    Raises:
        InvalidValueError: a set lacks one of the two labels.
    """
    for name, one in sets.items():
        if len(set(one.labels.tolist())) < 2:
            raise InvalidValueError(f"the set {name!r} has answers of one label only")
    everything = np.concatenate([f for one in sets.values() for f in one.features])
    knots = {name: _knots(everything[:, NAMES.index(name)], bends) for name in names}
    knots = {name: k for name, k in knots.items() if len(k) > 1}
    problem = _Problem(sets, knots, penalty, weights or {})
    solution = np.concatenate([np.full(problem.width, 0.1), np.zeros(len(sets))])
    for _ in range(_ROUNDS):
        solution = problem.solve(problem.worst(solution), solution)
    return _assembled(problem, solution, knots, sets)


def thresholds_of(answer_scores: Mapping[str, tuple[Array, NDArray[np.int64]]]) -> dict[str, float]:
    """Return operating points for answers scored by their worst claim: set name -> (scores, labels).

    `balanced` has the highest mean balanced accuracy over the sets; at `cautious` at
    most 20 in 100 unsupported answers of the sets pass, on average, and at `strict` 5.
    """
    grid = np.unique(np.round(np.concatenate([s for s, _ in answer_scores.values()]), 3))
    rates = [
        (np.array([np.mean(s[y == 1] > t) for t in grid]), np.array([np.mean(s[y == 0] > t) for t in grid]))
        for s, y in answer_scores.values()
    ]
    passed = np.mean([r[0] for r in rates], axis=0)
    leaked = np.mean([r[1] for r in rates], axis=0)
    points = {name: _least(grid, leaked, share) for name, share in (("cautious", 0.2), ("strict", 0.05))}
    return {"balanced": float(grid[np.argmax(passed - leaked)]), **points}


def _least(grid: Array, leaked: Array, share: float) -> float:
    """The lowest threshold below 1 at which no more than that share leaks; the highest there is where none does."""
    held = np.flatnonzero((leaked <= share) & (grid < 1.0))
    below = grid[grid < 1.0]
    return float(grid[held[0]]) if len(held) else float(below[-1]) if len(below) else 0.999


def answer_power(scores: Sequence[Array], labels: NDArray[np.int64]) -> float:
    """Return the power of the product of claim scores that predicts the answers' labels best, in [0, 1]."""
    sums = np.array([np.log(np.clip(s, 1e-9, 1)).sum() for s in scores])
    grid = np.linspace(0.05, 1, 20)
    losses = [_cross_entropy(np.exp(power * sums), labels) for power in grid]
    return float(np.round(grid[int(np.argmin(losses))], 2))


class _Problem:
    """Bases of all claims, and the penalised loss of the claims that stand for their answers."""

    def __init__(
        self,
        sets: Mapping[str, Answers],
        knots: Mapping[str, Array],
        penalty: float,
        weights: Mapping[str, float],
    ) -> None:
        features = [f for one in sets.values() for f in one.features]
        self.starts = np.concatenate([[0], np.cumsum([len(f) for f in features])])
        stacked = np.concatenate(features)
        self.basis = np.concatenate(
            [curve_basis(stacked[:, NAMES.index(n)], k) for n, k in knots.items()], axis=1
        )
        self.width = self.basis.shape[1]
        self.labels = np.concatenate([one.labels for one in sets.values()]).astype(np.float64)
        self.group = np.repeat(np.arange(len(sets)), [len(one.labels) for one in sets.values()])
        self.weight = np.concatenate(
            [_balanced(one.labels) * weights.get(name, 1.0) * 1000 / len(sets) for name, one in sets.items()]
        )
        self.penalty = penalty

    def worst(self, solution: Array) -> NDArray[np.int64]:
        """Return the row of every answer's lowest-scoring claim."""
        scores = self.basis @ solution[: self.width]
        pairs = zip(self.starts[:-1], self.starts[1:], strict=True)
        return np.array([a + int(np.argmin(scores[a:b])) for a, b in pairs])

    def solve(self, rows: NDArray[np.int64], start: Array) -> Array:
        """Return the best rises and intercepts when these rows stand for their answers."""
        basis = self.basis[rows]

        def loss(solution: Array) -> tuple[float, Array]:
            rises, intercepts = solution[: self.width], solution[self.width :]
            margin = basis @ rises + intercepts[self.group]
            value = -(
                self.weight * (self.labels * log_expit(margin) + (1 - self.labels) * log_expit(-margin))
            ).sum()
            error = self.weight * (expit(margin) - self.labels)
            slope = np.concatenate(
                [basis.T @ error + 2 * self.penalty * rises, np.bincount(self.group, error, len(intercepts))]
            )
            return float(value + self.penalty * (rises**2).sum()), slope

        bounds = [(0.0, None)] * self.width + [(None, None)] * (len(start) - self.width)
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500})
        return np.asarray(found.x, dtype=np.float64)


def _assembled(
    problem: _Problem, solution: Array, knots: Mapping[str, Array], sets: Mapping[str, Answers]
) -> Combiner:
    rises: dict[str, Array] = {}
    start = 0
    for name, places in knots.items():
        rises[name] = solution[start : start + len(places) - 1]
        start += len(places) - 1
    kept = [name for name in knots if rises[name].sum() > 1e-4]
    found = Combiner(
        tuple(kept),
        tuple(tuple(float(x) for x in knots[name]) for name in kept),
        tuple(tuple(float(max(x, 0.0)) for x in rises[name]) for name in kept),
        float(np.mean(solution[problem.width :])),
        {"balanced": 0.5},
    )
    scored = {
        name: (np.array([found.scores(f).min() for f in one.features]), one.labels)
        for name, one in sets.items()
    }
    everything = [found.scores(f) for one in sets.values() for f in one.features]
    power = answer_power(everything, np.concatenate([one.labels for one in sets.values()]))
    return Combiner(
        found.names, found.knots, found.rises, found.intercept, thresholds_of(scored), power, found.fitted
    )


def _knots(values: Array, bends: int) -> Array:
    places = np.quantile(values, np.linspace(0.01, 0.99, bends + 1))
    whole = np.concatenate([[values.min()], places, [values.max()]])
    kept = [float(whole[0])]
    for value in whole[1:]:
        if value - kept[-1] > 1e-6 * max(1.0, abs(kept[-1])) + 0.01 * (whole[-1] - whole[0]):
            kept.append(float(value))
    return np.asarray(kept)


def _balanced(labels: NDArray[np.int64]) -> Array:
    """Weights that add up to 1, half for each label."""
    ones = max(1, int(labels.sum()))
    zeros = max(1, len(labels) - ones)
    return np.where(labels == 1, 0.5 / ones, 0.5 / zeros)


def _cross_entropy(chances: Array, labels: NDArray[np.int64]) -> float:
    clipped = np.clip(chances, 1e-9, 1 - 1e-9)
    return float(-np.mean(labels * np.log(clipped) + (1 - labels) * np.log(1 - clipped)))
