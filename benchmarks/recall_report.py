"""Expected recall over repeated splits: conformal risk control against its bounds, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.published import published_splits
from benchmarks.splits_report import TOLERANCE, standard_error
from ragguard.conformal.observations import Observation
from ragguard.conformal.scores import Array, Score, make_score
from ragguard.conformal.thresholds import find_threshold
from ragguard.errors import NoValidThresholdError, TooFewQuestionsError

Row = dict[str, Any]


def recall_cell(
    pool: Sequence[Observation],
    name: str,
    score: Score,
    *,
    n: int,
    alpha: float,
    splits: int,
    seed: int,
    delta: float | None = None,
) -> Row:
    """Return the mean risk (1 - recall) of `find_threshold(target="recall")` on the questions left out.

    Without delta the bound is on the mean risk: at most alpha, and at least about
    alpha - 2/(n + 1) where the loss has no large steps. With delta, calibration sets are
    drawn with replacement, so that the pool is the population: its share with a
    population risk above alpha is `above_alpha`, at most delta. Without a threshold
    everything is kept, at the risk of what the store does not hold.
    """
    head: Row = {"score": name, "alpha": alpha, "n": n, "target": "recall"}
    if delta is not None:
        head["delta"] = delta
    curves, small = _Curves(pool, score), [_relevant_only(o, score) for o in pool]
    rng = np.random.default_rng([seed, n, 0 if delta is None else 1])
    risks, passages, missing = [], [], 0
    for _ in range(splits):
        chosen = rng.permutation(len(pool))[:n] if delta is None else rng.integers(0, len(pool), size=n)
        try:
            threshold = find_threshold(
                [small[i] for i in chosen], make_score("external"), alpha=alpha, delta=delta, target="recall"
            ).value
        except TooFewQuestionsError as error:
            return {**head, "skipped": str(error)}
        except NoValidThresholdError:
            threshold, missing = np.inf, missing + 1
        tested = np.ones(len(pool), dtype=bool)
        tested[chosen] = delta is not None
        risks.append(float(curves.risk(threshold)[tested].mean()))
        passages.append(float(curves.kept(threshold)[tested].mean()))
    return {
        **head,
        **_summary(np.array(risks), np.array(passages), alpha, n, delta),
        "unattainable": missing / splits,
    }


def published_recall_cell(
    pool: Sequence[Observation], *, n: int, alpha: float, splits: int, seed: int
) -> Row:
    """Return the risk the published rule runs; it looks at the first relevant passage alone."""
    rng = np.random.default_rng([seed, n])
    found = published_splits(pool, n=n, alpha=alpha, splits=splits, rng=rng, target="recall")
    row = _summary(1.0 - found.coverage, found.passages, alpha, n, None)
    row.pop("risk_floor")  # it promises none
    return {
        "score": "published",
        "alpha": alpha,
        "n": n,
        "target": "recall",
        **row,
        "coverage_any": float(found.coverage_any.mean()),
        "dropped": found.dropped,
    }


def _summary(risks: Array, passages: Array, alpha: float, n: int, delta: float | None) -> Row:
    mean, error = float(risks.mean()), standard_error(risks)
    row: Row = {
        "risk": mean,
        "standard_error": error,
        "sd": float(risks.std(ddof=1)),
        "mean_passages": float(passages.mean()),
        "splits": len(risks),
    }
    if delta is None:
        row["risk_floor"] = max(0.0, alpha - 2.0 / (n + 1))
        row["verdict"] = "holds" if mean <= alpha + TOLERANCE * error else "above"
    else:
        row["above_alpha"] = float(np.mean(risks > alpha + 1e-12))
    return row


def _relevant_only(observation: Observation, score: Score) -> Observation:
    """The same observation reduced to its relevant passages: the threshold rests on nothing else."""
    values = np.sort(observation.relevant_scores(score))
    finite = int(np.isfinite(values).sum())
    positions = tuple(i if i < finite else -1 for i in range(len(values)))
    return Observation(observation.id, -values[:finite], positions, cluster=observation.cluster)


class _Curves:
    """Risk and passages kept of every question, at any threshold."""

    def __init__(self, pool: Sequence[Observation], score: Score) -> None:
        self._scores = np.array([o.nonconformity(score) for o in pool])
        relevant = [o.relevant_scores(score) for o in pool]
        self._relevant = np.concatenate(relevant)
        self._owner: NDArray[np.intp] = np.repeat(np.arange(len(pool)), [len(r) for r in relevant])
        self._sizes = np.array([len(r) for r in relevant])

    def risk(self, threshold: float) -> Array:
        """Return 1 - recall of each question; what the store does not hold is missed at any threshold."""
        missed = (self._relevant > threshold) | np.isinf(self._relevant)
        return np.asarray(np.bincount(self._owner, weights=missed, minlength=len(self._sizes)) / self._sizes)

    def kept(self, threshold: float) -> NDArray[np.int64]:
        """Return passages kept for each question."""
        return np.asarray(np.count_nonzero(self._scores <= threshold, axis=1))
