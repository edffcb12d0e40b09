from __future__ import annotations

import asyncio
import copy
import json
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_ragguard import (
    ConformalCompressor,
    GuardedRetriever,
    ScoredVectorStoreRetriever,
    StandaloneQuestion,
)
from langchain_ragguard.documents import passage_id
from langchain_ragguard.testing import HashEmbeddings
from ragguard import Action, Calibration, Guard, Passage, Reason, RefusalError, Stage, Turn, Verdict
from ragguard.errors import (
    CalibrationMismatchError,
    ConfigurationError,
    DuplicateIdError,
    InvalidScoreError,
    InvalidValueError,
    NoValidThresholdError,
)
from ragguard.models.rewriters import JoiningRewriter
from ragguard.preference.reranker import PreferenceReranker
from ragguard.testing import HashEmbedder
from ragguard.worker import run_on_worker

ASKED = "What is the hardness of nickel?"
STRANGE = "Who painted the ceiling?"


def facts(document: Document) -> dict[str, Any]:
    found: dict[str, Any] = document.metadata["ragguard"]
    return found


# What it returns


def test_returns_the_documents_kept_best_first_with_their_facts(guarded: GuardedRetriever) -> None:
    documents = guarded.invoke(ASKED)
    assert documents[0].id == "nickel-hardness"
    assert documents[0].metadata["source"] == "nickel.txt"
    scores = [facts(d)["retrieval_score"] for d in documents]
    assert scores == sorted(scores, reverse=True)
    for document in documents:
        told = facts(document)
        assert told["kept"] is True
        assert told["nonconformity"] <= told["threshold"]
        assert told["certificate"]["status"] == "valid"
        assert told["certificate"]["alpha"] == 0.3
    assert 1 < len(documents) < 10


def test_the_cut_is_the_one_of_the_guard_itself(guarded: GuardedRetriever) -> None:
    report = guarded.report(ASKED)
    assert [p.id for p in report.passages] == [d.id for d in guarded.invoke(ASKED)]
    best = report.passages[0].score
    gaps = [best - p.score for p in report.passages]  # type: ignore[operator]
    assert [facts(d)["nonconformity"] for d in guarded.invoke(ASKED)] == pytest.approx(gaps)


async def test_asynchronous_and_synchronous_agree(guarded: GuardedRetriever) -> None:
    assert await guarded.ainvoke(ASKED) == guarded.invoke(ASKED)
    ours, theirs = await guarded.areport(ASKED), guarded.report(ASKED)
    assert (ours.turn, ours.certificates) == (theirs.turn, theirs.certificates)


def test_no_evidence_returns_nothing_and_the_report_says_why(guarded: GuardedRetriever) -> None:
    assert guarded.invoke(STRANGE) == []
    report = guarded.report(STRANGE)
    assert (report.action, report.reason) == (Action.ABSTAIN, Reason.NO_EVIDENCE)


async def test_an_empty_retrieval_returns_nothing(
    fixed: BaseRetriever, first_is_right: list[dict[str, Any]]
) -> None:
    guarded = GuardedRetriever.calibrate(fixed, first_is_right, score_key="score", score="gap")
    empty = GuardedRetriever(
        base=fixed.model_copy(update={"documents": []}), guard=guarded.guard, score_key="score"
    )
    assert empty.invoke("anything") == []
    assert await empty.ainvoke("anything") == []
    assert (await empty.areport("anything")).reason is Reason.NO_EVIDENCE


def test_an_empty_query_is_an_error(guarded: GuardedRetriever) -> None:
    with pytest.raises(InvalidValueError):
        guarded.invoke("  ")


def test_what_it_says_of_a_document_is_json(guarded: GuardedRetriever) -> None:
    for document in guarded.invoke(ASKED):
        assert json.loads(json.dumps(facts(document), allow_nan=False)) == facts(document)


def test_the_report_is_json_whatever_the_metadata_holds() -> None:
    odd = {
        "score": np.float32(0.5),
        "when": uuid.uuid4(),
        "raw": b"\xff",
        "thing": object(),
        "nan": float("nan"),
    }
    base = RunnableLambda(lambda _: [Document(id="a", page_content="text", metadata=odd)])
    questions = [{"id": f"q{i}", "question": f"q {i}", "relevant": ["a"]} for i in range(20)]
    report = GuardedRetriever.calibrate(base, questions, score_key="score", novelty_level=None).report("q")
    assert json.loads(report.model_dump_json())["turn"]["passages"][0]["metadata"]["raw"] == "_w=="


@pytest.mark.parametrize("where", ["sync", "async"])
async def test_the_callers_documents_are_never_changed(
    fixed: Any, first_is_right: list[dict[str, Any]], where: str
) -> None:
    guarded = GuardedRetriever.calibrate(fixed, first_is_right, score_key="score", score="gap")
    before = copy.deepcopy(fixed.documents)
    found = guarded.invoke("x") if where == "sync" else await guarded.ainvoke("x")
    assert fixed.documents == before
    assert found
    assert all(mine is not theirs for mine in found for theirs in fixed.documents)
    found[0].metadata["tags"].append("changed downstream")
    assert fixed.documents == before


def test_a_text_that_a_guard_changed_is_the_text_returned(store: InMemoryVectorStore, questions: Any) -> None:
    guarded = GuardedRetriever.calibrate(
        store, questions, k=10, higher_is_better=True, score="gap", guards=[Shouting()]
    )
    found = guarded.invoke(ASKED)
    assert found[0].page_content == found[0].page_content.upper()
    assert found[0].metadata["source"] == "nickel.txt"


# Limits


def test_a_limit_that_leaves_out_kept_documents_voids_the_promise(
    fixed: BaseRetriever, first_is_right: list[dict[str, Any]]
) -> None:
    guarded = GuardedRetriever.calibrate(fixed, first_is_right, score_key="score", score="gap")
    whole = guarded.invoke("x")
    assert len(whole) == 3
    (one,) = guarded.invoke("x", limit=1)
    assert facts(one)["certificate"]["status"] == "void"
    assert facts(one)["certificate"]["voided_by"] == "limit"
    assert guarded.report("x", limit=1).certificate().status == "void"  # type: ignore[union-attr]
    assert guarded.invoke("x", limit=3) == whole
    with pytest.raises(InvalidValueError):
        guarded.invoke("x", limit=0)


def test_groups_have_their_own_threshold(store: InMemoryVectorStore, questions: list[dict[str, Any]]) -> None:
    grouped = [{**q, "group": "even" if place % 2 else "odd"} for place, q in enumerate(questions)]
    guarded = GuardedRetriever.calibrate(
        store, grouped, k=10, higher_is_better=True, score="gap", grouped=True
    )
    assert facts(guarded.invoke(ASKED, group="odd")[0])["certificate"]["group"] == "odd"
    assert guarded.invoke(ASKED, group="never seen") == []


# Scores


def test_a_missing_score_is_an_error_and_never_zero(fixed: Any, first_is_right: list[dict[str, Any]]) -> None:
    guarded = GuardedRetriever.calibrate(fixed, first_is_right, score_key="score", score="gap")
    del fixed.documents[1].metadata["score"]
    with pytest.raises(InvalidScoreError, match="copper-colour"):
        guarded.invoke("x")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "0.9", None, True])
def test_a_score_that_is_no_finite_number_is_an_error(value: Any) -> None:
    base = RunnableLambda(lambda _: [Document(id="a", page_content="t", metadata={"s": value})])
    with pytest.raises(InvalidScoreError):
        GuardedRetriever.calibrate(base, [{"id": "q", "question": "q", "relevant": ["a"]}], score_key="s")


def test_distances_are_kept_from_the_smallest_and_reported_as_given() -> None:
    documents = [Document(id=str(i), page_content=f"t{i}", metadata={"d": i / 10}) for i in (3, 1, 2, 9)]
    base = RunnableLambda(lambda _: documents)
    questions = [{"id": f"q{i}", "question": f"q {i}", "relevant": ["2"]} for i in range(20)]
    guarded = GuardedRetriever.calibrate(
        base, questions, score_key="d", higher_is_better=False, score="gap", novelty_level=None
    )
    found = guarded.invoke("q")
    assert [d.id for d in found] == ["1", "2"]
    assert [facts(d)["retrieval_score"] for d in found] == [0.1, 0.2]


@pytest.mark.parametrize("embedder", [HashEmbeddings(), HashEmbedder(256)], ids=["langchain", "ragguard"])
async def test_a_base_without_scores_is_scored_by_the_embedder(
    records: list[Document], questions: list[dict[str, Any]], store: InMemoryVectorStore, embedder: Any
) -> None:
    base = store.as_retriever(search_kwargs={"k": 10})
    guarded = GuardedRetriever.calibrate(base, questions, embedder=embedder, score="gap")
    found = await guarded.ainvoke(ASKED)
    assert found[0].id == "nickel-hardness"
    raw = {d.id: s for d, s in store.similarity_search_with_score(ASKED, k=10)}
    assert [facts(d)["retrieval_score"] for d in found] == pytest.approx([raw[d.id] for d in found], abs=1e-5)


@pytest.mark.parametrize(
    "sources", [{}, {"score_key": "score", "embedder": HashEmbeddings()}, {"embedder": 3}]
)
def test_exactly_one_source_of_scores_is_needed(
    guarded: GuardedRetriever, fixed: BaseRetriever, sources: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError):
        GuardedRetriever(base=fixed, guard=guarded.calibration, **sources)


# Names


def parts_of_one_file(**further: str) -> list[Document]:
    return [
        Document(
            page_content=f"part {i}",
            metadata={"source": "a.pdf", "s": 1 - i / 100, **{key: f"{v}-{i}" for key, v in further.items()}},
        )
        for i in range(5)
    ]


def test_parts_of_one_file_do_not_lose_each_other() -> None:
    base = RunnableLambda(lambda _: parts_of_one_file(name="a.pdf"))
    questions = [{"id": f"q{i}", "question": f"q {i}", "relevant": ["a.pdf-4"]} for i in range(20)]
    guarded = GuardedRetriever.calibrate(
        base, questions, score_key="s", id_key="name", score="rank", novelty_level=None
    )
    assert [d.page_content for d in guarded.invoke("q")] == [f"part {i}" for i in range(5)]


def test_parts_without_a_name_go_by_their_text() -> None:
    base = RunnableLambda(lambda _: parts_of_one_file())
    last = passage_id(parts_of_one_file()[4])
    questions = [{"id": f"q{i}", "question": f"q {i}", "relevant": [last]} for i in range(20)]
    guarded = GuardedRetriever.calibrate(base, questions, score_key="s", score="rank", novelty_level=None)
    assert len(guarded.invoke("q")) == 5


def test_two_texts_under_one_name_are_an_error() -> None:
    base = RunnableLambda(
        lambda _: [Document(id="a", page_content=t, metadata={"s": 1.0}) for t in ("one", "another")]
    )
    with pytest.raises(DuplicateIdError):
        GuardedRetriever.calibrate(base, [{"id": "q", "question": "q", "relevant": ["a"]}], score_key="s")


def test_a_document_without_the_key_it_is_named_by_is_an_error(fixed: Any, first_is_right: Any) -> None:
    with pytest.raises(InvalidValueError, match="number"):
        GuardedRetriever.calibrate(fixed, first_is_right, score_key="score", id_key="number")


# Calibration


def test_a_saved_calibration_serves_on_the_same_path(
    guarded: GuardedRetriever, store: InMemoryVectorStore, tmp_path: Path
) -> None:
    guarded.save(tmp_path)
    loaded = GuardedRetriever.from_vectorstore(store, tmp_path, higher_is_better=True, k=10)
    assert loaded.invoke(ASKED) == guarded.invoke(ASKED)
    assert loaded.calibration.artifact.depth == 10
    assert isinstance(loaded.guard, Guard)


def test_a_calibration_behind_guards_serves_behind_them_alone(
    store: InMemoryVectorStore, questions: list[dict[str, Any]], tmp_path: Path
) -> None:
    how = {"higher_is_better": True, "k": 10}
    made = GuardedRetriever.calibrate(store, questions, score="gap", guards=[Shouting()], **how)
    made.save(tmp_path)
    with pytest.raises(CalibrationMismatchError, match="shouting"):
        GuardedRetriever.from_vectorstore(store, tmp_path, **how)
    guard = Guard(Calibration.load(tmp_path), guards=[Shouting()])
    served = GuardedRetriever.from_vectorstore(store, guard, **how)
    assert served.invoke(ASKED) == made.invoke(ASKED)
    assert served.invoke(ASKED)[0].metadata["ragguard"]["certificate"]["status"] == "valid"


def test_coverage_is_measured_through_the_same_path(
    store: InMemoryVectorStore, questions: list[dict[str, Any]]
) -> None:
    guarded = GuardedRetriever.calibrate(
        store, questions, k=10, higher_is_better=True, score="cosine", novelty_level=None, alpha=0.3
    )
    kept = [q["relevant"][0] in {d.id for d in guarded.invoke(q["question"])} for q in questions]
    measured = guarded.guard.evaluate(questions)  # type: ignore[union-attr]
    assert measured["coverage"] == pytest.approx(sum(kept) / len(kept))
    assert 0.7 <= measured["coverage"] < 1


@pytest.mark.parametrize(
    "changed",
    [{"k": 9}, {"search_kwargs": {"filter": bool}}, {"identity": "index of May"}, {"id_key": "source"}],
)
def test_another_retrieval_than_the_calibrated_one_is_refused(
    guarded: GuardedRetriever, store: InMemoryVectorStore, changed: dict[str, Any]
) -> None:
    with pytest.raises(CalibrationMismatchError):
        GuardedRetriever.from_vectorstore(
            store, guarded.calibration, **{"higher_is_better": True, "k": 10, **changed}
        )


def test_another_embedding_is_refused(guarded: GuardedRetriever, records: list[Document]) -> None:
    other = InMemoryVectorStore(HashEmbeddings(64))
    other.add_documents(records)
    with pytest.raises(CalibrationMismatchError, match="hash-64"):
        GuardedRetriever.from_vectorstore(other, guarded.calibration, higher_is_better=True, k=10)


def test_other_search_settings_of_a_retriever_are_refused(
    store: InMemoryVectorStore, questions: list[dict[str, Any]]
) -> None:
    base = store.as_retriever(search_kwargs={"k": 10})
    guarded = GuardedRetriever.calibrate(base, questions, embedder=HashEmbeddings(), score="gap")
    with pytest.raises(CalibrationMismatchError, match="search_kwargs"):
        GuardedRetriever(
            base=store.as_retriever(search_kwargs={"k": 4}), guard=guarded.guard, embedder=HashEmbeddings()
        )


def test_a_guard_calibrated_on_another_path_is_refused(
    fixed: BaseRetriever, first_is_right: list[dict[str, Any]]
) -> None:
    elsewhere = Guard.calibrate(fixed, first_is_right, score="gap")
    with pytest.raises(CalibrationMismatchError):
        GuardedRetriever(base=fixed, guard=elsewhere, score_key="score")


def test_a_guard_without_calibration_is_refused(fixed: BaseRetriever) -> None:
    with pytest.raises(ConfigurationError):
        GuardedRetriever(base=fixed, guard=Guard(None), score_key="score")


# Guards beside the cut


class Shouting:
    """Puts every passage in capitals, before the cut."""

    name = "shouting"
    stages = frozenset({Stage.PASSAGES})

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        loud = tuple(p.model_copy(update={"text": p.text.upper()}) for p in turn.passages or ())
        return Verdict(
            guard=self.name, stage=stage, action=Action.REVISE, revised=turn.replace(passages=loud)
        )

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        return await run_on_worker(self.check, turn, stage)


class Failing(Shouting):
    name = "failing"
    stages = frozenset({Stage.QUESTION})

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        raise RuntimeError("out of order")


def test_a_question_refused_is_never_retrieved_and_can_raise(
    fixed: Any, first_is_right: list[dict[str, Any]]
) -> None:
    made = GuardedRetriever.calibrate(
        fixed, first_is_right, score_key="score", score="gap", guards=[Failing()]
    )
    before = len(fixed.calls)
    assert made.invoke("x") == []
    assert made.report("x").reason is Reason.GUARD_ERROR
    assert len(fixed.calls) == before
    strict = GuardedRetriever(base=fixed, guard=made.guard, score_key="score", on_refuse="raise")
    with pytest.raises(RefusalError):
        strict.invoke("x")


# Async and tracing


async def test_asynchronously_the_base_is_awaited_natively(
    fixed: Any, first_is_right: list[dict[str, Any]]
) -> None:
    guarded = GuardedRetriever.calibrate(fixed, first_is_right, score_key="score", score="gap")
    fixed.calls.clear()
    fixed.threads.clear()
    await guarded.ainvoke("x")
    await guarded.areport("x")
    assert fixed.calls == ["async", "async"]
    assert set(fixed.threads) == {threading.get_ident()}


async def test_a_store_is_searched_asynchronously(
    store: InMemoryVectorStore, guarded: GuardedRetriever
) -> None:
    class AsyncOnly(InMemoryVectorStore):
        def similarity_search_with_score(self, *args: Any, **kwargs: Any) -> Any:
            raise AssertionError("searched synchronously")

    # The class is another one; name it as the calibrated one to look at the path alone.
    AsyncOnly.__qualname__, AsyncOnly.__module__ = "InMemoryVectorStore", InMemoryVectorStore.__module__
    other = AsyncOnly(HashEmbeddings())
    other.store = store.store
    served = await GuardedRetriever.afrom_vectorstore(other, guarded.calibration, higher_is_better=True, k=10)
    assert await served.ainvoke(ASKED) == guarded.invoke(ASKED)


class SlowEmbedder(HashEmbedder):
    """Takes its time, and notes on which threads it worked."""

    def __init__(self) -> None:
        super().__init__(64)
        self.threads: set[int] = set()

    def embed_queries(self, texts: Any, /) -> Any:
        self.threads.add(threading.get_ident())
        time.sleep(0.02)
        return super().embed_queries(texts)

    def embed_passages(self, texts: Any, /, *, progress: Any = None) -> Any:
        self.threads.add(threading.get_ident())
        return super().embed_passages(texts, progress=progress)


class Noting(Shouting):
    name = "noting"

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        self.threads.add(threading.get_ident())
        return super().check(turn, stage)


async def test_twenty_at_once_never_run_guard_code_on_the_loops_thread(
    fixed: Any, first_is_right: list[dict[str, Any]]
) -> None:
    embedder, noting = SlowEmbedder(), Noting()
    guarded = await asyncio.to_thread(
        GuardedRetriever.calibrate,
        fixed,
        first_is_right,
        embedder=embedder,
        guards=[noting],
        score="rank",
        novelty_level=None,
    )
    embedder.threads.clear()
    noting.threads.clear()
    turns = 0

    async def other_work() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    other = asyncio.create_task(other_work())
    found = await asyncio.gather(*(guarded.ainvoke(f"question {i}") for i in range(20)))
    other.cancel()
    assert all(found)
    assert embedder.threads
    assert noting.threads
    assert threading.get_ident() not in embedder.threads | noting.threads
    assert turns > 20  # the loop went on meanwhile


class Runs(BaseCallbackHandler):
    def __init__(self) -> None:
        self.parents: dict[Any, Any] = {}
        self.tags: list[Any] = []

    def on_retriever_start(self, serialized: Any, query: str, **kwargs: Any) -> None:
        self.parents[kwargs["run_id"]] = kwargs["parent_run_id"]
        self.tags.append(kwargs["tags"])


@pytest.mark.parametrize("where", ["sync", "async"])
async def test_the_bases_run_is_a_child_of_the_guards(guarded: GuardedRetriever, where: str) -> None:
    runs = Runs()
    if where == "sync":
        guarded.invoke(ASKED, {"callbacks": [runs]})
    else:
        await guarded.ainvoke(ASKED, {"callbacks": [runs]})
    (outer, of_outer), (_, of_inner) = runs.parents.items()
    assert of_outer is None
    assert of_inner == outer
    assert runs.tags[1] == ["base"]


def test_it_takes_part_in_chains(guarded: GuardedRetriever) -> None:
    chain = guarded | RunnableLambda(lambda documents: [d.id for d in documents])
    assert chain.invoke(ASKED)[0] == "nickel-hardness"
    assert [found[0] for found in chain.batch([ASKED, "What is the price of copper?"])] == [
        "nickel-hardness",
        "copper-price",
    ]


def test_a_scored_store_retriever_keeps_the_threshold_ours(store: InMemoryVectorStore) -> None:
    with pytest.raises(ConfigurationError):
        ScoredVectorStoreRetriever(
            vectorstore=store, higher_is_better=True, k=3, search_kwargs={"score_threshold": 0.5}
        )


def test_a_passage_keeps_what_the_document_says(guarded: GuardedRetriever) -> None:
    passage = guarded.report(ASKED).passages[0]
    assert isinstance(passage, Passage)
    assert passage.metadata == {"source": "nickel.txt", "tags": ["hardness"]}


# Another number of candidates


@pytest.mark.parametrize("where", ["sync", "async"])
async def test_another_k_than_the_calibrated_is_refused(guarded: GuardedRetriever, where: str) -> None:
    assert guarded.invoke(ASKED, k=10) == guarded.invoke(ASKED)
    with pytest.raises(CalibrationMismatchError, match="k=5"):
        _ = guarded.invoke(ASKED, k=5) if where == "sync" else await guarded.ainvoke(ASKED, k=5)


async def test_a_scored_store_retriever_takes_k_as_an_argument(store: InMemoryVectorStore) -> None:
    base = ScoredVectorStoreRetriever(vectorstore=store, higher_is_better=True, k=3)
    assert len(base.invoke(ASKED)) == 3
    assert len(base.invoke(ASKED, k=7)) == 7
    assert await base.ainvoke(ASKED, k=7) == base.invoke(ASKED, k=7)
    with pytest.raises(InvalidValueError):
        base.invoke(ASKED, k=0)


# What retrieval missed


def test_a_relevant_document_that_was_not_retrieved_is_infinitely_far(
    fixed: Any, first_is_right: list[dict[str, Any]]
) -> None:
    missed = [{**q, "id": f"missed {q['id']}", "relevant": ["never-retrieved"]} for q in first_is_right]
    options: dict[str, Any] = {"score_key": "score", "score": "gap", "alpha": 0.2, "novelty_level": None}
    some = GuardedRetriever.calibrate(fixed, [*first_is_right, *missed[:5]], **options)
    without = GuardedRetriever.calibrate(fixed, first_is_right, **options)
    assert some.invoke("x")
    # Five misses of 45 use up part of the 20 % allowed: the threshold can only rise.
    assert facts(some.invoke("x")[0])["threshold"] >= facts(without.invoke("x")[0])["threshold"]
    with pytest.raises(NoValidThresholdError):
        GuardedRetriever.calibrate(fixed, [*first_is_right, *missed[:20]], **options)


# Follow-ups


def test_a_calibration_is_for_its_rewriter(
    store: InMemoryVectorStore, questions: Any, tmp_path: Path
) -> None:
    rewriter = StandaloneQuestion(rewriter=JoiningRewriter())
    options: dict[str, Any] = {"higher_is_better": True, "k": 10}
    made = GuardedRetriever.calibrate(store, questions, score="gap", rewriter=rewriter, **options)
    made.save(tmp_path)
    same = GuardedRetriever.from_vectorstore(store, tmp_path, rewriter=JoiningRewriter(), **options)
    assert same.invoke(ASKED) == made.invoke(ASKED)
    for other in (None, JoiningRewriter(2)):
        with pytest.raises(CalibrationMismatchError, match="rewriter"):
            GuardedRetriever.from_vectorstore(store, tmp_path, rewriter=other, **options)


# Behind a reranker


class WordScorer:
    """Relevance of a passage: how many of the question's words it has."""

    def score_pairs(self, pairs: Any, /) -> Any:
        return np.array([float(len({*q.lower().split()} & {*p.lower().split()})) for q, p in pairs])

    def fingerprint(self) -> dict[str, Any]:
        return {"name": "words"}


async def test_a_retriever_behind_a_reranker_serves_and_is_saved_and_loaded(
    store: InMemoryVectorStore, questions: list[dict[str, Any]], tmp_path: Path
) -> None:
    reranker = PreferenceReranker(WordScorer(), weights={"relevance": 1.0})
    options: dict[str, Any] = {"k": 10, "higher_is_better": True}
    made = GuardedRetriever.calibrate(store, questions, alpha=0.3, guards=[reranker], **options)
    made.save(tmp_path)
    kept = Guard(Calibration.load(tmp_path), guards=[reranker])
    loaded = GuardedRetriever.from_vectorstore(store, kept, **options)
    for retriever in (made, loaded):
        best = (await retriever.ainvoke(ASKED))[0]
        assert best.id == "nickel-hardness"
        assert facts(best)["retrieval_score"] < 1.0, "not the reranker's"
        assert facts(best)["certificate"]["status"] == "valid"
    with pytest.raises(CalibrationMismatchError, match="retriever"):
        GuardedRetriever.from_vectorstore(store, kept, **{**options, "k": 9})
    another = PreferenceReranker(WordScorer(), weights={"bm25": 1.0})
    with pytest.raises(CalibrationMismatchError, match="upstream"):
        Guard(Calibration.load(tmp_path), guards=[another])
    with pytest.raises(CalibrationMismatchError, match="rerank"):
        GuardedRetriever.from_vectorstore(store, tmp_path, **options)


def test_a_compressor_behind_a_reranker_serves_what_the_retriever_would(
    store: InMemoryVectorStore, questions: list[dict[str, Any]]
) -> None:
    reranker = PreferenceReranker(WordScorer(), weights={"relevance": 1.0})
    base = ScoredVectorStoreRetriever(vectorstore=store, higher_is_better=True, k=10)
    cut = ConformalCompressor.calibrate(base, questions, alpha=0.3, guards=[reranker])
    kept = [document.id for document in cut.compress_documents(base.invoke(ASKED), ASKED)]
    assert kept[0] == "nickel-hardness"
    assert kept == [document.id for document in GuardedRetriever(base=base, guard=cut.guard).invoke(ASKED)]
