"""Metrics over several consistency sets: one threshold for all, and means over families of sets.

What is measured on one set comes from `ragguard.evaluation.binary`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ragguard.evaluation.binary import (
    Array,
    Labels,
    accuracies,
    accuracy_draws,
    auc,
    auc_draws,
    balanced_accuracy,
    best_threshold,
    between,
    document_weights,
    interval,
)

__all__ = [
    "Array",
    "Labels",
    "accuracy_draws",
    "auc",
    "auc_draws",
    "balanced_accuracy",
    "best_threshold",
    "document_weights",
    "interval",
    "mean_draws",
    "shared_threshold",
]

_CANDIDATES = 512  # thresholds tried for several sets at once


def shared_threshold(sets: Sequence[tuple[Array, Labels]]) -> float:
    """Return one threshold for several sets: of the highest mean balanced accuracy; NaN without a usable set."""
    usable = [(scores, labels) for scores, labels in sets if len(set(labels.tolist())) == 2]
    if not usable:
        return float("nan")
    tried = between(np.concatenate([scores for scores, _ in usable]))
    if len(tried) > _CANDIDATES:
        tried = tried[np.linspace(0, len(tried) - 1, _CANDIDATES).astype(np.intp)]
    found = np.mean([accuracies(scores, labels, tried) for scores, labels in usable], axis=0)
    return float(tried[int(np.argmax(found))])


def mean_draws(draws: Mapping[str, Array], families: Mapping[str, Sequence[str]]) -> Array:
    """Return the mean over families of the mean over their sets; the sets' draws are independent."""
    parts = [np.mean([draws[name] for name in names], axis=0) for names in families.values()]
    mean: Array = np.mean(parts, axis=0)
    return mean
