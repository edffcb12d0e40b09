"""Questions with candidate passages to be reordered: candidates from the embedder and from BM25, scored once.

SQuAD counts with the articles that nothing was trained on. Of every set half of the
documents, by hash, serve to choose weights; figures are of the other half.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import bm25s
import numpy as np
from numpy.typing import NDArray

from benchmarks.embedded import CachedEmbedder
from benchmarks.question_sets import AbsentDataError, load, split_documents
from ragguard.alignment.training.sources import training_half
from ragguard.preference.blend import Parts
from ragguard.preference.bm25 import bm25_scores
from ragguard.protocols import PairScorer
from ragguard.text.words import content_word_list

Floats = NDArray[np.float64]
SETS = ("squad", "covid_qa", "trecqa", "cranfield")


@dataclass
class Asked:
    """One question with its candidates.

    Attributes:
        text: of the question.
        document: what it was written about.
        tunes: whether it serves to choose weights.
        names: of the candidates, in the embedder's order.
        texts: of the candidates.
        relevant: which of them are, shape (candidates,).
        count: of relevant passages in the store, candidates or not.
        by_embedder: places of the relevant passages when the whole store is ranked by it, from 0.
        by_bm25: likewise, by "words" (as bm25s reads them) and "stems".
        similarity: by the embedder, shape (candidates,).
        nearest: which candidates the embedder alone would have given, shape (candidates,).
        store: similarities of the whole store, descending.
        relevance: by each reranker, shape (candidates,).
    """

    text: str
    document: str
    tunes: bool
    names: list[str]
    texts: list[str]
    relevant: NDArray[np.bool_]
    count: int
    by_embedder: list[int]
    by_bm25: Mapping[str, list[int]]
    similarity: Floats
    nearest: NDArray[np.bool_]
    store: Floats
    relevance: dict[str, Floats] = field(default_factory=dict)

    def parts(self, reranker: str) -> Parts:
        """Return what is blended, for one reranker."""
        return Parts(self.relevance[reranker], self.similarity, bm25_scores(self.text, self.texts))


def questions_of(
    name: str, data: Path, embedder: CachedEmbedder, *, limit: int | None, each: int
) -> list[Asked]:
    """Return the questions of a set, at most `limit`, evenly drawn.

    Args:
        name: one of `SETS`.
        data: folder of the data.
        embedder: ranks and scores.
        limit: None for all.
        each: candidates by the embedder, and as many by BM25.

    Raises:
        AbsentDataError: a file of it is not there.
    """
    if name == "trecqa":
        return list(_trecqa(data, embedder, limit=limit))
    found = load(name, data, embedder.model)
    asked = [q for q in found.questions if name != "squad" or not training_half(q.document)]
    tuning = set(split_documents(asked, 0.5)[0])
    names = list(found.passages)
    texts = [found.passages[n] for n in names]
    place = {n: i for i, n in enumerate(names)}
    vectors = embedder.passages(texts)
    queries = embedder.queries([q.text for q in asked])
    indexes = {"words": Bm25s(texts, _words), "stems": Bm25s(texts, _stems)}
    made = []
    for i in evenly(len(asked), limit):
        question = asked[i]
        near = (vectors @ queries[i]).astype(np.float64)
        order = np.argsort(-near, kind="stable")
        words = {
            kind: np.argsort(-index.scores(question.text), kind="stable") for kind, index in indexes.items()
        }
        chosen = sorted({*order[:each].tolist(), *words["stems"][:each].tolist()}, key=lambda j: -near[j])
        right = [place[n] for n in question.relevant if n in place]
        made.append(
            Asked(
                question.text,
                question.document,
                i in tuning,
                [names[j] for j in chosen],
                [texts[j] for j in chosen],
                np.isin(chosen, right),
                len(question.relevant),
                _places(order, right),
                {kind: _places(ranked, right) for kind, ranked in words.items()},
                near[chosen],
                np.isin(chosen, order[:each]),
                near[order],
            )
        )
    return made


class Bm25s:
    """The whole store in bm25s; words as a function finds them.

    Args:
        texts: the store.
        words: texts to lists of words.
    """

    def __init__(self, texts: Sequence[str], words: Callable[[Sequence[str]], list[list[str]]]) -> None:
        self._words = words
        self._count = len(texts)
        self._index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
        self._index.index(words(texts), show_progress=False)

    def scores(self, question: str) -> Floats:
        """Return one score a passage."""
        words = self._words([question])[0]
        return np.asarray(self._index.get_scores(words), float) if words else np.zeros(self._count)


def score_all(asked: Sequence[Asked], name: str, scorer: PairScorer, *, told: Callable[[int], None]) -> None:
    """Give every candidate the relevance that a reranker sees in it."""
    for done, question in enumerate(asked):
        question.relevance[name] = np.asarray(
            scorer.score_pairs([(question.text, text) for text in question.texts]), float
        )
        told(done + 1)


def evenly(count: int, limit: int | None) -> list[int]:
    """Return at most `limit` of the numbers below `count`, evenly spread."""
    if limit is None or limit >= count:
        return list(range(count))
    step = max(1, count // limit)
    return list(range(0, count, step))[:limit]


def _trecqa(data: Path, embedder: CachedEmbedder, *, limit: int | None) -> Iterator[Asked]:
    """Candidates as published; weights are chosen on its development questions."""
    for part in ("dev", "test"):
        path = data / "retrieval" / "trecqa" / f"{part}.csv"
        try:
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
        except OSError as error:
            raise AbsentDataError(f"trecqa/{part}.csv is not in the data folder") from error
        by_question: dict[str, dict[str, bool]] = {}
        for row in rows:
            by_question.setdefault(row["qtext"], {})[row["atext"]] = row["label"] == "1"
        usable = {q: c for q, c in by_question.items() if set(c.values()) == {True, False}}
        texts = [text for candidates in usable.values() for text in candidates]
        vectors, queries = embedder.passages(texts), embedder.queries(list(usable))
        first = 0
        starts = []
        for candidates in usable.values():
            starts.append(first)
            first += len(candidates)
        kept = set(evenly(len(usable), limit))
        for i, (question, candidates) in enumerate(usable.items()):
            if i not in kept:
                continue
            near = (vectors[starts[i] : starts[i] + len(candidates)] @ queries[i]).astype(np.float64)
            order = np.argsort(-near, kind="stable")
            found = [list(candidates)[j] for j in order]
            right = np.array([candidates[text] for text in found])
            kinds = {"words": Bm25s(found, _words), "stems": Bm25s(found, _stems)}
            places = np.flatnonzero(right).tolist()
            yield Asked(
                question,
                question,
                part == "dev",
                [str(j) for j in order],
                found,
                right,
                int(right.sum()),
                places,
                {
                    k: _places(np.argsort(-b.scores(question), kind="stable"), places)
                    for k, b in kinds.items()
                },
                near[order],
                np.ones(len(found), dtype=bool),
                near[order],
            )


def _places(order: NDArray[np.int64], right: Sequence[int]) -> list[int]:
    inverse = np.empty(len(order), dtype=np.int64)
    inverse[order] = np.arange(len(order))
    return sorted(int(inverse[j]) for j in right)


def _words(texts: Sequence[str]) -> list[list[str]]:
    found: list[list[str]] = bm25s.tokenize(
        list(texts), stopwords="en", return_ids=False, show_progress=False
    )
    return found


def _stems(texts: Sequence[str]) -> list[list[str]]:
    return [content_word_list(text) for text in texts]
