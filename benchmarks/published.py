"""The retrieval rule of the CONFLARE paper's reference package, re-created from its description.

Three things differ from the theory: `np.percentile` at 100(1 - alpha) without the
(n + 1) correction, a strict `<` that loses the boundary passage, and calibration
questions dropped when no relevant passage is among the first 100. It is tested on
all questions. Only the first-ranked relevant passage is looked at.

References:
    Rouzrokh et al. 2024, "CONFLARE: CONFormal LArge language model REtrieval".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragguard.conformal.observations import Observation, Target
from ragguard.conformal.scores import Array

FIRST = 100
"""A calibration question without a relevant passage among so many is dropped."""

_CHUNK = 500  # splits at a time, as in ragguard.conformal.splits: the same seed draws the same splits


def cutoffs(distances: Array, alpha: float) -> Array:
    """Return `np.percentile(row, 100 (1 - alpha))` of each row's finite entries; NaN for a row without any.

    Args:
        distances: (r, n), +inf where the question is dropped.
        alpha: in (0, 1).
    """
    ordered = np.sort(distances, axis=1)
    count = np.isfinite(ordered).sum(axis=1)
    place = np.maximum(count - 1, 0) * (1.0 - alpha)
    low = np.floor(place).astype(np.intp)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    rows = np.arange(len(ordered))
    below, above = ordered[rows, low], ordered[rows, high]
    with np.errstate(invalid="ignore"):
        values = below + (above - below) * (place - low)
    return np.where(count > 0, values, np.nan)


def expected_coverage(n: int, alpha: float) -> float:
    """Return the rule's mean coverage on n independent uniform scores, none dropped.

    The percentile lies a fraction f above the j-th smallest, j + f = (n - 1)(1 - alpha) + 1,
    and the j-th smallest of n uniforms has mean j/(n + 1).
    """
    return ((n - 1) * (1.0 - alpha) + 1.0) / (n + 1)


@dataclass(frozen=True)
class PublishedSplits:
    """The rule over repeated splits.

    Attributes:
        coverage: (r,), mean over the test questions of the target's share kept.
        coverage_any: (r,), share of test questions with any relevant passage kept: the rule's own aim.
        passages: (r,), mean passages kept on the test questions.
        dropped: share of calibration questions dropped.
    """

    coverage: Array
    coverage_any: Array
    passages: Array
    dropped: float


def published_splits(
    observations: Sequence[Observation],
    *,
    n: int,
    alpha: float,
    splits: int,
    rng: np.random.Generator,
    target: Target = "any",
) -> PublishedSplits:
    """Calibrate the rule on n random questions and test it on the others, `splits` times."""
    first, kept = _first_distances(observations), []
    for done in range(0, splits, _CHUNK):
        count = min(_CHUNK, splits - done)
        chosen = rng.random((count, len(observations))).argpartition(n, axis=1)[:, :n]
        limits = cutoffs(first[chosen], alpha)
        tested = np.ones((count, len(observations)), dtype=bool)
        tested[np.arange(count)[:, None], chosen] = False
        kept.append(_test(observations, limits, tested, target))
    coverage, coverage_any, passages = (np.concatenate(part) for part in zip(*kept, strict=True))
    return PublishedSplits(coverage, coverage_any, passages, float(np.isinf(first).mean()))


def _first_distances(observations: Sequence[Observation]) -> Array:
    """Distance of the first-ranked relevant passage, +inf beyond the first 100."""
    places = [min((p for p in o.positions if p >= 0), default=FIRST) for o in observations]
    return np.array(
        [1.0 - o.similarities[p] if p < FIRST else np.inf for o, p in zip(observations, places, strict=True)]
    )


def _test(
    observations: Sequence[Observation], limits: Array, tested: NDArray[np.bool_], target: Target
) -> tuple[Array, Array, Array]:
    """Return coverage of the target, coverage of "any" and passages: the mean over tested questions, a split."""
    sums = np.zeros((3, len(limits)))
    for observation, here in zip(observations, tested.T, strict=True):
        distances = 1.0 - observation.similarities
        count = np.searchsorted(distances, limits[here], side="left")  # strict: distance < limit
        places = np.array([p if p >= 0 else len(distances) for p in observation.positions])
        held = count[:, None] > places
        sums[0, here] += {"any": held.any(1), "all": held.all(1), "recall": held.mean(1)}[target]
        sums[1, here] += held.any(axis=1)
        sums[2, here] += count
    coverage, coverage_any, passages = sums / tested.sum(axis=1)
    return coverage, coverage_any, passages
