"""One corpus through LangChain (FAISS, Chroma, in memory), LlamaIndex and Haystack: each calibrated through its own
store, and all keep the same passages and give the same verdicts, since their scores say the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from haystack import Pipeline, component
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.dataclasses import ChatMessage
from haystack.dataclasses import Document as HaystackDocument
from haystack.document_stores.in_memory import InMemoryDocumentStore
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from llama_index.core import VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.response.schema import Response
from llama_index.core.query_engine import CustomQueryEngine
from llama_index.core.schema import NodeWithScore, TextNode
from pydantic import PrivateAttr

from haystack_integrations.components.guards.ragguard import (
    ConformalDocumentGate,
    FactualConsistencyValidator,
)
from langchain_ragguard import GuardedRetriever, RagGuardVerifier
from llama_index_ragguard import ConformalNodePostprocessor, RagGuardQueryEngine
from ragguard import ConsistencyGuard
from ragguard.alignment.lexical import LexicalAligner
from ragguard.models.embedders import SentenceTransformerEmbedder
from ragguard.protocols import Embedder
from ragguard.testing import HashEmbedder

METALS = ("copper", "silver", "nickel", "cobalt", "tungsten", "titanium", "chromium", "vanadium")
FACTS = ("density", "colour", "hardness", "price", "origin")
TEXTS = {f"{m}-{f}": f"The {f} of {m} is listed in table {m} {f}." for m in METALS for f in FACTS}
QUESTIONS = [
    {
        "id": name,
        "question": f"What is the {name.split('-')[1]} of {name.split('-')[0]}?",
        # A second passage is needed, about the same metal: so that more than one is kept.
        "relevant": [name, f"{name.split('-')[0]}-{FACTS[FACTS.index(name.split('-')[1]) - 1]}"],
    }
    for name in TEXTS
]
ASKED = [str(q["question"]) for q in QUESTIONS] + [
    "Who painted the ceiling?",
    "Is cobalt harder than nickel?",
    "Where is the table of silver?",
    "banana",
]
K = len(TEXTS)
PROMISE: dict[str, Any] = {"alpha": 0.2, "score": "cosine", "target": "all", "tune_share": 0.0}
ANSWERS = {
    "said": "The hardness of nickel is listed in table nickel hardness.",
    "made up": "Bananas are purple on the outside.",
    "another figure": "The hardness of nickel is 48.",
    "part": "The hardness of nickel is listed in table nickel hardness. It was measured in Narvik in 1911.",
    "unknown": "I don't know.",
}


class LangChainEmbeddings(Embeddings):
    def __init__(self, embedder: Embedder) -> None:
        self.embedder, self.model = embedder, "test"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[float(v) for v in vector] for vector in self.embedder.embed_passages(texts)]

    def embed_query(self, text: str) -> list[float]:
        return [float(v) for v in self.embedder.embed_queries([text])[0]]


class LlamaEmbedding(BaseEmbedding):
    model_name: str = "test"
    _embedder: Any = PrivateAttr()

    def __init__(self, embedder: Embedder) -> None:
        super().__init__()
        self._embedder = embedder

    def _get_text_embedding(self, text: str) -> list[float]:
        return [float(v) for v in self._embedder.embed_passages([text])[0]]

    def _get_query_embedding(self, query: str) -> list[float]:
        return [float(v) for v in self._embedder.embed_queries([query])[0]]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)


@component
class QuestionEmbedder:
    def __init__(self, embedder: Any) -> None:
        self.embedder = embedder

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, list[float]]:
        return {"embedding": [float(v) for v in self.embedder.embed_queries([text])[0]]}


Kept = Callable[[str], Sequence[str]]
"""Ids of the passages kept for a question, best first."""


def langchain(store: VectorStore, *, higher_is_better: bool) -> Kept:
    store.add_documents(
        [Document(id=name, page_content=text) for name, text in TEXTS.items()], ids=list(TEXTS)
    )
    retriever = GuardedRetriever.calibrate(
        store, QUESTIONS, k=K, higher_is_better=higher_is_better, **PROMISE
    )
    return lambda question: [str(d.id) for d in retriever.invoke(question)]


def faiss_store(embeddings: Embeddings) -> VectorStore:
    import faiss
    from langchain_community.docstore.in_memory import InMemoryDocstore
    from langchain_community.vectorstores import FAISS

    index = faiss.IndexFlatIP(len(embeddings.embed_query("x")))
    return FAISS(embeddings, index, InMemoryDocstore(), {})


def llama_index(embedder: Embedder) -> Kept:
    nodes = [TextNode(id_=name, text=text) for name, text in TEXTS.items()]
    index = VectorStoreIndex(nodes, embed_model=LlamaEmbedding(embedder))
    cut = ConformalNodePostprocessor.calibrate(index, QUESTIONS, similarity_top_k=K, **PROMISE)
    retriever = index.as_retriever(similarity_top_k=K)
    return lambda question: [
        n.node.node_id for n in cut.postprocess_nodes(retriever.retrieve(question), query_str=question)
    ]


def haystack(embedder: Embedder, folder: Path) -> Kept:
    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    vectors = embedder.embed_passages(list(TEXTS.values()))
    store.write_documents(
        [
            HaystackDocument(id=name, content=text, embedding=[float(v) for v in vector])
            for (name, text), vector in zip(TEXTS.items(), vectors, strict=True)
        ]
    )
    pipeline = Pipeline()
    pipeline.add_component("embedder", QuestionEmbedder(embedder))
    pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=K))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    gate = ConformalDocumentGate.calibrate(
        pipeline,
        QUESTIONS,
        question="embedder.text",
        documents="retriever.documents",
        folder=folder,
        **PROMISE,
    )
    pipeline.add_component("gate", gate)
    pipeline.connect("retriever.documents", "gate.documents")

    def kept(question: str) -> list[str]:
        found = pipeline.run({"embedder": {"text": question}, "gate": {"query": question}})
        return [d.id for d in found["gate"]["documents"]]

    return kept


def every(embedder: Embedder, folder: Path) -> Mapping[str, Kept]:
    embeddings = LangChainEmbeddings(embedder)
    chroma = Chroma(
        collection_name="frameworks",
        embedding_function=embeddings,
        persist_directory=str(folder / "chroma"),
        collection_metadata={"hnsw:space": "cosine"},
    )
    return {
        "LangChain, in memory": langchain(InMemoryVectorStore(embeddings), higher_is_better=True),
        "LangChain, FAISS": langchain(faiss_store(embeddings), higher_is_better=True),
        "LangChain, Chroma": langchain(chroma, higher_is_better=False),
        "LlamaIndex": llama_index(embedder),
        "Haystack": haystack(embedder, folder / "haystack"),
    }


@pytest.mark.parametrize(
    "embedder",
    [
        pytest.param(lambda: HashEmbedder(256), id="hash"),
        pytest.param(SentenceTransformerEmbedder, id="MiniLM", marks=pytest.mark.slow),
    ],
)
def test_every_store_keeps_the_same_passages(embedder: Callable[[], Embedder], tmp_path: Path) -> None:
    frameworks = every(embedder(), tmp_path)
    kept = {name: [set(keep(question)) for question in ASKED] for name, keep in frameworks.items()}
    first = kept["LangChain, in memory"]
    assert max(map(len, first)) > 1, "a cut that keeps one passage at most tells little"
    assert min(map(len, first)) < K, "a cut that keeps everything tells nothing"
    assert {name: found for name, found in kept.items() if found != first} == {}


class Engine(CustomQueryEngine):
    """A query engine that answers the same whatever it is asked."""

    said: str

    def custom_query(self, query_str: str) -> Response:
        nodes = [NodeWithScore(node=TextNode(id_=name, text=TEXTS[name]), score=0.9) for name in EVIDENCE]
        return Response(response=self.said, source_nodes=nodes)


EVIDENCE = ("nickel-hardness", "nickel-price", "cobalt-hardness")
QUESTION = "What is the hardness of nickel?"


def by_words() -> ConsistencyGuard:
    return ConsistencyGuard(LexicalAligner(), policy="redact")


def through_langchain(answer: str) -> tuple[str, Any]:
    context = [Document(id=name, page_content=TEXTS[name]) for name in EVIDENCE]
    found = RagGuardVerifier(guard=by_words()).invoke(
        {"question": QUESTION, "context": context, "answer": answer}
    )
    return found["answer"], found["ragguard"]


def through_llama_index(answer: str) -> tuple[str, Any]:
    found = RagGuardQueryEngine(Engine(said=answer), [by_words()]).query(QUESTION)
    return str(found), (found.metadata or {})["ragguard"]


def through_haystack(answer: str) -> tuple[str, Any]:
    documents = [HaystackDocument(id=name, content=TEXTS[name]) for name in EVIDENCE]
    found = FactualConsistencyValidator([by_words()]).run(
        query=QUESTION, documents=documents, replies=[ChatMessage.from_assistant(answer)]
    )
    (reply,) = found.get("accepted") or found["refused"]
    return reply.text or "", found["report"]


def verdicts(report: Any) -> list[tuple[Any, ...]]:
    """What was judged of the answer, and on which places of which passages."""
    report = report[0] if isinstance(report, list) else report
    return [
        (
            v["guard"],
            v["action"],
            v["reason"],
            v["score"],
            [(e["outcome"], e["score"], e.get("spans")) for e in v["evidence"]],
        )
        for v in report["verdicts"]
        if v["guard"] == "consistency"
    ]


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_every_framework_gives_the_same_verdict(answer: str) -> None:
    text, report = through_langchain(answer)
    assert verdicts(report)
    for other in (through_llama_index, through_haystack):
        said, told = other(answer)
        assert (said, verdicts(told)) == (text, verdicts(report))
