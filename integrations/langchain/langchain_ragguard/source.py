"""A LangChain retriever as ragguard's: scored, named and fingerprinted, the same in calibration and service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.documents import Document
from langchain_core.retrievers import RetrieverLike
from langchain_core.runnables import RunnableConfig

from langchain_ragguard.documents import as_passage, passage_id
from langchain_ragguard.identity import of_retriever
from langchain_ragguard.scores import Scoring
from ragguard.corpus.retrievers import AdaptedRetriever
from ragguard.errors import DuplicateIdError, InvalidValueError
from ragguard.types import Passage
from ragguard.worker import run_on_worker


@dataclass(frozen=True)
class Candidates:
    """One retrieval before the cut.

    Attributes:
        passages: best first, ties as the retriever had them; each id once.
        documents: the retriever's own objects, by passage id.
        scores: as the source gave them, by passage id.
    """

    passages: tuple[Passage, ...] = ()
    documents: Mapping[str, Document] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)


class DocumentSource(AdaptedRetriever):
    """A LangChain retriever and where its scores come from.

    Args:
        base: anything from a string to documents.
        scoring: gives each document its score.
        id_key: metadata key that names a document, see `passage_id`.
        identity: declared name and version of what cannot be seen from here.
        depth: results asked of the base, if known.
    """

    def __init__(
        self,
        base: RetrieverLike,
        scoring: Scoring,
        *,
        id_key: str | None = None,
        identity: str | None = None,
        depth: int | None = None,
    ) -> None:
        super().__init__(base, lower_is_better=not scoring.higher_is_better, limit=depth)
        self.base = base
        self.scoring = scoring
        self.id_key = id_key
        self.identity = identity

    def __call__(self, question: str) -> list[Passage]:
        """Return what the base finds as passages, best first."""
        return list(self.candidates(question, self.base.invoke(question)).passages)

    async def acall(self, question: str) -> list[Passage]:
        """`__call__`, through the base's own `ainvoke`; scores are taken on a worker."""
        found = await self.base.ainvoke(question)
        return list((await run_on_worker(self.candidates, question, found)).passages)

    def candidates(self, question: str, documents: Sequence[Document]) -> Candidates:
        """Return the documents with their scores, best first.

        Raises:
            InvalidScoreError: a score is missing or not finite.
            DuplicateIdError: two documents of different text have one id.
            InvalidValueError: something else than documents was returned.
        """
        if any(not isinstance(d, Document) for d in documents):
            raise InvalidValueError("the base retriever returned something else than documents")
        names = [passage_id(d, id_key=self.id_key) for d in documents]
        raw = self.scoring(question, documents, names)
        sign = 1.0 if self.scoring.higher_is_better else -1.0
        best: dict[str, tuple[Document, float]] = {}
        for place in sorted(range(len(names)), key=lambda i: -sign * raw[i]):
            name, document = names[place], documents[place]
            if best.setdefault(name, (document, raw[place]))[0].page_content != document.page_content:
                raise DuplicateIdError(
                    f"two documents of different text share the id {name!r}", hint="give each part its own id"
                )
        return Candidates(
            passages=tuple(as_passage(d, name=n, score=sign * s) for n, (d, s) in best.items()),
            documents={name: document for name, (document, _) in best.items()},
            scores={name: score for name, (_, score) in best.items()},
        )

    def fingerprint(self) -> dict[str, Any]:
        """What the base is, who scores, which way, how deep, and by what a document is named."""
        return {
            "retriever": {**of_retriever(self.base), "identity": self.identity},
            "scored_by": self.scoring.fingerprint(),
            "orientation": "higher" if self.scoring.higher_is_better else "lower",
            "depth": self.depth,
            "id_key": self.id_key,
        }


class Retrieval:
    """One question's retrieval, traced under its caller; remembers the documents behind the passages.

    Args:
        source: what is asked.
        config: of the run it belongs to.

    Attributes:
        candidates: what was found; empty before it was asked.
    """

    def __init__(self, source: DocumentSource, config: RunnableConfig | None) -> None:
        self._source = source
        self._config = config
        self.candidates = Candidates()

    def __call__(self, question: str, /) -> Sequence[Passage]:
        """Return the candidates, best first."""
        found = self._source.base.invoke(question, self._config)
        self.candidates = self._source.candidates(question, found)
        return self.candidates.passages

    async def acall(self, question: str, /) -> Sequence[Passage]:
        """`__call__`, through the base's own `ainvoke`; scores are taken on a worker."""
        found = await self._source.base.ainvoke(question, self._config)
        self.candidates = await run_on_worker(self._source.candidates, question, found)
        return self.candidates.passages
