"""Did it hold? Coverage on held-out questions with an interval, and what it cost.

References:
    Clopper and Pearson 1934 (interval for a proportion).
    Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by
    betting", on why intervals for bounded means beat the binomial's; the one used here
    inverts the Hoeffding-Bentkus test of Bates et al. 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ragguard.conformal.calibration import Calibration
from ragguard.conformal.observations import Observation
from ragguard.conformal.ranks import binomial_interval
from ragguard.conformal.scores import Array
from ragguard.conformal.splits import compare_scores
from ragguard.conformal.thresholds import hoeffding_bentkus


@dataclass(frozen=True)
class Outcome:
    """What the cut did to one held-out question.

    Attributes:
        coverage: 1.0 or 0.0 ("any", "all"), or the share of relevant passages kept.
        passages, tokens: kept; tokens is NaN when unknown.
        abstained: True when the guard turns the question away: nothing kept, novel, or a
            weight for which no threshold exists.
        category: which threshold applied.
        cluster: of the question.
    """

    coverage: float
    passages: int
    tokens: float
    abstained: bool
    category: str
    cluster: str | None


def evaluate(
    observations: Sequence[Observation],
    calibration: Calibration,
    *,
    confidence: float = 0.95,
    by_cluster: bool = False,
    splits: int = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """Return coverage, its interval and the cost on held-out questions, JSON-ready.

    `coverage` is over answerable questions of calibrated groups and counts what the
    cut keeps; `false_abstain_rate` is the share of them that the guard turns
    away all the same, `abstain_rate` the share of unanswerable questions turned away.

    Args:
        observations: not used in calibration.
        calibration: what is being evaluated.
        confidence: of the interval.
        by_cluster: interval by cluster bootstrap instead of the exact one.
        splits: random splits over which every score is compared at equal alpha; 0 for none.
        seed: of the bootstrap and the splits.
    """
    artifact = calibration.artifact
    known = [o for o in observations if calibration.category(o.group) is not None]
    answerable = [outcome(o, calibration) for o in known if o.answerable]
    unanswerable = [outcome(o, calibration) for o in known if not o.answerable]
    # Without a calibrated group there is no threshold, and the turn ends there: nothing is released.
    stray = [True for o in observations if not o.answerable and calibration.category(o.group) is None]
    turned_away = [o.abstained for o in unanswerable] + stray
    rng = np.random.default_rng(seed)

    def part(outcomes: Sequence[Outcome]) -> dict[str, Any]:
        return _summary(outcomes, artifact.target, confidence, rng if by_cluster else None)

    categories = sorted({o.category for o in answerable}) if calibration.grouped else []
    return {
        **part(answerable),
        "n_unanswerable": len(turned_away),
        "n_unseen_group": len(observations) - len(known),
        "abstain_rate": _mean(turned_away),
        "false_abstain_rate": _mean([o.abstained for o in answerable]),
        "mean_passages_unanswerable": _mean([0 if o.abstained else o.passages for o in unanswerable]),
        "alpha": artifact.alpha,
        "delta": artifact.delta,
        "target": artifact.target,
        "score": artifact.score,
        "confidence": confidence,
        "groups": {c: part([o for o in answerable if o.category == c]) for c in categories},
        **({"comparison": compare_scores(known, calibration, splits=splits, seed=seed)} if splits else {}),
    }


def outcome(observation: Observation, calibration: Calibration) -> Outcome:
    """Return what the calibration does to one question of a calibrated group."""
    artifact = calibration.artifact
    category = calibration.category(observation.group) or ""
    threshold = calibration.threshold(category, weight=observation.weight)
    count = observation.kept(calibration.score, threshold, cap=artifact.cap)
    relevant = observation.relevant_scores(calibration.score, cap=artifact.cap)
    # An infinite threshold of a weighted calibration keeps what was returned, no more.
    kept = (relevant <= threshold) & np.isfinite(relevant)
    novel = calibration.novelty is not None and calibration.novelty.is_novel(observation.top)
    tokens = observation.tokens
    return Outcome(
        coverage=_coverage(kept, artifact.target),
        passages=count,
        tokens=float("nan") if tokens is None else float(tokens[:count].sum()),
        abstained=count == 0 or novel or bool(np.isinf(threshold)),
        category=category,
        cluster=observation.cluster,
    )


def _coverage(kept: np.ndarray, target: str) -> float:
    if not len(kept):
        return float("nan")
    return float({"any": kept.any(), "all": kept.all(), "recall": kept.mean()}[target])


def _summary(
    outcomes: Sequence[Outcome], target: str, confidence: float, bootstrap: np.random.Generator | None
) -> dict[str, Any]:
    covered = np.array([o.coverage for o in outcomes])
    passages = np.array([o.passages for o in outcomes], dtype=float)
    tokens = np.array([o.tokens for o in outcomes])
    interval, method = _interval(outcomes, covered, target, confidence, bootstrap)
    return {
        "n": len(outcomes),
        "coverage": _mean(covered),
        "coverage_ci": interval,
        "ci_method": method,
        "mean_passages": _mean(passages),
        "passages_quantiles": _quantiles(passages),
        "mean_tokens": None if np.isnan(tokens).any() else _mean(tokens),
        "tokens_quantiles": None if np.isnan(tokens).any() else _quantiles(tokens),
    }


def _interval(
    outcomes: Sequence[Outcome],
    covered: Array,
    target: str,
    confidence: float,
    bootstrap: np.random.Generator | None,
) -> tuple[list[float] | None, str]:
    if not len(covered):
        return None, "none"
    if bootstrap is not None:
        clusters = [o.cluster for o in outcomes]
        return list(cluster_bootstrap(covered, clusters, confidence, bootstrap)), "cluster bootstrap"
    if target == "recall":
        return list(bounded_mean_interval(covered, confidence)), "hoeffding-bentkus"
    return list(binomial_interval(int(covered.sum()), len(covered), confidence)), "clopper-pearson"


def bounded_mean_interval(values: Array, confidence: float = 0.95) -> tuple[float, float]:
    """Return an interval for the mean of independent values in [0, 1], by inverting the Hoeffding-Bentkus test."""
    tail, mean, n = (1.0 - confidence) / 2.0, float(np.mean(values)), len(values)
    low = 1.0 - _upper(1.0 - mean, n, tail)
    return low, _upper(mean, n, tail)


def _upper(mean: float, n: int, tail: float) -> float:
    """Return the largest true mean that the observed one does not reject at the tail level."""
    low, high = mean, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if hoeffding_bentkus(mean, n, middle) <= tail:
            high = middle
        else:
            low = middle
    return high


def cluster_bootstrap(
    values: Array,
    clusters: Sequence[str | None],
    confidence: float,
    rng: np.random.Generator,
    *,
    draws: int = 2000,
) -> tuple[float, float]:
    """Return a percentile interval of the mean, resampling whole clusters; a value without one is its own."""
    names = [c if c is not None else f"\0{i}" for i, c in enumerate(clusters)]
    _, index = np.unique(names, return_inverse=True)
    sums = np.bincount(index, weights=values)
    sizes = np.bincount(index).astype(float)
    picks = rng.integers(0, len(sums), size=(draws, len(sums)))
    means = sums[picks].sum(axis=1) / sizes[picks].sum(axis=1)
    tail = (1.0 - confidence) / 2.0
    return float(np.quantile(means, tail)), float(np.quantile(means, 1.0 - tail))


def _mean(values: Sequence[Any] | Array) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _quantiles(values: Array) -> dict[str, float] | None:
    return {f"p{q}": float(np.quantile(values, q / 100)) for q in (50, 90, 99)} if len(values) else None
