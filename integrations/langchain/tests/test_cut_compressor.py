"""The calibrated cut as a document compressor: what it keeps, what it can promise, what it never sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_ragguard import ConformalCompressor, GuardedRetriever, ScoredVectorStoreRetriever
from langchain_ragguard.testing import HashEmbeddings
from langchain_ragguard.testing.compressor_suite import CompressorSuite
from ragguard import RefusalError, Stage
from ragguard.errors import CalibrationMismatchError, ConfigurationError, GuardError, InvalidScoreError
from ragguard.testing import ScriptedGuard

ASKED = "What is the hardness of nickel?"
STRANGE = "Who painted the ceiling?"


@pytest.fixture
def base(store: InMemoryVectorStore) -> ScoredVectorStoreRetriever:
    return ScoredVectorStoreRetriever(vectorstore=store, higher_is_better=True, k=10)


@pytest.fixture
def cutting(guarded: GuardedRetriever) -> ConformalCompressor:
    return ConformalCompressor(guard=guarded.guard, base=guarded.base)


def said(documents: Any) -> dict[str, Any]:
    found: dict[str, Any] = documents[0].metadata["ragguard"]["certificate"]
    return found


async def test_the_cut_is_the_guarded_retrievers(
    cutting: ConformalCompressor, guarded: GuardedRetriever, base: ScoredVectorStoreRetriever
) -> None:
    for question in (ASKED, STRANGE):
        retrieved = base.invoke(question)
        assert cutting.compress_documents(retrieved, question) == guarded.invoke(question)
        assert await cutting.acompress_documents(retrieved, question) == guarded.invoke(question)
    assert said(cutting.compress_documents(base.invoke(ASKED), ASKED))["status"] == "valid"


def test_it_is_calibrated_through_the_retriever_before_it(
    base: ScoredVectorStoreRetriever, questions: list[dict[str, Any]], tmp_path: Path
) -> None:
    made = ConformalCompressor.calibrate(base, questions, score="gap", alpha=0.3)
    made.save(tmp_path)
    loaded = ConformalCompressor(guard=tmp_path, base=base)
    retrieved = base.invoke(ASKED)
    assert loaded.compress_documents(retrieved, ASKED) == made.compress_documents(retrieved, ASKED)
    with pytest.raises(CalibrationMismatchError):
        ConformalCompressor(guard=tmp_path, base=base.model_copy(update={"k": 9}))


def test_a_retriever_that_it_cannot_see_leaves_a_lesser_promise(
    guarded: GuardedRetriever, base: ScoredVectorStoreRetriever
) -> None:
    blind = ConformalCompressor(guard=guarded.guard)
    found = blind.compress_documents(base.invoke(ASKED), ASKED)
    assert [d.id for d in found] == [d.id for d in guarded.invoke(ASKED)]
    assert said(found)["status"] == "degraded"
    assert "cannot be seen" in said(found)["notes"][-1]
    more = said(blind.compress_documents(base.invoke(ASKED, k=20), ASKED))
    assert (more["status"], more["voided_by"]) == (
        "void",
        "more documents than the calibrated retriever returns",
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"score_key": "score"},
        {"higher_is_better": False},
        {"embedder": HashEmbeddings()},
        {"id_key": "source"},
    ],
)
def test_other_scores_or_names_than_the_calibrated_are_refused(
    guarded: GuardedRetriever, changed: dict[str, Any]
) -> None:
    with pytest.raises(CalibrationMismatchError):
        ConformalCompressor(guard=guarded.calibration, **changed)
    with pytest.raises(ConfigurationError):
        ConformalCompressor(guard=guarded.guard, score_key="score", embedder=HashEmbeddings())


def test_a_document_without_a_score_is_an_error(guarded: GuardedRetriever, records: list[Document]) -> None:
    with pytest.raises(InvalidScoreError):
        ConformalCompressor(guard=guarded.guard).compress_documents(records[:3], ASKED)


def test_it_scores_the_documents_itself_where_told_to(
    store: InMemoryVectorStore, questions: list[dict[str, Any]]
) -> None:
    plain = store.as_retriever(search_kwargs={"k": 10})
    made = ConformalCompressor.calibrate(plain, questions, embedder=HashEmbeddings(), score="gap")
    assert made.compress_documents(plain.invoke(ASKED), ASKED)[0].id == "nickel-hardness"


def test_a_refusal_can_raise(fixed: BaseRetriever, first_is_right: list[dict[str, Any]]) -> None:
    failing = ScriptedGuard(Stage.QUESTION, does=GuardError("out of order"))
    made = GuardedRetriever.calibrate(fixed, first_is_right, score_key="score", score="gap", guards=[failing])
    options: dict[str, Any] = {"guard": made.guard, "base": fixed, "score_key": "score"}
    retrieved = fixed.invoke("x")
    assert ConformalCompressor(**options).compress_documents(retrieved, "x") == []
    with pytest.raises(RefusalError):
        ConformalCompressor(**options, on_refuse="raise").compress_documents(retrieved, "x")


async def test_behind_a_compressing_retriever_it_cuts_and_is_not_asked_when_nothing_was_retrieved(
    cutting: ConformalCompressor, guarded: GuardedRetriever, fixed: Any, first_is_right: list[dict[str, Any]]
) -> None:
    chained = ContextualCompressionRetriever(base_compressor=cutting, base_retriever=guarded.base)
    assert chained.invoke(ASKED) == guarded.invoke(ASKED)
    assert await chained.ainvoke(ASKED) == guarded.invoke(ASKED)

    watching = ScriptedGuard(Stage.PASSAGES, name="watching")
    made = GuardedRetriever.calibrate(
        fixed, first_is_right, score_key="score", score="gap", guards=[watching]
    )
    empty = fixed.model_copy(update={"documents": []})
    blind = ConformalCompressor(guard=made.guard, score_key="score")
    watching.seen.clear()
    assert ContextualCompressionRetriever(base_compressor=blind, base_retriever=empty).invoke("x") == []
    assert watching.seen == []


class TestConformalCompressor(CompressorSuite):
    @pytest.fixture
    def compressor(self, cutting: ConformalCompressor) -> ConformalCompressor:
        return cutting

    @pytest.fixture
    def documents(self, base: ScoredVectorStoreRetriever) -> list[Document]:
        return base.invoke(ASKED)

    @pytest.fixture
    def query(self) -> str:
        return ASKED
