"""Question sets through the bundled embedder and exact search, as observations; vectors are cached."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.question_sets import QuestionSet
from ragguard.conformal.observations import Observation
from ragguard.corpus.search import top_k
from ragguard.models.embedders import SentenceTransformerEmbedder
from ragguard.protocols import FloatArray, Progress

_BATCH = 1024


@dataclass(frozen=True)
class CachedEmbedder:
    """The embedder with its vectors kept in a folder, by model and text.

    Attributes:
        model: what embeds.
        folder: of the cache; created when missing.
        progress: called as progress(what, done, total).
    """

    model: SentenceTransformerEmbedder
    folder: Path
    progress: Progress

    def passages(self, texts: Sequence[str]) -> FloatArray:
        """Return unit vectors (len(texts), d)."""
        return self._cached("passages", texts, lambda part: self.model.embed_passages(part))

    def queries(self, texts: Sequence[str]) -> FloatArray:
        """Return unit vectors (len(texts), d)."""
        return self._cached("queries", texts, lambda part: self.model.embed_queries(part))

    def _cached(
        self, kind: str, texts: Sequence[str], embed: Callable[[Sequence[str]], FloatArray]
    ) -> FloatArray:
        settings = json.dumps([kind, self.model.fingerprint(), list(texts)], sort_keys=True)
        path = self.folder / f"{kind}-{hashlib.sha256(settings.encode()).hexdigest()[:24]}.npy"
        if path.exists():
            cached: FloatArray = np.load(path, allow_pickle=False)
            return cached
        parts = []
        for first in range(0, len(texts), _BATCH):
            self.progress(f"embedding {kind}", first, len(texts))
            parts.append(embed(texts[first : first + _BATCH]))
        vectors: FloatArray = np.concatenate(parts)
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp.npy")
        np.save(temporary, vectors)
        temporary.replace(path)
        return vectors


def observe_all(questions: QuestionSet, embedder: CachedEmbedder) -> list[Observation]:
    """Return one observation a question, in order; the whole store (or scope) is ranked."""
    ids = list(questions.passages)
    vectors = embedder.passages([questions.passages[i] for i in ids])
    asked = embedder.queries([q.text for q in questions.questions])
    found: dict[int, Observation] = {}
    for scope in dict.fromkeys(q.scope for q in questions.questions):
        rows = [r for r, i in enumerate(ids) if scope is None or questions.scopes[i] == scope]
        mine = [i for i, q in enumerate(questions.questions) if q.scope == scope]
        names = {ids[row]: place for place, row in enumerate(rows)}
        order, similarities = top_k(vectors[rows], asked[mine], len(rows))
        places = np.argsort(order, axis=1)
        for k, index in enumerate(mine):
            question = questions.questions[index]
            found[index] = Observation(
                id=f"{questions.name}-{index}",
                similarities=similarities[k].astype(np.float64),
                positions=tuple(int(places[k, names[r]]) if r in names else -1 for r in question.relevant),
                cluster=question.document,
            )
    return [found[i] for i in range(len(questions.questions))]
