"""Passages kept by conformal retrieval at one alpha, by the score that cuts: all at the same coverage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.rerank_sets import Asked
from ragguard.conformal.calibrate import Settings, calibrate
from ragguard.conformal.evaluate import outcome
from ragguard.conformal.observations import Observation, observe
from ragguard.errors import NoValidThresholdError
from ragguard.preference.blend import Blend

ALPHA = 0.1


def report(
    asked: Sequence[Asked], reranker: str, blend: Blend, *, splits: int, seed: int = 0
) -> dict[str, Any]:
    """Return mean coverage and passages kept over random splits of the held-out half.

    Half of its questions calibrate (a fifth of them tunes the temperature), half are
    tested. What the reranker's candidates lack is a miss there and counts as one.

    Args:
        asked: scored by the reranker; those that chose the weights are left out.
        reranker: its name.
        blend: its weights.
        splits: random splits.
        seed: of the splits.
    """
    held = [q for q in asked if not q.tunes]
    whole = [_of_store(q, i) for i, q in enumerate(held)]
    blended = [_of_candidates(q, i, reranker, blend, nearest=False) for i, q in enumerate(held)]
    narrow = [_of_candidates(q, i, reranker, blend, nearest=True) for i, q in enumerate(held)]
    alone = [_of_candidates(q, i, reranker, Blend(), nearest=False) for i, q in enumerate(held)]
    ways: dict[str, tuple[list[Observation], str]] = {
        "cosine": (whole, "cosine"),
        "softmax": (whole, "softmax"),
        "reranker": (blended, "reranker"),
        "reranker, minus the score": (blended, "external"),
        "reranker, embedder's candidates": (narrow, "reranker"),
        "reranker, nothing blended in": (alone, "reranker"),
    }
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(held)) for _ in range(splits)]
    return {
        "alpha": ALPHA,
        "questions": len(held),
        "splits": splits,
        "scores": {name: _over(orders, observations, score) for name, (observations, score) in ways.items()},
    }


def _over(orders: Sequence[Any], observations: Sequence[Observation], score: str) -> dict[str, Any]:
    promise = Settings(alpha=ALPHA, score=score, novelty_level=None)
    covered, kept, failed = [], [], 0
    for order in orders:
        half = len(order) // 2
        try:
            calibration = calibrate([observations[i] for i in order[:half]], promise)
        except NoValidThresholdError:
            failed += 1
            continue
        found = [outcome(observations[i], calibration) for i in order[half:]]
        covered.append(np.mean([one.coverage for one in found]))
        kept.append(np.mean([one.passages for one in found]))
    if not covered:
        return {"out_of_reach": failed}
    return {
        "coverage": float(np.mean(covered)),
        "passages": float(np.mean(kept)),
        "passages_95": [float(np.quantile(kept, q)) for q in (0.025, 0.975)],
        "out_of_reach": failed,
    }


def _of_store(question: Asked, number: int) -> Observation:
    """The whole store by the embedder's similarity."""
    missing = question.count - len(question.by_embedder)
    return Observation(
        id=str(number),
        similarities=question.store,
        positions=(*question.by_embedder, *(-1 for _ in range(missing))),
        cluster=None,
    )


def _of_candidates(
    question: Asked, number: int, reranker: str, blend: Blend, *, nearest: bool
) -> Observation:
    """The candidates by the reranker's score, through the code that observes when serving."""
    chosen = question.nearest if nearest else np.ones(len(question.names), dtype=bool)
    scores = blend.scores(question.parts(reranker))
    names = [name for name, keep in zip(question.names, chosen, strict=True) if keep]
    right = [n for n, r, keep in zip(question.names, question.relevant, chosen, strict=True) if r and keep]
    absent = [f"absent {i}" for i in range(question.count - len(right))]
    return observe(str(number), names, scores[chosen], [*right, *absent])
