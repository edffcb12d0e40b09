"""Passages longer than the reranker reads: judged by their best window, or by their beginning?

COVID-QA's chunks, four neighbours of an article as one passage (about 800 tokens, where
the model reads 256). BM25 gives the candidates; the reranker alone orders them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cached_engine import CachedEngine
from benchmarks.question_sets import Question, QuestionSet, covid_qa, split_documents
from benchmarks.rerank_sets import Bm25s, evenly
from ragguard.models.embedders import SentenceTransformerEmbedder
from ragguard.models.relevance import LongPassage, RelevanceScorer
from ragguard.preference.promotion import paired_gain
from ragguard.preference.ranking import order_of
from ragguard.text.words import content_word_list

WAYS: tuple[LongPassage, ...] = ("best window", "beginning")
_JOINED, _CANDIDATES = 4, 10


def report(
    data: Path, engine: CachedEngine, *, limit: int | None, told: Callable[[str, int, int], None]
) -> dict[str, Any]:
    """Return the mean reciprocal rank by both ways, on questions whose passage is among the candidates."""
    joined = _joined(covid_qa(data / "retrieval", SentenceTransformerEmbedder()))
    names = list(joined.passages)
    texts = [joined.passages[name] for name in names]
    held = [joined.questions[i] for i in split_documents(joined.questions, 0.5)[1]]
    asked = [held[i] for i in evenly(len(held), limit)]
    index = Bm25s(texts, lambda each: [content_word_list(text) for text in each])
    scorers = {way: RelevanceScorer(engine, long_passages=way) for way in WAYS}  # type: ignore[arg-type]
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for done, question in enumerate(asked):
        best = np.argsort(-index.scores(question.text), kind="stable")[:_CANDIDATES]
        right = np.array([names[i] in question.relevant for i in best])
        if right.any():
            for way, scorer in scorers.items():
                scores = scorer.score_pairs([(question.text, texts[i]) for i in best])
                found[way].append(1 / (1 + int(np.flatnonzero(right[order_of(scores)])[0])))
        told("long passages", done + 1, len(asked))
    engine.save()
    return {
        "questions": len(found[WAYS[0]]),
        "candidates": _CANDIDATES,
        "tokens": float(np.mean(engine.tokens.counts(texts[:200]))),
        **{way: float(np.mean(values)) for way, values in found.items()},
        "gain": paired_gain(found["beginning"], found["best window"]).as_json(),
    }


def _joined(chunks: QuestionSet) -> QuestionSet:
    """The same with neighbouring chunks of an article joined."""
    by_article: dict[str, list[str]] = {}
    for name in chunks.passages:
        by_article.setdefault(name.rpartition("#")[0] or name, []).append(name)
    passages, home = {}, {}
    for article, members in by_article.items():
        for first in range(0, len(members), _JOINED):
            part = members[first : first + _JOINED]
            passages[f"{article}/{first}"] = " ".join(chunks.passages[name] for name in part)
            home.update(dict.fromkeys(part, f"{article}/{first}"))
    questions = [
        Question(q.text, tuple(dict.fromkeys(home[n] for n in q.relevant if n in home)), q.document)
        for q in chunks.questions
    ]
    return QuestionSet(chunks.name, chunks.description, passages, questions)
