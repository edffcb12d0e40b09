"""Forty records, questions about them, and retrieval pipelines over them; no model, no network."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from haystack import Pipeline, component
from haystack.components.builders import ChatPromptBuilder
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
from haystack.dataclasses import ChatMessage, Document, StreamingCallbackT, StreamingChunk
from haystack.document_stores.in_memory import InMemoryDocumentStore

from haystack_integrations.components.guards.ragguard import ConformalDocumentGate
from haystack_integrations.components.guards.ragguard.testing import HashDocumentEmbedder, HashTextEmbedder
from ragguard import ConsistencyGuard
from ragguard.alignment.lexical import LexicalAligner
from ragguard.types import Evidence

METALS = ("copper", "silver", "nickel", "cobalt", "tungsten", "titanium", "chromium", "vanadium")
FACTS = ("density", "colour", "hardness", "price", "origin")
LEXICAL = {"guards": [{"use": "consistency", "options": {"aligner": "lexical"}}]}
"""What judges answers here, as a pipeline's YAML has it: the baseline, so that no model is needed."""
PROMPT = "{% for d in documents %}{{ d.content }}\n{% endfor %}{{ question }}"
GOOD = "The price of cobalt is listed in table cobalt price."
BAD = "The price of cobalt rose to zyzzogeton dollars in Narvik."
SECRET = "zyzzogeton"
QUESTION = "What is the price of cobalt?"


def by_words() -> ConsistencyGuard:
    return ConsistencyGuard(LexicalAligner())


class NotedAligner(LexicalAligner):
    """The baseline, noting on which thread it judged and by which passages."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[int] = set()
        self.seen: list[tuple[str, ...]] = []

    def align(self, claims: Any, passages: Any, /, *, question: str = "") -> list[Evidence]:
        self.threads.add(threading.get_ident())
        self.seen.append(tuple(passage.id for passage in passages))
        found: list[Evidence] = super().align(claims, passages, question=question)
        return found


class WordScorer:
    """Relevance of a passage: how many of the question's words it has."""

    def score_pairs(self, pairs: Any, /) -> Any:
        return np.array(
            [len({*q.lower().split()} & {*p.lower().split()}) for q, p in pairs], dtype=np.float64
        )

    def fingerprint(self) -> dict[str, Any]:
        return {"name": "words"}


@component
class ScriptedChat:
    """Gives one answer after another, the last one for ever; streams in the pieces given."""

    def __init__(self, answers: list[Any], size: int = 7) -> None:
        self.answers = answers
        self.size = size
        self.seen: list[list[ChatMessage]] = []

    @component.output_types(replies=list[ChatMessage])
    def run(
        self,
        messages: list[ChatMessage],
        streaming_callback: StreamingCallbackT | None = None,
        tools: Any = None,
    ) -> dict[str, Any]:
        reply = self._next(messages)
        for chunk in self._chunks(reply) if streaming_callback else ():
            streaming_callback(chunk)
        return {"replies": [reply]}

    @component.output_types(replies=list[ChatMessage])
    async def run_async(
        self,
        messages: list[ChatMessage],
        streaming_callback: StreamingCallbackT | None = None,
        tools: Any = None,
    ) -> dict[str, Any]:
        reply = self._next(messages)
        for chunk in self._chunks(reply) if streaming_callback else ():
            told = streaming_callback(chunk)
            if told is not None:
                await told
        return {"replies": [reply]}

    def _next(self, messages: list[ChatMessage]) -> ChatMessage:
        self.seen.append(messages)
        answer = self.answers[min(len(self.seen), len(self.answers)) - 1]
        if callable(answer):
            answer = answer(messages)
        return answer if isinstance(answer, ChatMessage) else ChatMessage.from_assistant(answer)

    def _chunks(self, reply: ChatMessage) -> list[StreamingChunk]:
        text = reply.text or ""
        pieces = [text[i : i + self.size] for i in range(0, len(text), self.size)]
        return [*map(StreamingChunk, pieces), StreamingChunk(content="", finish_reason="stop")]


@pytest.fixture(scope="session")
def records() -> list[Document]:
    return [
        Document(
            id=f"{metal}-{fact}",
            content=f"The {fact} of {metal} is listed in table {metal} {fact}.",
            meta={"source": f"{metal}.txt", "tags": [fact]},
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
def store(records: list[Document]) -> InMemoryDocumentStore:
    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    store.write_documents(HashDocumentEmbedder().run(records)["documents"])
    return store


def retrieval(store: InMemoryDocumentStore, *, top_k: int = 10, dimension: int = 256) -> Pipeline:
    """Return a fresh pipeline that retrieves by embedding."""
    pipeline = Pipeline()
    pipeline.add_component("embedder", HashTextEmbedder(dimension))
    pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=top_k))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    return pipeline


def guarded(pipeline: Pipeline, gate: Any) -> Pipeline:
    pipeline.add_component("gate", gate)
    pipeline.connect("retriever.documents", "gate.documents")
    return pipeline


def answering(pipeline: Pipeline, chat: Any, validator: Any) -> Pipeline:
    """Return the pipeline, from the gate to the judged reply."""
    template = [ChatMessage.from_user(PROMPT)]
    pipeline.add_component("prompt", ChatPromptBuilder(template=template, required_variables="*"))
    pipeline.add_component("llm", chat)
    pipeline.add_component("verify", validator)
    pipeline.connect("gate.documents", "prompt.documents")
    pipeline.connect("prompt.prompt", "llm.messages")
    pipeline.connect("gate.documents", "verify.documents")
    pipeline.connect("gate.report", "verify.retrieval")
    pipeline.connect("llm.replies", "verify.replies")
    return pipeline


def asking(question: str) -> dict[str, dict[str, Any]]:
    return {
        "embedder": {"text": question},
        "gate": {"query": question},
        "prompt": {"question": question},
        "verify": {"query": question},
    }


@pytest.fixture(scope="session")
def folder(
    store: InMemoryDocumentStore, questions: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A calibration through the embedding retriever that keeps several documents: each question needs two."""
    path: Path = tmp_path_factory.mktemp("calibrated")
    pairs = [
        {**q, "relevant": [*q["relevant"], f"{metal}-{FACTS[FACTS.index(fact) - 1]}"]}
        for q in questions
        for metal, fact in [q["id"].split("-")]
    ]
    ConformalDocumentGate.calibrate(
        retrieval(store),
        pairs,
        question="embedder.text",
        documents="retriever.documents",
        folder=path,
        alpha=0.4,
        score="gap",
        target="all",
    )
    return path


@pytest.fixture
def bm25(store: InMemoryDocumentStore) -> InMemoryBM25Retriever:
    return InMemoryBM25Retriever(store, top_k=10)
