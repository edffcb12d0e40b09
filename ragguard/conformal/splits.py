"""Repeated random splits: what the law says, and what each score costs at equal coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragguard.conformal.calibration import Calibration
from ragguard.conformal.observations import Observation, Target, target_score
from ragguard.conformal.ranks import conformal_rank
from ragguard.conformal.scores import SCORES, Array, Score, make_score
from ragguard.errors import InvalidValueError


@dataclass(frozen=True)
class SplitResult:
    """Coverage and cost over repeated splits of one question set.

    Attributes:
        coverage: (r,), share of the held-out questions whose target was met, per split.
        passages: (r,), mean passages kept on the held-out questions; +inf where no
            threshold existed.
        unattainable: share of splits without a finite threshold.
        expected: k/(n + 1), the mean coverage that the law promises for continuous scores.
        rank: the order statistic used.
    """

    coverage: Array
    passages: Array
    unattainable: float
    expected: float
    rank: int

    def summary(self) -> dict[str, Any]:
        """Return means, their standard errors and the promise, JSON-ready."""
        finite = np.isfinite(self.passages)
        return {
            "coverage": float(self.coverage.mean()),
            "standard_error": float(self.coverage.std(ddof=1) / np.sqrt(len(self.coverage))),
            "sd": float(self.coverage.std(ddof=1)),
            "expected": self.expected,
            "mean_passages": float(self.passages[finite].mean()) if finite.any() else None,
            "unattainable": self.unattainable,
            "splits": len(self.coverage),
        }


def random_splits(
    observations: Sequence[Observation],
    score: Score,
    *,
    n: int,
    alpha: float,
    splits: int,
    rng: np.random.Generator,
    target: Target = "any",
    delta: float | None = None,
    cap: int | None = None,
) -> SplitResult:
    """Calibrate on n random questions and test on the others, `splits` times.

    The scores do not depend on the split and are computed once. An infinite
    threshold counts as keeping everything that was returned.

    Raises:
        InvalidValueError: the target is recall, or n leaves no question to test on.
        TooFewQuestionsError: n is below what alpha and delta need.
    """
    if target == "recall":
        raise InvalidValueError("the recall target has no rank: its law is a bound on the mean loss")
    answerable = [o for o in observations if o.answerable]
    if not 0 < n < len(answerable):
        raise InvalidValueError(
            f"n must leave some of the {len(answerable)} answerable questions to test on, got {n}"
        )
    needed = np.array([target_score(o.relevant_scores(score, cap=cap), target) for o in answerable])
    kept = _KeptCounts(answerable, score, needed, cap)
    rank = conformal_rank(n, alpha, delta)
    parts = [
        _some_splits(needed, kept, n, rank, rng, min(_CHUNK, splits - done))
        for done in range(0, splits, _CHUNK)
    ]
    coverage, passages = (np.concatenate(p) for p in zip(*parts, strict=True))
    return SplitResult(coverage, passages, float(np.mean(np.isinf(passages))), rank / (n + 1), rank)


def compare_scores(
    observations: Sequence[Observation], calibration: Calibration, *, splits: int, seed: int = 0
) -> dict[str, Any]:
    """Return what each score would cost on these questions at the calibration's alpha and target.

    Half of the answerable questions, at random, calibrate and the other half test,
    `splits` times, groups and weights left aside; the calibrated score is among the others.

    Args:
        observations: not those that chose the score or its temperature.
        calibration: gives alpha, delta, target, cap and its own score.
        splits: at least 2.
        seed: of the splits, the same for every score.

    Raises:
        InvalidValueError: the target is recall, or there are too few splits or questions.
        TooFewQuestionsError: half of the questions is below what alpha and delta need.
    """
    if splits < 2:
        raise InvalidValueError(f"splits must be at least 2, got {splits}", hint="e.g. 1000")
    artifact = calibration.artifact
    n = sum(o.answerable for o in observations) // 2
    others = [make_score(name) for name in SCORES if name not in (artifact.score, "external")]
    summaries = {
        score.name: random_splits(
            observations,
            score,
            n=n,
            alpha=artifact.alpha,
            delta=artifact.delta,
            target=artifact.target,
            cap=artifact.cap,
            splits=splits,
            rng=np.random.default_rng(seed),
        ).summary()
        for score in (calibration.score, *others)
    }
    return {"n": n, "calibrated": artifact.score, "scores": summaries}


_CHUNK = 500


def _some_splits(
    needed: Array, kept: _KeptCounts, n: int, rank: int, rng: np.random.Generator, splits: int
) -> tuple[Array, Array]:
    total = len(needed)
    chosen = rng.random((splits, total)).argpartition(n, axis=1)[:, :n]
    scores = needed[chosen]
    thresholds = np.partition(scores, rank - 1, axis=1)[:, rank - 1]
    finite = np.sort(needed[np.isfinite(needed)])
    met = np.searchsorted(finite, thresholds, side="right")
    own = ((scores <= thresholds[:, None]) & np.isfinite(scores)).sum(axis=1)
    return (met - own) / (total - n), kept.mean_without(chosen, thresholds)


class _KeptCounts:
    """How many passages each question keeps at each of the thresholds that can occur."""

    def __init__(
        self, observations: Sequence[Observation], score: Score, needed: Array, cap: int | None
    ) -> None:
        self._thresholds = np.unique(needed[np.isfinite(needed)])
        rows = [o.nonconformity(score)[:cap] for o in observations]
        self._counts = np.array(
            [np.searchsorted(row, self._thresholds, side="right") for row in rows], dtype=np.int32
        )
        self._totals = self._counts.sum(axis=0)

    def mean_without(self, left_out: NDArray[np.intp], thresholds: Array) -> Array:
        """Return, per split, the mean over the questions not left out; +inf without a finite threshold."""
        if not len(self._thresholds):
            return np.full(len(thresholds), np.inf)
        column = np.searchsorted(self._thresholds, np.where(np.isfinite(thresholds), thresholds, np.nan))
        column = np.minimum(column, len(self._thresholds) - 1)
        own = self._counts[left_out, column[:, None]].sum(axis=1)
        means = (self._totals[column] - own) / (len(self._counts) - left_out.shape[1])
        return np.where(np.isfinite(thresholds), means, np.inf)
