"""Forty records in an index in memory, questions about them, and engines over them; no model, no network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from llama_index_ragguard import ConformalNodePostprocessor, RagGuardQueryEngine
from llama_index_ragguard.testing import HashEmbedding, ScriptedLLM
from ragguard import ConsistencyGuard
from ragguard.alignment.lexical import LexicalAligner

METALS = ("copper", "silver", "nickel", "cobalt", "tungsten", "titanium", "chromium", "vanadium")
FACTS = ("density", "colour", "hardness", "price", "origin")

ASKED = "What is the hardness of nickel?"
STRANGE = "Who painted the ceiling?"
TRUE = "The hardness of nickel is listed in table nickel hardness."
FALSE = "Bananas are purple on the outside."


def by_words(**options: Any) -> ConsistencyGuard:
    """What judges answers here: the baseline, so that no model is needed."""
    return ConsistencyGuard(LexicalAligner(), **options)


def records() -> list[TextNode]:
    return [
        TextNode(
            id_=f"{metal}-{fact}",
            text=f"The {fact} of {metal} is listed in table {metal} {fact}.",
            metadata={"source": f"{metal}.txt", "tags": [fact]},
            excluded_embed_metadata_keys=["source", "tags"],
        )
        for metal in METALS
        for fact in FACTS
    ]


class FixedRetriever(BaseRetriever):
    """Hands out the same nodes for every question, or fails; notes on which threads it was called."""

    def __init__(self, nodes: list[NodeWithScore], *, error: Exception | None = None) -> None:
        self.found, self._error = nodes, error
        self.similarity_top_k = 50
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        if self._error is not None:
            raise self._error
        return list(self.found)


@pytest.fixture(scope="session")
def index() -> VectorStoreIndex:
    return VectorStoreIndex(records(), embed_model=HashEmbedding())


@pytest.fixture(scope="session")
def questions() -> list[dict[str, Any]]:
    return [
        {"id": f"{m}-{f}", "question": f"What is the {f} of {m}?", "relevant": [f"{m}-{f}"]}
        for m in METALS
        for f in FACTS
    ]


@pytest.fixture(scope="session")
def cut(index: VectorStoreIndex, questions: list[dict[str, Any]]) -> ConformalNodePostprocessor:
    """Keeps several nodes: each question needs a second one, about the same metal."""
    pairs = [
        {**q, "relevant": [*q["relevant"], f"{metal}-{other}"]}
        for q in questions
        for metal, fact in [q["id"].split("-")]
        for other in [FACTS[FACTS.index(fact) - 1]]
    ]
    return ConformalNodePostprocessor.calibrate(
        index,
        pairs,
        similarity_top_k=10,
        alpha=0.3,
        score="gap",
        target="all",
        guards=[by_words()],
    )


Answering = Callable[..., BaseQueryEngine]


@pytest.fixture
def answering(index: VectorStoreIndex, cut: ConformalNodePostprocessor) -> Answering:
    """An engine of the user's own, whose model says these texts."""

    def made(*answers: str, cuts: list[int] | None = None, **options: Any) -> BaseQueryEngine:
        llm = ScriptedLLM(answers=list(answers), cuts=cuts)
        given = {"similarity_top_k": 10, "node_postprocessors": [cut], **options}
        return index.as_query_engine(llm=llm, **given)

    return made


@pytest.fixture
def guarded(answering: Answering, cut: ConformalNodePostprocessor) -> Callable[..., Any]:
    """The same, guarded."""

    def made(
        *answers: str,
        guard: Any = None,
        policy: Any = None,
        mode: Any = "withhold",
        engine: dict[str, Any] | None = None,
        **options: Any,
    ) -> RagGuardQueryEngine:
        inner = answering(*answers, **(engine or {}))
        return RagGuardQueryEngine(
            inner, guard=cut.guard if guard is None else guard, policy=policy, mode=mode, **options
        )

    return made
