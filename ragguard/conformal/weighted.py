"""Weighted conformal prediction: the bound under a known covariate shift.

When questions to come are drawn from another distribution than the calibration
ones and the likelihood ratio w(x) of the two is known, weighting each
calibration score by w restores the marginal bound. The test question's own weight
enters too, so every question has its own threshold. With ratios estimated by a
classifier the bound is approximate, and the certificate says so.

References:
    Tibshirani, Barber, Candes and Ramdas 2019, "Conformal Prediction Under Covariate Shift".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from ragguard.conformal.scores import Array
from ragguard.errors import InvalidValueError


@dataclass(frozen=True)
class WeightedScores:
    """Calibration scores with their likelihood ratios, sorted by score.

    Attributes:
        scores: (n,), ascending, +inf for targets out of reach.
        weights: (n,), positive and finite, in the same order.
    """

    scores: Array
    weights: Array

    @classmethod
    def of(cls, scores: Array, weights: Array) -> WeightedScores:
        """Sort and check.

        Raises:
            InvalidValueError: a weight is not a positive finite number.
        """
        bad = np.flatnonzero(~(np.isfinite(weights) & (weights > 0)))
        if len(bad):
            raise InvalidValueError(
                f"weight {bad[0]} is {weights[bad[0]]}", hint="likelihood ratios are positive and finite"
            )
        order = np.argsort(scores, kind="stable")
        return cls(np.asarray(scores)[order], np.asarray(weights)[order])

    def threshold(self, weight: float, alpha: float) -> float:
        """Return the threshold for one question of that weight; +inf when the target is out of reach.

        The smallest s with sum of w_i over scores <= s at least (1 - alpha)(sum of all w_i + weight).
        """
        if not (np.isfinite(weight) and weight > 0):
            raise InvalidValueError(f"weight {weight!r} is not a positive finite likelihood ratio")
        goal = (1.0 - alpha) * (self.weights.sum() + weight)
        reached = np.cumsum(self.weights)
        index = int(np.searchsorted(reached, goal * (1 - 1e-12), side="left"))
        return float(self.scores[index]) if index < len(self.scores) else float("inf")

    @property
    def effective_size(self) -> float:
        """Kish's effective sample size, (sum w)^2 / sum w^2: how many unweighted questions these are worth."""
        return float(self.weights.sum() ** 2 / (self.weights**2).sum())


@dataclass(frozen=True)
class LogisticRatio:
    """An estimated likelihood ratio: odds of "serving traffic" against "calibration", by logistic regression.

    Attributes:
        coefficients: (d + 1,), the last one is the intercept.
        prior: calibration questions per traffic question seen in fitting.
    """

    coefficients: Array
    prior: float

    def __call__(self, vectors: Array) -> Array:
        """Return one ratio a row of (n, d) vectors, clipped to [1e-3, 1e3]."""
        logits = np.asarray(vectors, dtype=np.float64) @ self.coefficients[:-1] + self.coefficients[-1]
        return np.asarray(np.clip(self.prior * np.exp(np.clip(logits, -50, 50)), 1e-3, 1e3))


def fit_ratio(calibration: Array, traffic: Array, *, ridge: float = 1.0, steps: int = 50) -> LogisticRatio:
    """Fit a likelihood ratio by ridge-penalised logistic regression (Newton steps).

    Args:
        calibration: (n, d) question vectors of the calibration set; use a share of it
            that is not calibrated on, or the ratios depend on the scores they weigh.
        traffic: (m, d) vectors of unlabelled questions as they will come.
        ridge: penalty on the coefficients, in units of one observation; > 0.
        steps: most Newton steps.

    Raises:
        InvalidValueError: a side is empty, shapes differ, or ridge is not positive.
    """
    if not (len(calibration) and len(traffic)) or calibration.shape[1] != traffic.shape[1]:
        raise InvalidValueError(
            f"need vectors of one width, got shapes {calibration.shape} and {traffic.shape}"
        )
    if not ridge > 0:
        raise InvalidValueError(f"ridge must be positive, got {ridge}")
    x = np.vstack([calibration, traffic]).astype(np.float64)
    x = np.hstack([x, np.ones((len(x), 1))])
    y = np.repeat([0.0, 1.0], [len(calibration), len(traffic)])
    penalty = np.full(x.shape[1], ridge)
    penalty[-1] = 1e-8  # the intercept carries the class balance and must stay free
    beta = np.zeros(x.shape[1])
    for _ in range(steps):
        p = expit(x @ beta)
        gradient = x.T @ (p - y) + penalty * beta
        hessian = (x.T * (p * (1 - p) + 1e-9)) @ x + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        beta -= step
        if float(np.abs(step).max()) < 1e-8:
            break
    return LogisticRatio(beta, len(calibration) / len(traffic))
