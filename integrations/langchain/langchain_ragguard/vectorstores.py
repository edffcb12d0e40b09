"""A vector store's raw scores, kept with the documents. Relevance scores are never used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore
from pydantic import Field

from langchain_ragguard.documents import with_facts
from langchain_ragguard.identity import of_store
from langchain_ragguard.probe import Hits, Metric, check_metric, check_probes, check_repeated
from ragguard.artifacts import as_json
from ragguard.conformal.kept import RETRIEVAL_SCORE
from ragguard.conformal.orientation import PROBED, QUESTION
from ragguard.errors import ConfigurationError, InvalidValueError


class ScoredVectorStoreRetriever(BaseRetriever):
    """Returns the store's k best documents, each a copy with the raw score in metadata["ragguard"].

    Scores come from `similarity_search_with_score`; what the store calls relevance
    is not used, as some stores invert it. `invoke(question, k=...)` asks for another
    number of documents; a guard around the retriever always asks for the calibrated one.

    Args:
        vectorstore: one that implements `similarity_search_with_score`.
        higher_is_better: False where the score is a distance.
        k: documents asked for, at least 1.
        metric: what the score is, if you know; part of the fingerprint, and what `probe`
            holds the scores against.
        search_kwargs: passed to the search, e.g. a filter.

    Raises:
        ConfigurationError: `search_kwargs` holds k or a score threshold, or metric and
            direction contradict each other.
    """

    vectorstore: VectorStore
    higher_is_better: bool
    k: int = Field(gt=0)
    metric: Metric | None = None
    search_kwargs: dict[str, Any] = Field(default_factory=dict)

    def model_post_init(self, context: Any, /) -> None:
        """Refuse search settings that would cut before the calibrated cut."""
        if taken := {"k", "score_threshold"} & set(self.search_kwargs):
            raise ConfigurationError(
                f"search_kwargs may not hold {sorted(taken)}",
                hint="pass k as an argument; the threshold is the calibration's",
            )
        check_metric(self.metric, higher_is_better=self.higher_is_better)

    def fingerprint(self) -> dict[str, Any]:
        """Store, embeddings, metric where seen, orientation, k and search settings."""
        return {
            **of_store(self.vectorstore),
            **({} if self.metric is None else {"declared_metric": self.metric}),
            "higher_is_better": self.higher_is_better,
            "k": self.k,
            "search_kwargs": as_json(self.search_kwargs),
        }

    def probe(self) -> None:
        """Check that stored documents' own texts score at the declared best end.

        Raises:
            ScoreOrientationError: they score at the other end, nothing can be told, or the
                scores are inconsistent (see `check_probes`).
        """
        search, k = self.vectorstore.similarity_search_with_score, max(self.k, PROBED)
        found = search(QUESTION, k=k, **self.search_kwargs)
        check_repeated(found, search(QUESTION, k=k, **self.search_kwargs))
        self._check(
            [(d, search(d.page_content, k=k, **self.search_kwargs)) for d in _probed(found)],
        )

    async def aprobe(self) -> None:
        """`probe`, through the store's own asynchronous search."""
        search, k = self.vectorstore.asimilarity_search_with_score, max(self.k, PROBED)
        found = await search(QUESTION, k=k, **self.search_kwargs)
        check_repeated(found, await search(QUESTION, k=k, **self.search_kwargs))
        self._check([(d, await search(d.page_content, k=k, **self.search_kwargs)) for d in _probed(found)])

    def _check(self, probes: Sequence[tuple[Document, Hits]]) -> None:
        check_probes(probes, higher_is_better=self.higher_is_better, metric=self.metric)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        search = self.vectorstore.similarity_search_with_score
        return _scored(search(query, k=self._wanted(k), **self.search_kwargs))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        search = self.vectorstore.asimilarity_search_with_score
        return _scored(await search(query, k=self._wanted(k), **self.search_kwargs))

    def _wanted(self, k: int | None) -> int:
        if k is not None and k < 1:
            raise InvalidValueError(f"k must be at least 1, got {k}")
        return self.k if k is None else k


def _scored(hits: Hits) -> list[Document]:
    return [with_facts(document, {RETRIEVAL_SCORE: float(score)}) for document, score in hits]


def _probed(hits: Hits) -> Sequence[Document]:
    return [document for document, _ in hits if document.page_content.strip()][:PROBED]
