"""Choosing a score or a temperature, on questions that are then not calibrated on.

Choosing on the calibration set itself would make its scores look better than those
of questions to come, and the bound would be lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ragguard.conformal.observations import Observation, Target
from ragguard.conformal.ranks import needed_questions
from ragguard.conformal.scores import DEFAULT_TEMPERATURE, SCORES, TEMPERED, Score, make_score
from ragguard.conformal.thresholds import find_threshold
from ragguard.errors import NoValidThresholdError

MINIMUM_QUESTIONS = 50
"""Below this many answerable questions nothing is tuned: the share would be too small to choose by."""

_TEMPERATURES = (0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.07, 0.1, 0.15, 0.2)


def split(
    observations: Sequence[Observation], share: float, rng: np.random.Generator
) -> tuple[list[Observation], list[Observation]]:
    """Return (tuning, rest) at random; questions of one cluster stay together.

    The tuning part holds about `share` of the questions, never more.
    """
    clusters: dict[str, list[Observation]] = {}
    for observation in observations:
        clusters.setdefault(observation.cluster or f"\0{observation.id}", []).append(observation)
    names = sorted(clusters)
    rng.shuffle(names)
    wanted = round(share * len(observations))
    tuning: list[Observation] = []
    rest: list[Observation] = []
    for name in names:
        (tuning if len(tuning) + len(clusters[name]) <= wanted else rest).extend(clusters[name])
    return tuning, rest


@dataclass(frozen=True)
class Choice:
    """A candidate score and what it cost on the tuning share."""

    score: Score
    mean_passages: float


def choose(
    observations: Sequence[Observation],
    name: str,
    *,
    alpha: float,
    target: Target = "any",
    cap: int | None = None,
) -> list[Choice]:
    """Return the candidates for a score name, cheapest first at equal alpha.

    Args:
        observations: the tuning share, answerable.
        name: "softmax" and "reranker" try temperatures; "auto" tries every score as well; any
            other name is its own only candidate.
        alpha: as will be calibrated; raised to what so few questions allow.
        target, cap: as will be calibrated.
    """
    attainable = max(alpha, _least_alpha(len(observations)))
    choices = [
        Choice(s, _cost(observations, s, attainable, target, cap)) for s in _candidates(name, observations)
    ]
    return sorted(choices, key=lambda c: c.mean_passages)


def _candidates(name: str, observations: Sequence[Observation]) -> list[Score]:
    # Sorted by distance from the default, so that ties keep the temperature closest to it.
    temperatures = sorted(
        {*_TEMPERATURES, *_scaled(observations)}, key=lambda t: abs(np.log(t / DEFAULT_TEMPERATURE))
    )
    softmaxes = [make_score(name if name in TEMPERED else "softmax", temperature=t) for t in temperatures]
    if name in TEMPERED:
        return softmaxes
    if name == "auto":
        return [*softmaxes, *(make_score(s) for s in SCORES if s not in ("softmax", "external"))]
    return [make_score(name)]


def _scaled(observations: Sequence[Observation]) -> list[float]:
    """Temperatures on the scale of the retriever's own scores, which need not be cosines."""
    spreads = [float(np.std(o.similarities)) for o in observations if len(o.similarities) > 1]
    scale = float(np.median(spreads)) if spreads else 0.0
    return [round(scale * f, 6) for f in (0.1, 0.2, 0.35, 0.5, 1.0)] if scale > 1e-4 else []


def _cost(
    observations: Sequence[Observation], score: Score, alpha: float, target: Target, cap: int | None
) -> float:
    try:
        threshold = find_threshold(observations, score, alpha=alpha, target=target, cap=cap).value
    except NoValidThresholdError:
        return float("inf")
    return float(np.mean([o.kept(score, threshold, cap=cap) for o in observations]))


def _least_alpha(n: int) -> float:
    alpha = 1.0 / (n + 1)
    return alpha if needed_questions(alpha) <= n else 1.0 / n
