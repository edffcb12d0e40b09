"""From calibration scores to one threshold, or a typed explanation of why there is none.

References:
    Angelopoulos, Bates, Fisch, Lei and Schuster 2022, "Conformal Risk Control", theorem 1.
    Bates, Angelopoulos, Lei, Malik and Jordan 2021, "Distribution-Free, Risk-Controlling
    Prediction Sets", section 3 (Hoeffding-Bentkus bound: theorem 4 and proposition 5).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr

from ragguard.conformal.observations import Observation, Target, target_score
from ragguard.conformal.ranks import conformal_rank, needed_questions, smallest_alpha
from ragguard.conformal.scores import Array, Score, make_score
from ragguard.errors import TargetUnattainableError, TooFewQuestionsError


@dataclass(frozen=True)
class Threshold:
    """A threshold and what it rests on; passages with nonconformity <= value are kept.

    Attributes:
        value: finite.
        n: answerable calibration questions.
        rank: order statistic used, or None for the recall target.
        unreachable: questions whose target no threshold meets (score +inf).
    """

    value: float
    n: int
    rank: int | None
    unreachable: int


def find_threshold(
    observations: Sequence[Observation],
    score: Score,
    *,
    alpha: float,
    delta: float | None = None,
    target: Target = "any",
    cap: int | None = None,
) -> Threshold:
    """Return the smallest threshold that meets the target on questions like these.

    Args:
        observations: answerable questions, exchangeable with those to come.
        score: fixed without looking at these observations.
        alpha: allowed miscoverage ("any", "all") or expected share of relevant
            passages missed ("recall"), in (0, 1).
        delta: with it the bound holds for all but a share delta of calibration sets.
        target: what must be kept: any relevant passage, all of them, or a share.
        cap: most passages kept.

    Raises:
        TooFewQuestionsError: n is below what alpha and delta need.
        TargetUnattainableError: too many relevant passages are out of reach; the miss
            rate, the smallest attainable alpha and the smallest sufficient cap are named.
    """
    if target == "recall":
        return _recall_threshold(observations, score, alpha, delta, cap)
    rank = conformal_rank(len(observations), alpha, delta)
    scores = np.array([target_score(o.relevant_scores(score, cap=cap), target) for o in observations])
    value = float(np.partition(scores, rank - 1)[rank - 1])
    unreachable = int(np.isinf(scores).sum())
    if np.isinf(value):
        least = smallest_alpha(len(scores), len(scores) - unreachable, delta)
        miss_rate = unreachable / len(scores)
        raise _unattainable(observations, alpha, delta, target, cap, miss_rate, least, unreachable)
    return Threshold(value, len(scores), rank, unreachable)


def _recall_threshold(
    observations: Sequence[Observation], score: Score, alpha: float, delta: float | None, cap: int | None
) -> Threshold:
    n, need = len(observations), needed_questions(alpha, delta)
    if n < need:
        conformal_rank(n, alpha, delta)  # raises, naming the n needed
    curve = RecallLoss([o.relevant_scores(score, cap=cap) for o in observations])
    accepted = curve.accepted(risk_test(n, alpha, delta))
    if accepted is None:
        unreachable = sum(bool(np.isinf(r).any()) for r in curve.relevant)
        least = _smallest_risk(n, curve.floor, delta)
        raise _unattainable(observations, alpha, delta, "recall", cap, curve.floor, least, unreachable)
    unreachable = sum(bool(np.isinf(r).any()) for r in curve.relevant)
    return Threshold(accepted, n, None, unreachable)


class RecallLoss:
    """Mean over questions of the share of relevant passages above the threshold: a right-continuous step curve."""

    def __init__(self, relevant: Sequence[Array]) -> None:
        self.relevant = list(relevant)
        steps = np.concatenate(self.relevant)
        weights = np.concatenate([np.full(len(r), 1.0 / len(r)) for r in self.relevant]) / len(self.relevant)
        finite = np.isfinite(steps)
        order = np.argsort(steps[finite], kind="stable")
        self._steps = steps[finite][order]
        # Summed from the far end, so that the loss at the last step is the floor exactly.
        falling = np.cumsum(weights[finite][order][::-1])[::-1]
        self.floor = float(weights[~finite].sum())
        self._losses = self.floor + np.append(falling[1:], 0.0) if len(self._steps) else np.empty(0)

    def __call__(self, threshold: float) -> float:
        """Return the mean loss in [0, 1] at a threshold."""
        index = int(np.searchsorted(self._steps, threshold, side="right")) - 1
        return float(self._losses[index]) if index >= 0 else 1.0

    def accepted(self, test: Callable[[float], bool]) -> float | None:
        """Return the smallest step at which the test accepts the loss, or None; the test is monotone."""
        for start in range(0, len(self._steps), 1024):
            if test(self(self._steps[min(start + 1023, len(self._steps) - 1)])):
                block = self._steps[start : start + 1024]
                return next(float(s) for s in block if test(self(s)))
        return None


def risk_test(n: int, alpha: float, delta: float | None) -> Callable[[float], bool]:
    """Return the test of an empirical risk in [0, 1]: True where it vouches for a true risk <= alpha.

    Without delta, conformal risk control: n/(n+1) risk + 1/(n+1) <= alpha, which bounds
    the expected risk. With delta, the Hoeffding-Bentkus p-value of "risk > alpha" is at
    most delta, which bounds the risk for all but a share delta of calibration sets.
    """
    if delta is None:
        return lambda risk: n / (n + 1) * risk + 1.0 / (n + 1) <= alpha + 1e-12
    # The slack is relative and below any meaning of delta; without it n = ln delta / ln(1 - alpha) may just fail.
    return lambda risk: hoeffding_bentkus(risk, n, alpha) <= delta * (1.0 + 1e-9)


def hoeffding_bentkus(risk: float, n: int, alpha: float) -> float:
    """Return a p-value for "the true mean exceeds alpha", given the mean of n losses in [0, 1]."""
    if risk >= alpha:
        return 1.0
    if alpha >= 1.0:
        return 0.0
    divergence = _xlog(risk, risk / alpha) + _xlog(1 - risk, (1 - risk) / (1 - alpha))
    hoeffding = math.exp(-n * divergence)
    bentkus = math.e * float(bdtr(math.ceil(n * risk - 1e-9), n, alpha))
    return min(1.0, hoeffding, bentkus)


def _xlog(x: float, ratio: float) -> float:
    return 0.0 if x == 0 else x * math.log(ratio)


def _smallest_risk(n: int, floor: float, delta: float | None) -> float:
    """Return the smallest alpha whose risk test accepts the floor, by bisection."""
    low, high = floor, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if 0 < middle < 1 and n >= needed_questions(middle, delta) and risk_test(n, middle, delta)(floor):
            high = middle
        else:
            low = middle
    return high


def _unattainable(
    observations: Sequence[Observation],
    alpha: float,
    delta: float | None,
    target: Target,
    cap: int | None,
    miss_rate: float,
    least: float,
    unreachable: int,
) -> TargetUnattainableError:
    sufficient = _sufficient_cap(observations, alpha, delta, target) if cap is not None else None
    where = "the retriever's results" if cap is None else f"a cap of {cap} passages"
    ways = [f"alpha >= {math.ceil(least * 1000) / 1000:g}"] if least < 0.999 else []
    if sufficient is not None:
        ways.append(f"a cap of at least {sufficient} passages")
    else:
        ways.append("a retriever that returns more results for each question")
    return TargetUnattainableError(
        f"alpha={alpha:g} is out of reach: {miss_rate:.1%} of what must be kept lies outside {where}",
        hint="what would do: " + " or ".join(ways),
        details={
            "alpha": alpha,
            "miss_rate": miss_rate,
            "smallest_alpha": least,
            "smallest_cap": sufficient,
            "cap": cap,
            "n": len(observations),
            "unreachable": unreachable,
        },
    )


def _sufficient_cap(
    observations: Sequence[Observation], alpha: float, delta: float | None, target: Target
) -> int | None:
    """Return the smallest cap at which a threshold exists: the same search with rank as the score."""
    try:
        found = find_threshold(
            observations, make_score("rank"), alpha=alpha, delta=delta, target=target, cap=None
        )
    except (TargetUnattainableError, TooFewQuestionsError):
        return None
    return int(found.value)
