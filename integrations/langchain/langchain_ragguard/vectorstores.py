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
from langchain_ragguard.identity import of_store, plain
from langchain_ragguard.probe import PROBED, QUESTION, Hits, check_orientation
from ragguard.conformal.kept import RETRIEVAL_SCORE
from ragguard.errors import ConfigurationError


class ScoredVectorStoreRetriever(BaseRetriever):
    """Returns the store's k best documents, each a copy with the raw score in metadata["ragguard"].

    Scores come from `similarity_search_with_score`; what the store calls relevance
    is not used, as some stores invert it.

    Args:
        vectorstore: one that implements `similarity_search_with_score`.
        higher_is_better: False where the score is a distance.
        k: documents asked for, at least 1.
        search_kwargs: passed to the search, e.g. a filter.

    Raises:
        ConfigurationError: `search_kwargs` holds k or a score threshold.
    """

    vectorstore: VectorStore
    higher_is_better: bool
    k: int = Field(gt=0)
    search_kwargs: dict[str, Any] = Field(default_factory=dict)

    def model_post_init(self, context: Any, /) -> None:
        """Refuse search settings that would cut before the calibrated cut."""
        if taken := {"k", "score_threshold"} & set(self.search_kwargs):
            raise ConfigurationError(
                f"search_kwargs may not hold {sorted(taken)}",
                hint="pass k as an argument; the threshold is the calibration's",
            )

    def fingerprint(self) -> dict[str, Any]:
        """Store, embeddings, metric where seen, orientation, k and search settings."""
        return {
            **of_store(self.vectorstore),
            "higher_is_better": self.higher_is_better,
            "k": self.k,
            "search_kwargs": plain(self.search_kwargs),
        }

    def probe(self) -> None:
        """Check that stored documents' own texts score at the declared best end.

        Raises:
            ScoreOrientationError: they score at the other end, or nothing can be told.
        """
        store, k = self.vectorstore, max(self.k, PROBED)
        documents = _probed(store.similarity_search_with_score(QUESTION, k=k, **self.search_kwargs))
        check_orientation(
            [
                (d, store.similarity_search_with_score(d.page_content, k=k, **self.search_kwargs))
                for d in documents
            ],
            higher_is_better=self.higher_is_better,
        )

    async def aprobe(self) -> None:
        """`probe`, through the store's own asynchronous search."""
        search, k = self.vectorstore.asimilarity_search_with_score, max(self.k, PROBED)
        documents = _probed(await search(QUESTION, k=k, **self.search_kwargs))
        check_orientation(
            [(d, await search(d.page_content, k=k, **self.search_kwargs)) for d in documents],
            higher_is_better=self.higher_is_better,
        )

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        hits = self.vectorstore.similarity_search_with_score(query, k=self.k, **self.search_kwargs)
        return _scored(hits)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        hits = await self.vectorstore.asimilarity_search_with_score(query, k=self.k, **self.search_kwargs)
        return _scored(hits)


def _scored(hits: Hits) -> list[Document]:
    return [with_facts(document, {RETRIEVAL_SCORE: float(score)}) for document, score in hits]


def _probed(hits: Hits) -> Sequence[Document]:
    return [document for document, _ in hits if document.page_content.strip()][:PROBED]
