"""How well each order ranks: nDCG@10, MRR@10 and Hit@1, and paired gains with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.rerank_sets import Asked
from ragguard.preference.blend import BUNDLED, Blend, Judged, choose
from ragguard.preference.promotion import paired_gain
from ragguard.preference.ranking import order_of

METRICS = ("ndcg@10", "mrr@10", "hit@1")
BASELINES = ("cosine", "bm25", "bm25, stems")
_TOP = 10


def chosen(asked: Sequence[Asked], reranker: str) -> Blend:
    """Return the weights chosen on the questions that serve to choose them."""
    return choose([Judged(q.parts(reranker), q.relevant) for q in asked if q.tunes])


def report(asked: Sequence[Asked], rerankers: Sequence[str], blends: Mapping[str, Blend]) -> dict[str, Any]:
    """Return the means of every order, and the gains of the reranked ones over cosine and BM25.

    Args:
        asked: scored by every reranker.
        rerankers: names of them.
        blends: reranker -> weights chosen on the tuning half of this set.
    """
    held = [q for q in asked if not q.tunes]
    orders: dict[str, list[list[int]]] = {
        "cosine": [q.by_embedder for q in held],
        "bm25": [list(q.by_bm25["words"]) for q in held],
        "bm25, stems": [list(q.by_bm25["stems"]) for q in held],
        "cosine + bm25": [_places(q, Blend(0.0, 0.5, 0.5), rerankers[0]) for q in held],
    }
    for name in rerankers:
        orders[name] = [_places(q, Blend(), name) for q in held]
        orders[f"{name}, embedder's candidates"] = [_places(q, Blend(), name, nearest=True) for q in held]
        orders[f"{name} blended"] = [_places(q, blends[name], name) for q in held]
        orders[f"{name} blended, embedder's candidates"] = [
            _places(q, blends[name], name, nearest=True) for q in held
        ]
        orders[f"{name} with shipped weights"] = [_places(q, BUNDLED, name) for q in held]
    rows = {
        order: [metrics(places, q.count) for places, q in zip(found, held, strict=True)]
        for order, found in orders.items()
    }
    return {
        "questions": len(held),
        "tuning_questions": len(asked) - len(held),
        "documents": len({q.document for q in held}),
        "candidates": float(np.mean([len(q.names) for q in held])),
        "recall_of_candidates": float(np.mean([q.relevant.any() for q in held])),
        "weights": {name: blends[name].weights for name in rerankers},
        "shipped_weights": BUNDLED.weights,
        "orders": {order: _means(found) for order, found in rows.items()},
        "gains": {
            order: {base: _gain(rows[base], found, held) for base in BASELINES}
            for order, found in rows.items()
            if order not in BASELINES
        },
    }


def metrics(places: Sequence[int], count: int) -> dict[str, float]:
    """Return nDCG@10, MRR@10 and Hit@1 of one question.

    Args:
        places: of the relevant passages found, from 0, ascending; those not found count against nDCG.
        count: of relevant passages in the store.
    """
    found = [place for place in places if place < _TOP]
    best = sum(1 / np.log2(2 + place) for place in range(min(count, _TOP)))
    return {
        "ndcg@10": float(sum(1 / np.log2(2 + place) for place in found) / best) if best else 0.0,
        "mrr@10": 1 / (1 + found[0]) if found else 0.0,
        "hit@1": float(bool(found) and found[0] == 0),
    }


def _places(question: Asked, blend: Blend, reranker: str, *, nearest: bool = False) -> list[int]:
    """Where the relevant candidates stand in the blend's order."""
    scores = blend.scores(question.parts(reranker))
    relevant = question.relevant
    if nearest:
        scores, relevant = scores[question.nearest], relevant[question.nearest]
    return [int(place) for place in np.flatnonzero(relevant[order_of(scores)])]


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {metric: float(np.mean([row[metric] for row in rows])) for metric in METRICS}


def _gain(
    base: Sequence[Mapping[str, float]], rows: Sequence[Mapping[str, float]], held: Sequence[Asked]
) -> dict[str, Any]:
    """Mean gain with the 95 % interval of questions drawn again, and of whole documents drawn again."""
    found: dict[str, Any] = {}
    for metric in METRICS:
        a, b = [row[metric] for row in base], [row[metric] for row in rows]
        by_question = paired_gain(a, b)
        by_document = paired_gain(a, b, clusters=[q.document for q in held])
        found[metric] = {
            "mean": by_question.mean,
            "lower": by_question.lower,
            "upper": by_question.upper,
            "lower_by_document": by_document.lower,
            "upper_by_document": by_document.upper,
        }
    return found
