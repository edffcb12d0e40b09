"""Which order statistic of the calibration scores is the threshold, and what it guarantees.

References:
    Vovk, Gammerman and Shafer 2005, Algorithmic Learning in a Random World, section 2.
    Vovk 2012, "Conditional validity of inductive conformal predictors", proposition 2.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import betainc, betaincinv

from ragguard.errors import InvalidValueError, TooFewQuestionsError

# (n + 1)(1 - alpha) is often an integer that floating point misses from above:
# without the slack, n = 149 and alpha = 0.18 would give rank 124 instead of 123.
_SLACK = 1e-9


def check_level(name: str, value: object) -> float:
    """Return the value if it lies strictly between 0 and 1.

    Raises:
        InvalidValueError: it does not, or is not a number.
    """
    if not (isinstance(value, int | float) and 0.0 < value < 1.0):
        raise InvalidValueError(f"{name} must lie strictly between 0 and 1, got {value!r}", hint="e.g. 0.1")
    return float(value)


def needed_questions(alpha: float, delta: float | None = None) -> int:
    """Return the smallest n for which some rank reaches the target.

    ceil(1/alpha) - 1 for the marginal bound; with delta, ceil(ln delta / ln(1 - alpha));
    at least 1.
    """
    check_level("alpha", alpha)
    if delta is None:
        return max(1, math.ceil(1.0 / alpha - _SLACK) - 1)
    check_level("delta", delta)
    return max(1, math.ceil(math.log(delta) / math.log1p(-alpha) - _SLACK))


def conformal_rank(n: int, alpha: float, delta: float | None = None) -> int:
    """Return k: the k-th smallest calibration score is the threshold, and scores <= it are kept.

    Without delta, k = ceil((n + 1)(1 - alpha)): coverage is at least 1 - alpha on
    average over calibration draws. With delta, the smallest k for which coverage is
    at least 1 - alpha with probability at least 1 - delta over calibration draws.

    Args:
        n: calibration questions, at least 1.
        alpha: allowed miscoverage in (0, 1).
        delta: allowed probability of an unlucky calibration set in (0, 1), or None.

    Raises:
        TooFewQuestionsError: no rank up to n reaches the target; the n needed is named.
    """
    need = needed_questions(alpha, delta)
    if n < need:
        promise = f"alpha={alpha:g}" + ("" if delta is None else f" and delta={delta:g}")
        raise TooFewQuestionsError(
            f"{n} calibration questions are too few for {promise}: at least {need} are needed",
            hint="add questions, raise alpha" + ("" if delta is None else " or delta"),
            details={"n": n, "needed": need, "alpha": alpha, "delta": delta},
        )
    if delta is None:
        return max(1, math.ceil((n + 1) * (1.0 - alpha) - _SLACK))
    ranks = np.arange(1, n + 1)
    # The chance of an unlucky set is compared relative to delta: beside 1 - delta a small one would vanish.
    unlucky = betainc(ranks, n + 1.0 - ranks, 1.0 - alpha)
    unlucky[-1] = 0.0  # rank n suffices up to rounding, or n would have been too small above
    return int(ranks[np.argmax(unlucky <= delta * (1.0 + _SLACK))])


def coverage_confidence(n: int, rank: int | np.ndarray, alpha: float) -> np.ndarray:
    """Return P(Beta(rank, n + 1 - rank) >= 1 - alpha), the chance that a calibration set reaches 1 - alpha."""
    k = np.asarray(rank, dtype=float)
    return np.asarray(1.0 - betainc(k, n + 1 - k, 1.0 - alpha))


def smallest_alpha(n: int, rank: int, delta: float | None = None) -> float:
    """Return the smallest alpha that the rank-th smallest of n scores can promise; 1.0 for rank 0."""
    if rank < 1:
        return 1.0
    if delta is None:
        return 1.0 - rank / (n + 1)
    return float(1.0 - betaincinv(rank, n + 1 - rank, delta))


def binomial_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact two-sided interval for a proportion.

    References:
        Clopper and Pearson 1934.
    """
    if trials == 0:
        return 0.0, 1.0
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if successes == 0 else float(betaincinv(successes, trials - successes + 1, tail))
    high = 1.0 if successes == trials else float(betaincinv(successes + 1, trials - successes, 1.0 - tail))
    return low, high
