"""Forty records, questions about them, and retrievers over them; no model, no network."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_ragguard import GuardedRetriever
from langchain_ragguard.testing import HashEmbeddings
from ragguard import ConsistencyGuard
from ragguard.alignment.lexical import LexicalAligner

METALS = ("copper", "silver", "nickel", "cobalt", "tungsten", "titanium", "chromium", "vanadium")
FACTS = ("density", "colour", "hardness", "price", "origin")


def by_words() -> list[ConsistencyGuard]:
    """What judges answers here: the baseline, so that no model is needed."""
    return [ConsistencyGuard(LexicalAligner())]


class FixedRetriever(BaseRetriever):
    """Hands out its own document objects, every time, and notes how and on which thread it was called."""

    documents: list[Document]
    calls: list[str] = []  # noqa: RUF012 - pydantic copies it
    threads: list[int] = []  # noqa: RUF012

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        self.calls.append("sync")
        self.threads.append(threading.get_ident())
        return list(self.documents)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        self.calls.append("async")
        self.threads.append(threading.get_ident())
        return list(self.documents)


@pytest.fixture(scope="session")
def records() -> list[Document]:
    return [
        Document(
            id=f"{metal}-{fact}",
            page_content=f"The {fact} of {metal} is listed in table {metal} {fact}.",
            metadata={"source": f"{metal}.txt", "tags": [fact]},
        )
        for metal in METALS
        for fact in FACTS
    ]


@pytest.fixture(scope="session")
def questions() -> list[dict[str, Any]]:
    return [
        {"id": f"{m}-{f}", "question": f"What is the {f} of {m}?", "relevant": [f"{m}-{f}"]}
        for m in METALS
        for f in FACTS
    ]


@pytest.fixture(scope="session")
def store(records: list[Document]) -> InMemoryVectorStore:
    store = InMemoryVectorStore(HashEmbeddings())
    store.add_documents(records)
    return store


@pytest.fixture(scope="session")
def guarded(store: InMemoryVectorStore, questions: list[dict[str, Any]]) -> GuardedRetriever:
    """Keeps several documents: each question needs a second one, about the same metal."""
    pairs = [
        {**q, "relevant": [*q["relevant"], f"{metal}-{other}"]}
        for q in questions
        for metal, fact in [q["id"].split("-")]
        for other in [FACTS[FACTS.index(fact) - 1]]
    ]
    return GuardedRetriever.calibrate(
        store, pairs, k=10, higher_is_better=True, alpha=0.3, score="gap", target="all", guards=by_words()
    )


@pytest.fixture
def fixed(records: list[Document]) -> FixedRetriever:
    """All records, each with a score; the first is the best."""
    documents = [
        d.model_copy(update={"metadata": {**d.metadata, "score": 1.0 - 0.02 * place}})
        for place, d in enumerate(records)
    ]
    return FixedRetriever(documents=documents)


@pytest.fixture
def first_is_right(records: list[Document]) -> list[dict[str, Any]]:
    """Questions that the first of the fixed documents answers."""
    return [{"id": f"q{i}", "question": f"question {i}", "relevant": [records[i % 3].id]} for i in range(40)]
