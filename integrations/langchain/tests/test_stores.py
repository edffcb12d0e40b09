"""One corpus in several stores, one calibration each: where the scores are the same, so is everything after."""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Callable
from typing import Any

import faiss
import numpy as np
import pytest
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_ragguard import GuardedRetriever, RagGuardVerifier
from langchain_ragguard.testing import HashEmbeddings
from ragguard import ConsistencyGuard, Reason, Stage
from ragguard.alignment.lexical import LexicalAligner
from ragguard.errors import InvalidScoreError, ScoreOrientationError
from ragguard.testing import ScriptedGuard

DEPTH = 10
ASKED = [
    "What is the hardness of nickel?",
    "What is the price of copper?",
    "Tell me the origin of tungsten.",
    "Who painted the ceiling?",
    "colour of silver",
]
ANSWERS = (
    "The hardness of nickel is listed in table nickel hardness.",
    "The price of copper is listed in table copper price.",
    "Tungsten comes from the moon.",
    "I don't know.",
    "",
)
OPTIONS: dict[str, Any] = {"score": "gap", "alpha": 0.3, "target": "all"}


def in_memory(records: list[Document]) -> Any:
    store = InMemoryVectorStore(HashEmbeddings())
    store.add_documents(records)
    return store, {"k": DEPTH, "higher_is_better": True, "metric": "cosine_similarity"}, 1.0


def in_chroma(records: list[Document]) -> Any:
    plain = [
        d.model_copy(update={"metadata": {k: v for k, v in d.metadata.items() if k != "tags"}})
        for d in records
    ]
    store = Chroma(
        collection_name=f"c{uuid.uuid4().hex}",
        embedding_function=HashEmbeddings(),
        collection_metadata={"hnsw:space": "cosine"},
    )
    store.add_documents(plain)
    return store, {"k": DEPTH, "higher_is_better": False, "metric": "cosine_distance"}, 1.0


def in_faiss(records: list[Document]) -> Any:
    from langchain_community.vectorstores import FAISS

    store = FAISS.from_documents(records, HashEmbeddings(), ids=[d.id for d in records])
    # Its default is the squared distance: of unit vectors, twice the cosine distance.
    return store, {"k": DEPTH, "higher_is_better": False, "metric": "squared_euclidean_distance"}, 2.0


def in_faiss_by_product(records: list[Document]) -> Any:
    from langchain_community.vectorstores import FAISS
    from langchain_community.vectorstores.utils import DistanceStrategy

    store = FAISS.from_documents(
        records,
        HashEmbeddings(),
        ids=[d.id for d in records],
        distance_strategy=DistanceStrategy.MAX_INNER_PRODUCT,
    )
    return store, {"k": DEPTH, "higher_is_better": True, "metric": "dot_product"}, 1.0


def in_an_index_of_ones_own(records: list[Document]) -> Any:
    """No store at all: a FAISS index and a list, behind a function."""
    embeddings = HashEmbeddings()
    index = faiss.IndexFlatIP(256)
    index.add(np.array(embeddings.embed_documents([d.page_content for d in records]), dtype=np.float32))

    def search(question: str) -> list[Document]:
        scores, places = index.search(np.array([embeddings.embed_query(question)], dtype=np.float32), DEPTH)
        return [
            Document(id=records[i].id, page_content=records[i].page_content, metadata={"score": float(s)})
            for s, i in zip(scores[0], places[0], strict=True)
        ]

    return RunnableLambda(search), {"score_key": "score", "identity": "flat, of May"}, 1.0


MAKERS: list[Callable[[list[Document]], Any]] = [
    in_memory,
    in_chroma,
    in_faiss,
    in_faiss_by_product,
    in_an_index_of_ones_own,
]


@pytest.fixture(scope="module")
def served(records: list[Document], pairs: list[dict[str, Any]]) -> dict[str, Any]:
    """For every store its guarded retriever, calibrated through it, and how large its score's unit is."""
    guards = [ConsistencyGuard(LexicalAligner())]
    found = {}
    for make in MAKERS:
        store, options, unit = make(records)
        found[make.__name__] = (
            GuardedRetriever.calibrate(store, pairs, guards=guards, **options, **OPTIONS),
            unit,
        )
    return found


@pytest.fixture(scope="module")
def pairs(questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each question needs a second document, about the same metal."""
    by_metal: dict[str, list[str]] = {}
    for q in questions:
        by_metal.setdefault(q["id"].split("-")[0], []).append(q["id"])
    return [
        {**q, "relevant": [q["id"], ids[ids.index(q["id"]) - 1]]}
        for q in questions
        for ids in [by_metal[q["id"].split("-")[0]]]
    ]


OTHERS = [make.__name__ for make in MAKERS[1:]]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", OTHERS)
def test_thresholds_and_nonconformity_agree_up_to_the_unit_of_the_score(
    served: dict[str, Any], name: str
) -> None:
    reference, _ = served["in_memory"]
    other, unit = served[name]
    for question in ASKED:
        for mine, theirs in zip(reference.invoke(question), other.invoke(question), strict=True):
            told, ours = theirs.metadata["ragguard"], mine.metadata["ragguard"]
            assert told["threshold"] == pytest.approx(unit * ours["threshold"], abs=1e-4)
            assert told["nonconformity"] == pytest.approx(unit * ours["nonconformity"], abs=1e-4)
            assert told["certificate"]["status"] == ours["certificate"]["status"] == "valid"


@pytest.mark.parametrize("name", OTHERS)
async def test_the_same_passages_are_kept(served: dict[str, Any], name: str) -> None:
    reference, _ = served["in_memory"]
    other, _ = served[name]
    for question in ASKED:
        kept = reference.report(question)
        found = await asyncio.to_thread(other.report, question)
        assert (found.action, found.reason) == (kept.action, kept.reason)
        # Ties may come in another order.
        assert {p.id for p in found.passages} == {p.id for p in kept.passages}
        assert {d.id for d in await other.ainvoke(question)} == {d.id for d in reference.invoke(question)}
    assert 1 < len(reference.invoke(ASKED[0])) < DEPTH


@pytest.mark.parametrize("name", OTHERS)
def test_the_same_verdicts_are_reached(served: dict[str, Any], name: str) -> None:
    def verdicts(retriever: GuardedRetriever) -> list[Any]:
        verifier = RagGuardVerifier(guard=retriever.guard)
        found = verifier.batch(
            [{"report": retriever.report(q), "answer": a} for q, a in zip(ASKED, ANSWERS, strict=True)]
        )
        return [(one["answer"], one["released"], one["ragguard"]["reason"]) for one in found]

    reached = verdicts(served[name][0])
    assert reached == verdicts(served["in_memory"][0])
    assert [released for _, released, _ in reached] == [True, True, False, False, False]


# What can go wrong with a store


def test_a_missing_score_is_an_error() -> None:
    base = RunnableLambda(lambda _: [Document(id="a", page_content="text")])
    with pytest.raises(InvalidScoreError):
        GuardedRetriever.calibrate(base, [{"id": "q", "question": "q", "relevant": ["a"]}], score_key="score")


@pytest.mark.parametrize("make", [in_chroma, in_faiss, in_faiss_by_product])
def test_a_store_declared_the_wrong_way_round_is_refused(
    make: Callable[[list[Document]], Any], records: list[Document], pairs: list[dict[str, Any]]
) -> None:
    store, options, _ = make(records)
    inverted = {"k": DEPTH, "higher_is_better": not options["higher_is_better"]}
    with pytest.raises(ScoreOrientationError, match="worse end"):
        GuardedRetriever.calibrate(store, pairs, **inverted, **OPTIONS)


@pytest.mark.parametrize("make", MAKERS[:3])
async def test_a_store_with_nothing_for_the_question_gives_no_evidence_and_no_answer(
    make: Callable[[list[Document]], Any], records: list[Document], pairs: list[dict[str, Any]]
) -> None:
    watching = ScriptedGuard(Stage.ANSWER)
    store, options, _ = make(records)
    guarded = GuardedRetriever.calibrate(store, pairs, guards=[watching], **options, **OPTIONS)
    store.delete([d.id for d in records])
    assert guarded.invoke(ASKED[0]) == []
    report = await guarded.areport(ASKED[0])
    assert report.reason is Reason.NO_EVIDENCE
    found = RagGuardVerifier(guard=guarded.guard).invoke({"report": report, "answer": "The hardness is 4."})
    assert found["released"] is False
    assert "4" not in found["answer"]
    assert watching.seen == []


def test_scores_are_finite_numbers_of_ours(served: dict[str, Any]) -> None:
    for retriever, _ in served.values():
        for document in retriever.invoke(ASKED[0]):
            score = document.metadata["ragguard"]["retrieval_score"]
            assert type(score) is float
            assert math.isfinite(score)
