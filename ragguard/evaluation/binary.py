"""AUC-ROC and balanced accuracy of scores against labels, with intervals over resampled documents.

Items of one document are not independent, so whole documents are drawn with
replacement, and an item counts as often as its document was drawn. The draws of a set
are the same for every scorer: differences between scorers are paired.

References:
    Bamber 1975, on the area under the ROC curve as the Mann-Whitney statistic.
    Field and Welsh 2007, "Bootstrapping clustered data".
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

_CHUNK = 250  # resamples at a time: memory stays in the megabytes
_LEVEL = (2.5, 97.5)


def auc(scores: Array, labels: Labels, weights: Array | None = None) -> Array:
    """Return P(positive scores higher) + P(equal)/2, one value a row of weights.

    Args:
        scores: (n,), higher is better supported.
        labels: (n,), 1 or 0.
        weights: (r, n), how often an item counts; None for once, r = 1.

    Returns:
        (r,) in [0, 1], NaN for a row without one of the labels.
    """
    order = np.argsort(scores, kind="stable")
    ordered, positive = scores[order], labels[order].astype(np.float64)
    counts = np.ones((1, len(scores))) if weights is None else weights[:, order]
    if not len(scores):
        return np.full(len(counts), np.nan)
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    positives = np.add.reduceat(counts * positive, starts, axis=1)
    negatives = np.add.reduceat(counts * (1.0 - positive), starts, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives
    won = (positives * (below + negatives / 2)).sum(axis=1)
    return _ratio(won, positives.sum(axis=1) * negatives.sum(axis=1))


def balanced_accuracy(scores: Array, labels: Labels, threshold: float, weights: Array | None = None) -> Array:
    """Return the mean of both labels' recall when scores above the threshold count as supported.

    Args:
        scores: (n,).
        labels: (n,), 1 or 0.
        threshold: a score equal to it is not above it.
        weights: (r, n) as in `auc`.

    Returns:
        (r,) in [0, 1], NaN for a row without one of the labels.
    """
    counts = np.ones((1, len(scores))) if weights is None else weights
    right = (scores > threshold) == (labels == 1)
    recalls = [
        _ratio((counts * (right & (labels == label))).sum(axis=1), (counts * (labels == label)).sum(axis=1))
        for label in (0, 1)
    ]
    return (recalls[0] + recalls[1]) / 2


def best_threshold(scores: Array, labels: Labels) -> float:
    """Return the threshold of the highest balanced accuracy, half-way between two scores; of equals the middle one.

    Without items of both labels nothing can be chosen, and it is NaN.
    """
    if len(set(labels.tolist())) < 2:
        return float("nan")
    tried = between(scores)
    found = accuracies(scores, labels, tried)
    equals = np.flatnonzero(found >= found.max() - 1e-12)
    return float(tried[equals[len(equals) // 2]])


def document_weights(documents: Sequence[str], *, resamples: int, seed: int, name: str) -> Array:
    """Return (resamples, n): how often each item counts when whole documents are drawn with replacement.

    Args:
        documents: of each item.
        resamples: number of draws.
        seed: with `name`, fixes the draws.
        name: of the set.
    """
    known, place = np.unique(np.array(documents, dtype=str), return_inverse=True)
    salt = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    rng = np.random.default_rng([seed, salt])
    draws = rng.multinomial(len(known), np.full(len(known), 1.0 / len(known)), size=resamples)
    return draws[:, place].astype(np.float64)


def auc_draws(scores: Array, labels: Labels, weights: Array) -> Array:
    """Return `auc` of every row of weights, some rows at a time."""
    rows = range(0, len(weights), _CHUNK)
    return np.concatenate([auc(scores, labels, weights[i : i + _CHUNK]) for i in rows])


def accuracy_draws(scores: Array, labels: Labels, threshold: float, weights: Array) -> Array:
    """Return `balanced_accuracy` of every row of weights, some rows at a time."""
    rows = range(0, len(weights), _CHUNK)
    parts = [balanced_accuracy(scores, labels, threshold, weights[i : i + _CHUNK]) for i in rows]
    return np.concatenate(parts)


def interval(draws: Array) -> list[float] | None:
    """Return the middle 95 % of the draws; those without a value are left out, None when all are."""
    found = draws[np.isfinite(draws)]
    return [float(v) for v in np.percentile(found, _LEVEL)] if len(found) else None


def accuracies(scores: Array, labels: Labels, tried: Array) -> Array:
    """Return the balanced accuracy at each of the thresholds; both labels must occur."""
    positive, negative = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    above = 1.0 - np.searchsorted(positive, tried, side="right") / len(positive)
    not_above = np.searchsorted(negative, tried, side="right") / len(negative)
    found: Array = (above + not_above) / 2
    return found


def between(scores: Array) -> Array:
    """Return a threshold below all scores, those between neighbours, and the highest (no score is above it)."""
    known = np.unique(scores)
    tried: Array = np.r_[known[0] - 1e-9, (known[1:] + known[:-1]) / 2, known[-1]]
    return tried


def _ratio(part: Array, whole: Array) -> Array:
    found: Array = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return found
