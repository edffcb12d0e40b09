from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_ragguard import GuardedRetriever, ScoredVectorStoreRetriever
from langchain_ragguard.testing import HashEmbeddings
from ragguard.errors import CalibrationMismatchError, ConfigurationError, ScoreOrientationError


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


# Metric and consistency


class Broken(InMemoryVectorStore):
    """A store whose scores are changed by a function of (query, hits)."""

    change: Any = None

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> Any:
        return type(self).change(query, super().similarity_search_with_score(query, k, **kwargs))

    async def asimilarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> Any:
        return type(self).change(query, await super().asimilarity_search_with_score(query, k, **kwargs))


def broken(change: Any, records: list[Document]) -> InMemoryVectorStore:
    return filled(type("Broken", (Broken,), {"change": staticmethod(change)}), records)


def drifting(query: str, hits: Any) -> Any:
    return [(d, s + next(TICKS) / 100) for d, s in hits]


TICKS = itertools.count()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _, hits: [hits[0], *reversed(hits[1:])], "another order"),
        (drifting, "asked the same again"),
    ],
    ids=["reordered", "drifting"],
)
async def test_an_inconsistent_store_is_refused(change: Any, said: str, records: list[Document]) -> None:
    for k in (10, 40):
        base = ScoredVectorStoreRetriever(vectorstore=broken(change, records), higher_is_better=True, k=k)
        with pytest.raises(ScoreOrientationError, match=said):
            base.probe()
        with pytest.raises(ScoreOrientationError, match=said):
            await base.aprobe()


def test_a_store_that_scores_some_texts_the_other_way_is_refused(
    store: InMemoryVectorStore, records: list[Document]
) -> None:
    one = store.similarity_search("document", k=1)[0].page_content

    def turned_for_one(query: str, hits: Any) -> Any:
        return [(d, -s) for d, s in hits] if query == one else hits

    base = ScoredVectorStoreRetriever(
        vectorstore=broken(turned_for_one, records), higher_is_better=True, k=10
    )
    with pytest.raises(ScoreOrientationError, match="one way for some texts"):
        base.probe()


def test_scores_outside_a_declared_metric_are_refused(store: InMemoryVectorStore) -> None:
    def base(store: InMemoryVectorStore) -> ScoredVectorStoreRetriever:
        return ScoredVectorStoreRetriever(
            vectorstore=store, higher_is_better=True, metric="cosine_similarity", k=10
        )

    base(store).probe()
    doubled = broken(lambda _, hits: [(d, 2 * s) for d, s in hits], list(store_documents(store)))
    with pytest.raises(ScoreOrientationError, match="cosine_similarity"):
        base(doubled).probe()


def store_documents(store: InMemoryVectorStore) -> list[Document]:
    return [d for d, _ in store.similarity_search_with_score("record", k=100)]


@pytest.mark.parametrize(
    ("metric", "higher"), [("cosine_similarity", False), ("dot_product", False), ("euclidean_distance", True)]
)
def test_metric_and_direction_may_not_contradict_each_other(
    store: InMemoryVectorStore, metric: Any, higher: bool
) -> None:
    with pytest.raises(ConfigurationError, match="contradict"):
        ScoredVectorStoreRetriever(vectorstore=store, higher_is_better=higher, metric=metric, k=3)


def test_the_declared_metric_is_part_of_the_calibration(
    store: InMemoryVectorStore, questions: list[dict[str, Any]]
) -> None:
    options: dict[str, Any] = {"higher_is_better": True, "k": 10}
    made = GuardedRetriever.calibrate(store, questions, metric="cosine_similarity", score="gap", **options)
    assert made.invoke("What is the hardness of nickel?")
    with pytest.raises(CalibrationMismatchError, match="metric"):
        GuardedRetriever.from_vectorstore(store, made.calibration, metric="dot_product", **options)
    with pytest.raises(ConfigurationError):
        GuardedRetriever.calibrate(
            store.as_retriever(), questions, metric="cosine_similarity", embedder=HashEmbeddings()
        )
