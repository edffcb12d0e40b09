"""Whether a trained reranker may take the place of the one it was trained from.

It must have ordered held-out questions better, by more than chance explains.
Questions are resampled by cluster, both rerankers' figures together. A bootstrap
alone is too sure where only a few questions differ at all (four that got better
and none worse are four coins that fell alike, yet hardly any resample leaves all
four out), so the signs of the differences are tested too. That test is exact:
where the trained one is no better, and gains and losses are alike, it promotes
at most `risk` of the time, however few questions there are.

References:
    Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapters 13 and 15.
    Phipson and Smyth (2010), Permutation p-values should never be zero.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ragguard.errors import InvalidValueError

Floats = NDArray[np.float64]

RISK = 0.025
"""One-sided: the lower end of a 95 % interval."""
DRAWS = 4000
_ROWS = 256


@dataclass(frozen=True)
class Gain:
    """A mean difference over questions, and how sure it is.

    Attributes:
        mean: over questions; above 0 is better. NaN without questions.
        lower: end of the one-sided interval: with probability `risk` the mean is below.
        upper: the same from above.
        p_value: of the signs: how often chance alone gives a mean as large.
        questions: that both were measured on.
        clusters: of questions that were resampled together.
        risk: of each end.
    """

    mean: float
    lower: float
    upper: float
    p_value: float
    questions: int
    clusters: int
    risk: float

    @property
    def promotes(self) -> bool:
        """Whether the gain is above zero by both the resampling and the signs."""
        return bool(self.lower > 0.0 and self.p_value <= self.risk)

    def as_json(self) -> dict[str, Any]:
        """Return the figures, None in place of NaN."""
        found = asdict(self)
        plain = {name: None if value != value else value for name, value in found.items()}
        return {**plain, "promotes": self.promotes}


def paired_gain(
    base: ArrayLike,
    trained: ArrayLike,
    *,
    clusters: Sequence[Hashable] | None = None,
    risk: float = RISK,
    draws: int = DRAWS,
    seed: int = 0,
) -> Gain:
    """Return the mean gain of `trained` over `base` on the same questions, with a bootstrap interval.

    Args:
        base: a figure a question, shape (questions,); NaN where it is not defined.
        trained: likewise; a question counts where both are defined.
        clusters: the cluster of each question; each its own by default.
        risk: in (0, 0.5), of either end.
        draws: resamples, and sign flips.
        seed: of both.

    Raises:
        InvalidValueError: shapes differ, `risk` is out of range, or there are too few draws for it.
    """
    a, b = np.asarray(base, dtype=np.float64), np.asarray(trained, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or (clusters is not None and len(clusters) != len(a)):
        raise InvalidValueError(f"figures have shapes {a.shape} and {b.shape}", hint="one each a question")
    if not 0.0 < risk < 0.5 or draws * risk < 10:
        raise InvalidValueError(
            f"risk is {risk} with {draws} draws", hint="risk lies in (0, 0.5); use 10 / risk draws or more"
        )
    sums, counts = _by_cluster(b - a, clusters)
    questions = int(counts.sum())
    if questions == 0:
        return Gain(float("nan"), float("nan"), float("nan"), 1.0, 0, 0, risk)
    rng = np.random.default_rng(seed)
    mean = float(sums.sum() / questions)
    lower, upper = _interval(sums, counts, risk=risk, draws=draws, rng=rng)
    p_value = sign_flip_p(sums, draws=draws, rng=rng)
    return Gain(mean, lower, upper, p_value, questions, len(sums), risk)


def sign_flip_p(sums: ArrayLike, *, draws: int, rng: np.random.Generator) -> float:
    """Return the share of random signs, the ones found among them, that give a sum as large.

    Under symmetric differences P(p <= t) is at most t for every t.
    """
    values = np.asarray(sums, dtype=np.float64)
    values = values[values != 0.0]
    # A hair of slack, so that equal sums added in another order count as equal.
    reached = float(values.sum()) - 1e-12 * float(np.abs(values).sum())
    larger = 1
    for start in range(0, draws, _ROWS):
        signs = rng.integers(0, 2, size=(min(_ROWS, draws - start), len(values))) * 2 - 1
        larger += int((signs @ values >= reached).sum())
    return larger / (draws + 1)


def _by_cluster(differences: Floats, clusters: Sequence[Hashable] | None) -> tuple[Floats, Floats]:
    """Sum and count of the defined differences in each cluster that has any."""
    keep = ~np.isnan(differences)
    names: Sequence[Hashable] = range(len(differences)) if clusters is None else clusters
    index: dict[Hashable, int] = {}
    places = np.array([index.setdefault(n, len(index)) for n, k in zip(names, keep, strict=True) if k], int)
    sums = np.bincount(places, weights=differences[keep], minlength=len(index))
    counts = np.bincount(places, minlength=len(index))
    return sums.astype(np.float64), counts.astype(np.float64)


def _interval(
    sums: Floats, counts: Floats, *, risk: float, draws: int, rng: np.random.Generator
) -> tuple[float, float]:
    means = []
    for start in range(0, draws, _ROWS):
        picked = rng.integers(0, len(sums), size=(min(_ROWS, draws - start), len(sums)))
        means.append(sums[picked].sum(axis=1) / counts[picked].sum(axis=1))
    found = np.concatenate(means)
    # The lower end from below and the upper from above: no value between two that were drawn.
    return (
        float(np.quantile(found, risk, method="lower")),
        float(np.quantile(found, 1 - risk, method="higher")),
    )
