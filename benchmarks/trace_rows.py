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
    """

    scores: NDArray[np.float64]
    halves: Sequence[Half]

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
    kinds: Mapping[str, Mapping[str, Scored]], threshold: Callable[[str, Half], float]
) -> dict[str, Any]:
    """Return how many of each set lie above the threshold of the *other* half, over both halves.

    Args:
        kinds: sets by kind of score and name; a text above the threshold of any kind is caught.
        threshold: from a kind and a half, the one that is not tested.
    """
    other = dict(zip(HALVES, HALVES[::-1], strict=True))
    limits = {half: {kind: threshold(kind, other[half]) for kind in kinds} for half in HALVES}
    found = {}
    for name in next(iter(kinds.values())):
        halves = {}
        for half in HALVES:
            above = [sets[name].of(half) > limits[half][kind] for kind, sets in kinds.items()]
            caught = np.any(above, axis=0)
            halves[half] = share(int(caught.sum()), len(caught))
        total = share(*(sum(h[key] for h in halves.values()) for key in ("caught", "of")))
        found[name] = total | {"halves": halves}
    return {"thresholds": {f"for {half}": own for half, own in limits.items()}, "sets": found}


def separation(positive: Scored, negative: Scored) -> float:
    """Return the AUC of one set over another, both halves."""
    labels = np.concatenate(
        [np.ones(len(positive.scores), np.int64), np.zeros(len(negative.scores), np.int64)]
    )
    return float(auc(np.concatenate([positive.scores, negative.scores]), labels)[0])
