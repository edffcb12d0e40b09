"""Scores turned into figures: a threshold from one half, rates on the other, with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.consistency_metrics import auc, best_threshold
from benchmarks.trace_texts import Half
from ragguard.trace.calibrate import calibrate_trace

HALVES: tuple[Half, Half] = ("tuning", "test")
_Z = 1.959964  # 95 %


@dataclass(frozen=True)
class Scored:
    """Texts of one set with a score each, higher being worse.

    Attributes:
        scores: one a text.
        halves: the half each text is in.
        positive: whether these should be caught.
    """

    scores: NDArray[np.float64]
    halves: Sequence[Half]
    positive: bool

    def of(self, half: Half) -> NDArray[np.float64]:
        """Return the scores of a half."""
        return self.scores[np.array([h == half for h in self.halves], dtype=bool)]


class _Known:
    """Scores known beforehand, as a thing that can be calibrated."""

    def __init__(self, scores: NDArray[np.float64]) -> None:
        self._scores = scores

    def scores(self, texts: Sequence[str], /) -> list[dict[str, float]]:
        return [{"score": float(value)} for value in self._scores[: len(texts)]]

    def fingerprint(self) -> Mapping[str, Any]:
        return {}


def conformal(scores: NDArray[np.float64], eps: float) -> float:
    """Return the threshold above which a share of at most `eps` of benign texts lies, as the library sets it."""
    texts = [""] * len(scores)
    found = calibrate_trace(_Known(scores), texts, max_false_refusal=eps)
    return float(found.statement.thresholds["all"])


def balanced(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    """Return the threshold of the highest balanced accuracy on these scores."""
    labels = np.concatenate([np.ones(len(positive), np.int64), np.zeros(len(negative), np.int64)])
    return float(best_threshold(np.concatenate([positive, negative]), labels))


def share(caught: int, total: int) -> dict[str, Any]:
    """Return a share with its Wilson interval at 95 %."""
    if not total:
        return {"caught": 0, "of": 0, "share": None, "low": None, "high": None}
    p, z2 = caught / total, _Z**2
    middle = (p + z2 / (2 * total)) / (1 + z2 / total)
    width = _Z * math.sqrt(p * (1 - p) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return {
        "caught": caught,
        "of": total,
        "share": p,
        "low": max(0.0, middle - width),
        "high": min(1.0, middle + width),
    }


def crossed(
    sets: Mapping[str, Scored], threshold: Callable[[Half], float], names: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return how many of each set lie above the threshold of the *other* half, over both halves.

    Args:
        sets: by name.
        threshold: from a half, the one that is not tested.
        names: of the sets; None for all.
    """
    found = {}
    limits = {tested: threshold(other) for tested, other in zip(HALVES, HALVES[::-1], strict=True)}
    for name in names or sets:
        above = {half: sets[name].of(half) > limits[half] for half in HALVES}
        total = share(sum(int(a.sum()) for a in above.values()), sum(len(a) for a in above.values()))
        found[name] = total | {"halves": {half: share(int(a.sum()), len(a)) for half, a in above.items()}}
    return {"thresholds": {f"for {half}": limit for half, limit in limits.items()}, "sets": found}


def separation(positive: Scored, negative: Scored) -> float:
    """Return the AUC of one set over another, both halves."""
    labels = np.concatenate(
        [np.ones(len(positive.scores), np.int64), np.zeros(len(negative.scores), np.int64)]
    )
    return float(auc(np.concatenate([positive.scores, negative.scores]), labels)[0])
