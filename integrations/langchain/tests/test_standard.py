"""LangChain's own test suite for retrievers."""

from __future__ import annotations

from typing import Any

from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests import RetrieversIntegrationTests

from langchain_ragguard import GuardedRetriever, ScoredVectorStoreRetriever
from langchain_ragguard.testing import HashEmbeddings

TEXTS = [f"Record {i} is about topic {'abcdefghij'[i % 10]} in year {1900 + i}." for i in range(30)]


class TestGuardedRetriever(RetrieversIntegrationTests):
    @property
    def retriever_constructor(self) -> type[GuardedRetriever]:
        return GuardedRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        store = InMemoryVectorStore(HashEmbeddings())
        store.add_documents([Document(id=f"r{i}", page_content=text) for i, text in enumerate(TEXTS)])
        base = ScoredVectorStoreRetriever(vectorstore=store, higher_is_better=True, k=10)
        # What each question needs stands in fifth place, so that the cut keeps five.
        questions = [
            {"id": f"q{i}", "question": text, "relevant": [base.invoke(text)[4].id]}
            for i, text in enumerate(TEXTS)
        ]
        made = GuardedRetriever.calibrate(base, questions, alpha=0.2, score="rank", novelty_level=None)
        return {"base": base, "guard": made.calibration}

    @property
    def retriever_query_example(self) -> str:
        return TEXTS[7]

    @property
    def num_results_arg_name(self) -> str:
        # `k`, the number of candidates, is part of the calibration; what a call may lower is this.
        return "limit"


class TestScoredVectorStoreRetriever(RetrieversIntegrationTests):
    @property
    def retriever_constructor(self) -> type[ScoredVectorStoreRetriever]:
        return ScoredVectorStoreRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        store = InMemoryVectorStore(HashEmbeddings())
        store.add_documents([Document(id=f"r{i}", page_content=text) for i, text in enumerate(TEXTS)])
        return {"vectorstore": store, "higher_is_better": True, "metric": "cosine_similarity", "k": 10}

    @property
    def retriever_query_example(self) -> str:
        return TEXTS[7]
