"""How well scores order the passages of one question, by what each did for the reader.

Everything here is within one question: a model that only knows which questions
the reader can answer gets nothing for it. Equal scores keep the retriever's
order, so neither a metric nor an order depends on how the input happened to be
sorted. A question whose passages all did the same has no better and worse order;
its metrics are NaN and are left out of means, and how many were left out is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ragguard.errors import InvalidScoreError, InvalidValueError

Floats = NDArray[np.float64]
Metric = Callable[[Floats], float]

TOP = 10


def order_of(scores: ArrayLike, *, ranks: ArrayLike | None = None) -> NDArray[np.intp]:
    """Return the indices of the passages, best first.

    Args:
        scores: shape (passages,), higher is better.
        ranks: in the retriever's order, lower is earlier, for passages of equal score;
            by default the order given.

    Raises:
        InvalidScoreError: a score is NaN.
        InvalidValueError: the shapes differ.
    """
    found = np.asarray(scores, dtype=np.float64)
    places = np.arange(len(found)) if ranks is None else np.asarray(ranks)
    if found.ndim != 1 or places.shape != found.shape:
        raise InvalidValueError(f"scores have shape {found.shape}, ranks {places.shape}", hint="one each")
    if np.isnan(found).any():
        raise InvalidScoreError(f"{int(np.isnan(found).sum())} of {len(found)} scores are NaN")
    return np.lexsort((places, -found))


def ndcg(ordered: ArrayLike, *, k: int | None = None) -> float:
    """Return the discounted gain of an order as a share of the best order's; NaN where all gains are equal.

    Gains count from the question's lowest, so that a harmful passage above a neutral
    one costs, and a constant added to all gains changes nothing.

    Args:
        ordered: gains of the passages, best-scored first.
        k: how many places count; None for all.
    """
    gains = np.asarray(ordered, dtype=np.float64)
    if len(gains) == 0 or np.ptp(gains) == 0.0:
        return float("nan")
    lifted = gains - gains.min()
    discounts = 1.0 / np.log2(np.arange(2, 2 + len(lifted[:k])))
    best = float(discounts @ np.sort(lifted)[::-1][:k])
    return float(discounts @ lifted[:k]) / best


def reciprocal_rank(ordered: ArrayLike, *, k: int = TOP) -> float:
    """Return 1 / the place of the first passage that helped, 0 where it is beyond `k`; NaN where none helped."""
    helped = np.flatnonzero(np.asarray(ordered) > 0)
    if len(helped) == 0:
        return float("nan")
    return 1.0 / (1 + int(helped[0])) if helped[0] < k else 0.0


def hit(ordered: ArrayLike, *, k: int = 1) -> float:
    """Return whether a passage that helped is among the first `k`; NaN where none helped."""
    helped = np.asarray(ordered) > 0
    return float(helped[:k].any()) if helped.any() else float("nan")


def aligned_at(ordered: ArrayLike, *, k: int) -> float:
    """Return the share of the first `k` passages that helped; NaN without passages."""
    first = np.asarray(ordered)[:k]
    return float((first > 0).mean()) if len(first) else float("nan")


def harm_at(ordered: ArrayLike, *, k: int) -> float:
    """Return the share of the first `k` passages that harmed; NaN without passages."""
    first = np.asarray(ordered)[:k]
    return float((first < 0).mean()) if len(first) else float("nan")


def within_auc(scores: ArrayLike, gains: ArrayLike) -> float:
    """Return the share of pairs of different gain that the scores order rightly, ties half; NaN without pairs."""
    s, g = np.asarray(scores, dtype=np.float64), np.asarray(gains, dtype=np.float64)
    better = g[:, None] > g[None, :]
    if not better.any():
        return float("nan")
    right = (s[:, None] > s[None, :]) + 0.5 * (s[:, None] == s[None, :])
    return float(right[better].mean())


def global_auc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return how well scores tell the two labels apart over all questions, ties half; NaN with one label.

    High values come from telling questions apart as much as passages: never read it alone.
    """
    s, y = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=bool)
    ups, downs = np.sort(s[y]), np.sort(s[~y])
    if len(ups) == 0 or len(downs) == 0:
        return float("nan")
    below = np.searchsorted(downs, ups, side="left") + np.searchsorted(downs, ups, side="right")
    return float(below.sum()) / (2 * len(ups) * len(downs))


def metrics_of(scores: ArrayLike, gains: ArrayLike, *, ranks: ArrayLike | None = None) -> dict[str, float]:
    """Return every metric of one question's passages.

    Args:
        scores: shape (passages,).
        gains: shape (passages,), in [-1, 1]; above 0 helped, below 0 harmed.
        ranks: as in `order_of`.

    Raises:
        InvalidScoreError: a score is NaN.
    """
    g = np.asarray(gains, dtype=np.float64)
    ordered = g[order_of(scores, ranks=ranks)]
    found = {
        "ndcg": ndcg(ordered),
        f"ndcg@{TOP}": ndcg(ordered, k=TOP),
        f"mrr@{TOP}": reciprocal_rank(ordered),
        "hit@1": hit(ordered),
        "within_auc": within_auc(scores, g),
    }
    for k in (1, 3, 5):
        found[f"aligned@{k}"] = aligned_at(ordered, k=k)
        found[f"harm@{k}"] = harm_at(ordered, k=k)
    return found


def means_of(rows: Sequence[Mapping[str, float]]) -> dict[str, float | int | None]:
    """Return each metric's mean over the questions where it is defined, and the number with better and worse passages.

    None stands for a metric that is defined nowhere: NaN is no JSON.
    """
    found: dict[str, float | int | None] = {"questions": len(rows)}
    for name in rows[0] if rows else ():
        values = np.array([row[name] for row in rows])
        defined = values[~np.isnan(values)]
        found[name] = float(defined.mean()) if len(defined) else None
        if name == "ndcg":
            found["informative_questions"] = len(defined)
    return found
