from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_ragguard import GuardedRetriever, ScoredVectorStoreRetriever
from langchain_ragguard.testing import HashEmbeddings
from ragguard.errors import ConfigurationError, ScoreOrientationError


class DistanceStore(InMemoryVectorStore):
    """Gives distances: the nearest first, and the smallest."""

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> Any:
        return [(d, 1.0 - s) for d, s in super().similarity_search_with_score(query, k, **kwargs)]

    async def asimilarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> Any:
        return [(d, 1.0 - s) for d, s in await super().asimilarity_search_with_score(query, k, **kwargs)]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        raise AssertionError("relevance scores are never used")


def filled(kind: type[InMemoryVectorStore], records: list[Document]) -> InMemoryVectorStore:
    store = kind(HashEmbeddings())
    store.add_documents(records)
    return store


@pytest.mark.parametrize(("kind", "declared"), [(InMemoryVectorStore, False), (DistanceStore, True)])
async def test_a_store_declared_the_wrong_way_round_is_detected(
    kind: type[InMemoryVectorStore], declared: bool, records: list[Document], guarded: GuardedRetriever
) -> None:
    store = filled(kind, records)
    with pytest.raises(ScoreOrientationError, match="worse end"):
        GuardedRetriever.from_vectorstore(store, guarded.calibration, higher_is_better=declared, k=10)
    with pytest.raises(ScoreOrientationError, match="worse end"):
        await GuardedRetriever.afrom_vectorstore(store, guarded.calibration, higher_is_better=declared, k=10)
    with pytest.raises(ScoreOrientationError, match="worse end"):
        GuardedRetriever.calibrate(store, [], k=10, higher_is_better=declared)


def test_distances_serve_when_declared(records: list[Document], questions: list[dict[str, Any]]) -> None:
    store = filled(DistanceStore, records)
    guarded = GuardedRetriever.calibrate(store, questions, k=10, higher_is_better=False, score="gap")
    found = guarded.invoke("What is the hardness of nickel?")
    assert found[0].id == "nickel-hardness"
    distances = [d.metadata["ragguard"]["retrieval_score"] for d in found]
    assert distances == sorted(distances)


def test_a_probe_works_however_few_documents_are_served(store: InMemoryVectorStore) -> None:
    ScoredVectorStoreRetriever(vectorstore=store, higher_is_better=True, k=1).probe()


@pytest.mark.parametrize("count", [0, 1])
def test_a_direction_that_cannot_be_told_is_an_error(count: int, records: list[Document]) -> None:
    store = filled(InMemoryVectorStore, records[:count])
    with pytest.raises(ScoreOrientationError, match="cannot be told"):
        ScoredVectorStoreRetriever(vectorstore=store, higher_is_better=True, k=4).probe()


def test_the_probe_can_be_left_out(guarded: GuardedRetriever, store: InMemoryVectorStore) -> None:
    class Counting(InMemoryVectorStore):
        searches = 0

        def similarity_search_with_score(self, *args: Any, **kwargs: Any) -> Any:
            Counting.searches += 1
            return super().similarity_search_with_score(*args, **kwargs)

    Counting.__qualname__, Counting.__module__ = "InMemoryVectorStore", InMemoryVectorStore.__module__
    served = Counting(HashEmbeddings())
    served.store = store.store
    GuardedRetriever.from_vectorstore(served, guarded.calibration, higher_is_better=True, k=10, probe=False)
    assert Counting.searches == 0
    GuardedRetriever.from_vectorstore(served, guarded.calibration, higher_is_better=True, k=10)
    assert Counting.searches > 1


def test_a_store_needs_its_k_and_direction(
    store: InMemoryVectorStore, questions: list[dict[str, Any]]
) -> None:
    with pytest.raises(ConfigurationError):
        GuardedRetriever.calibrate(store, questions, k=10)
    with pytest.raises(ConfigurationError):
        GuardedRetriever.calibrate(store.as_retriever(), questions, k=10, embedder=HashEmbeddings())
