"""Answers of SmolLM2 with the best k passages of each order, and how many of those helped or harmed it.

The reader, its 150 held-out questions and its answers are those of `rerank_probe`:
what was asked there is not asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rerank_probe import answer_log, load, reader
from ragguard.preference.asking import Spent, answer_batch
from ragguard.preference.blend import Blend, Parts
from ragguard.preference.bm25 import bm25_scores
from ragguard.preference.correct import is_correct
from ragguard.preference.promotion import paired_gain
from ragguard.preference.ranking import order_of
from ragguard.preference.records import ProbeQuestion
from ragguard.protocols import PairScorer
from ragguard.types import Passage

KS = (1, 3, 5)


def report(
    data: Path,
    scorers: Mapping[str, PairScorer],
    blend: Blend,
    *,
    folder: Path,
    limit: int | None,
    each: int,
    dtype: str = "auto",
    told: Callable[[str, int, int], None],
) -> dict[str, Any]:
    """Return accuracy, aligned@k and harm@k of every order at k = 1, 3, 5, with gains over the retriever's.

    Args:
        data: folder of the data.
        scorers: name -> reranker; each is measured alone and blended.
        blend: weights of the blend.
        folder: where answers and vectors are kept.
        limit: questions at most.
        each: candidates by the embedder, and as many by BM25.
        dtype: of the reader.
        told: progress.
    """
    asked, ranked = load(data, folder)
    held = [q for q in asked if q.split == "held_out"][:limit]
    orders = _orders(held, ranked, scorers, blend, each=each, told=told)
    answers = _Answers(folder, dtype, told)
    shown = {
        name: {k: answers.of(held, [found[:k] for found in order]) for k in KS}
        for name, order in orders.items()
    }
    closed = answers.of(held, [[] for _ in held])
    single = {name: answers.of_each(held, order) for name, order in orders.items()}
    result: dict[str, Any] = {"questions": len(held), "closed_book": float(np.mean(closed)), "orders": {}}
    clusters = [q.cluster or q.id for q in held]
    for name in orders:
        gains = [np.array(after) - before for after, before in zip(single[name], closed, strict=True)]
        result["orders"][name] = {
            f"k={k}": {
                "accuracy": float(np.mean(shown[name][k])),
                "over_retriever": paired_gain(shown["cosine"][k], shown[name][k]).as_json(),
                "over_retriever_by_article": paired_gain(
                    shown["cosine"][k], shown[name][k], clusters=clusters
                ).as_json(),
                "over_bundled": paired_gain(shown["bundled"][k], shown[name][k]).as_json(),
                "aligned": float(np.mean([(g[:k] > 0).mean() for g in gains])),
                "harm": float(np.mean([(g[:k] < 0).mean() for g in gains])),
            }
            for k in KS
        }
    return result


def _orders(
    held: Sequence[ProbeQuestion],
    ranked: Mapping[str, Sequence[Passage]],
    scorers: Mapping[str, PairScorer],
    blend: Blend,
    *,
    each: int,
    told: Callable[[str, int, int], None],
) -> dict[str, list[list[str]]]:
    """The texts of each question's best passages, by order."""
    found: dict[str, list[list[str]]] = {}
    for done, question in enumerate(held):
        pool = list(ranked[question.id])
        words = bm25_scores(question.text, [p.text for p in pool])
        best = np.argsort(-words, kind="stable")
        chosen = [p for i, p in enumerate(pool) if i < each or i in set(best[:each].tolist())]
        texts = [p.text for p in chosen]
        similarity = np.array([p.score or 0.0 for p in chosen])
        found.setdefault("cosine", []).append([p.text for p in pool[: max(KS)]])
        found.setdefault("bm25", []).append([pool[i].text for i in best[: max(KS)]])
        for name, scorer in scorers.items():
            relevance = np.asarray(scorer.score_pairs([(question.text, t) for t in texts]), float)
            blended = blend.scores(Parts(relevance, similarity, bm25_scores(question.text, texts)))
            for order, scores in ((name, relevance), (f"{name} blended", blended)):
                found.setdefault(order, []).append([texts[i] for i in order_of(scores)[: max(KS)]])
        told("orders", done + 1, len(held))
    return found


class _Answers:
    """Whether the reader is right with given passages."""

    def __init__(self, folder: Path, dtype: str, told: Callable[[str, int, int], None]) -> None:
        self._reader = reader(dtype)
        self._log = answer_log(folder)
        self._told = told

    def of(self, questions: Sequence[ProbeQuestion], passages: Sequence[Sequence[str]]) -> list[float]:
        """Return 1.0 or 0.0 a question."""
        items = [(q.text, list(texts)) for q, texts in zip(questions, passages, strict=True)]
        given = answer_batch(self._reader, items, log=self._log, progress=self._progress)
        return [float(is_correct(a, q.answers)) for a, q in zip(given, questions, strict=True)]

    def of_each(
        self, questions: Sequence[ProbeQuestion], passages: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """Return 1.0 or 0.0 a passage that a question is answered with alone; all are asked together."""
        pairs = [(q, text) for q, texts in zip(questions, passages, strict=True) for text in texts]
        right = iter(self.of([q for q, _ in pairs], [[text] for _, text in pairs]))
        return [[next(right) for _ in texts] for texts in passages]

    def _progress(self, spent: Spent) -> None:
        self._told("answers", spent.cached + spent.calls, spent.asked)
