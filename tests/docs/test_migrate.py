"""The page for those who come from another check: what it shows runs, what it says of others is so."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import RunnableLambda
from langchain_core.vectorstores import InMemoryVectorStore

from tests.docs.trace_pages import follow, steps

PAGE = "how-to/migrate.md"
VECTORS = {"asked": [1.0, 0.0], "same": [1.0, 0.0], "across": [0.0, 1.0], "opposite": [-1.0, 0.0]}


class Fixed(Embeddings):
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [VECTORS[text] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return VECTORS[text]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_block_that_takes_anothers_place_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = follow(PAGE)
    assert not wrong, "\n\n".join(wrong)


def test_every_block_that_runs_says_what_it_prints() -> None:
    found = list(steps(PAGE))
    assert len(found) >= 8
    assert all(step.kind == "python" and step.output for step in found)


def faiss(metric: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package announces its end at import
        from langchain_community.vectorstores import FAISS
        from langchain_community.vectorstores.utils import DistanceStrategy
    return FAISS.from_texts(
        ["same", "across", "opposite"], Fixed(), distance_strategy=DistanceStrategy[metric]
    )


@pytest.mark.filterwarnings("ignore")
def test_relevance_is_upside_down_for_inner_products_and_negative_for_distances() -> None:
    product, distance = faiss("MAX_INNER_PRODUCT"), faiss("EUCLIDEAN_DISTANCE")
    options = {"search_type": "similarity_score_threshold", "search_kwargs": {"score_threshold": 0.5, "k": 3}}
    scores = {d.page_content: s for d, s in product.similarity_search_with_relevance_scores("asked", k=3)}
    assert (scores["same"], scores["opposite"]) == (0.0, 1.0)
    assert [d.page_content for d in product.as_retriever(**options).invoke("asked")] == ["opposite"]
    assert min(s for _, s in distance.similarity_search_with_relevance_scores("asked", k=3)) < 0


def test_the_in_memory_store_has_no_relevance_score() -> None:
    store = InMemoryVectorStore(Fixed())
    retriever = store.as_retriever(
        search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.5}
    )
    with pytest.raises(NotImplementedError):
        retriever.invoke("asked")


def test_a_compressor_is_not_called_for_an_empty_retrieval_and_the_rerankers_scores_are_gone() -> None:
    from langchain_classic.retrievers import ContextualCompressionRetriever
    from langchain_classic.retrievers.document_compressors import CrossEncoderReranker
    from langchain_core.cross_encoders import BaseCrossEncoder

    class Counts(BaseDocumentCompressor):
        called: int = 0

        def compress_documents(self, documents: Any, query: str, callbacks: Any = None) -> Any:
            self.called += 1
            return documents

    class Falling(BaseCrossEncoder):
        def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
            return [-float(place) for place, _ in enumerate(text_pairs)]

    counts = Counts()
    empty = ContextualCompressionRetriever(
        base_compressor=counts, base_retriever=RunnableLambda(lambda _: [])
    )
    assert empty.invoke("asked") == []
    assert counts.called == 0
    beside_the_point = [Document(page_content=word) for word in ("one", "two", "three", "four")]
    reranked = ContextualCompressionRetriever(
        base_compressor=CrossEncoderReranker(model=Falling(), top_n=3),
        base_retriever=RunnableLambda(lambda _: beside_the_point),
    ).invoke("asked")
    assert [document.metadata for document in reranked] == [{}, {}, {}]
