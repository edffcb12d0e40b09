from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from haystack import Pipeline, component
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever
from haystack.dataclasses import Document

from haystack_integrations.components.guards.ragguard import ConformalDocumentGate, PreferenceRanker
from haystack_integrations.components.guards.ragguard.testing import HashDocumentEmbedder
from ragguard.conformal.calibration import Calibration
from ragguard.corpus.retrievers import as_retriever
from ragguard.errors import (
    CalibrationMismatchError,
    ConfigurationError,
    DuplicateIdError,
    InvalidScoreError,
    InvalidValueError,
    RefusalError,
    ScoreOrientationError,
    TargetUnattainableError,
)
from ragguard.guard import Guard
from ragguard.pipeline import Parts
from ragguard.preference.reranker import PreferenceReranker
from ragguard.testing import ScriptedGuard
from ragguard.types import Action, Stage, Turn

from .conftest import QUESTION, WordScorer, guarded, retrieval


def found_by(pipeline: Pipeline, question: str) -> dict[str, Any]:
    data = {"embedder": {"text": question}, "gate": {"query": question}}
    out: dict[str, Any] = pipeline.run(data)["gate"]
    return out


def test_keeps_the_documents_within_the_threshold_best_first_with_their_facts(
    store: Any, folder: Path
) -> None:
    out = found_by(guarded(retrieval(store), ConformalDocumentGate(folder)), QUESTION)
    documents, report = out["documents"], out["report"]
    assert documents[0].id == "cobalt-price"
    assert 1 < len(documents) < 10
    assert [d.score for d in documents] == sorted((d.score for d in documents), reverse=True)
    for document in documents:
        facts = document.meta["ragguard"]
        assert facts["retrieval_score"] == document.score
        assert facts["nonconformity"] <= facts["threshold"]
        assert facts["kept"] is True
        assert facts["certificate"]["status"] == "valid"
    assert "refused" not in out
    assert report["action"] == "pass"
    json.dumps([out["report"], *(d.meta for d in documents)])


def test_the_cut_is_the_one_of_the_guard_itself(store: Any, folder: Path) -> None:
    out = found_by(guarded(retrieval(store), ConformalDocumentGate(folder)), QUESTION)
    plain = retrieval(store)

    def retriever(question: str) -> list[dict[str, Any]]:
        found = plain.run({"embedder": {"text": question}})["retriever"]["documents"]
        return [{"id": d.id, "text": d.content, "score": d.score} for d in found]

    guard = Guard(Calibration.load(folder), guards=())
    report = guard.pipeline.run(Turn(question=QUESTION), Parts(retriever=as_retriever(retriever)))
    assert [p.id for p in report.passages] == [d.id for d in out["documents"]]


def test_the_retrievers_documents_are_never_changed(folder: Path, store: Any) -> None:
    nested = [
        Document(id=str(i), content=f"word{i}", score=0.9 - i / 10, meta={"a": {"b": [i]}}) for i in range(8)
    ]
    before = [d.to_dict() for d in nested]
    out = ConformalDocumentGate(folder).run("word0", nested)
    assert [d.to_dict() for d in nested] == before
    out["documents"][0].meta["a"]["b"].append("mine")
    assert [d.to_dict() for d in nested] == before


def test_an_empty_retrieval_is_no_evidence_and_hands_on_no_document(folder: Path) -> None:
    out = ConformalDocumentGate(folder).run(QUESTION, [])
    assert out["documents"] == []
    assert out["report"]["action"] == "abstain"
    assert out["report"]["reason"] == "no_evidence"
    assert out["refused"][0].text.startswith("I don't know")
    assert out["refused"][0].meta["ragguard"]["reason"] == "no_evidence"


def test_an_empty_cut_can_stop_the_branch_of_the_documents(folder: Path) -> None:
    assert "documents" not in ConformalDocumentGate(folder, on_empty="branch").run(QUESTION, [])


def test_a_missing_score_is_an_error_and_never_zero(folder: Path) -> None:
    documents = [Document(id="a", content="one", score=0.4), Document(id="b", content="secret words")]
    with pytest.raises(InvalidScoreError, match="'b' has no score") as caught:
        ConformalDocumentGate(folder).run(QUESTION, documents)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "high", True])
def test_a_score_that_is_no_finite_number_is_an_error(folder: Path, value: Any) -> None:
    with pytest.raises(InvalidScoreError, match="no finite number"):
        ConformalDocumentGate(folder).run(QUESTION, [Document(id="a", content="one", score=value)])


def test_something_else_than_documents_is_an_error(folder: Path) -> None:
    with pytest.raises(InvalidValueError, match="something else"):
        ConformalDocumentGate(folder).run(QUESTION, ["text"])  # type: ignore[list-item]


def test_two_texts_under_one_name_are_an_error(folder: Path) -> None:
    parts = [Document(content=t, score=0.5, meta={"file": "f"}) for t in ("one", "two")]
    with pytest.raises(DuplicateIdError, match="'f'"):
        ConformalDocumentGate(folder, id_key="file").run(QUESTION, parts)


def test_a_document_without_the_key_it_is_named_by_is_an_error(folder: Path) -> None:
    with pytest.raises(InvalidValueError, match="'file'"):
        ConformalDocumentGate(folder, id_key="file").run(QUESTION, [Document(content="one", score=0.5)])


def test_an_empty_query_is_an_error(folder: Path) -> None:
    with pytest.raises(InvalidValueError, match="empty"):
        ConformalDocumentGate(folder).run(" ", [])


def test_a_limit_that_leaves_out_kept_documents_voids_the_promise(store: Any, folder: Path) -> None:
    out = found_by(guarded(retrieval(store), ConformalDocumentGate(folder, limit=1)), QUESTION)
    (document,) = out["documents"]
    assert document.meta["ragguard"]["certificate"]["voided_by"] == "limit"
    with pytest.raises(InvalidValueError, match="limit"):
        ConformalDocumentGate(folder, limit=0)


def test_unknown_choices_are_refused(folder: Path) -> None:
    for options in ({"on_refuse": "hide"}, {"on_empty": "hide"}):
        with pytest.raises(InvalidValueError, match="on_refuse is"):
            ConformalDocumentGate(folder, **options)  # type: ignore[arg-type]


# Calibration


def test_a_gate_is_calibrated_through_a_retriever_component(
    bm25: Any, questions: Any, tmp_path: Path
) -> None:
    gate = ConformalDocumentGate.calibrate(bm25, questions, folder=tmp_path, alpha=0.1)
    gate.verify(bm25)
    pipeline = Pipeline()
    pipeline.add_component("bm25", bm25)
    pipeline.add_component("gate", gate)
    pipeline.connect("bm25.documents", "gate.documents")
    out = pipeline.run({"bm25": {"query": QUESTION}, "gate": {"query": QUESTION}})["gate"]
    assert out["documents"][0].id == "cobalt-price"
    assert out["documents"][0].meta["ragguard"]["certificate"]["alpha"] == 0.1


def test_a_relevant_document_that_is_not_returned_counts_as_a_miss(bm25: Any, questions: Any) -> None:
    bm25.top_k = 1
    pairs = [{**q, "relevant": [f"{q['id'].split('-')[0]}-origin"]} for q in questions]
    with pytest.raises(TargetUnattainableError):
        ConformalDocumentGate.calibrate(bm25, pairs, probe=False, alpha=0.1)


def test_a_gate_without_a_folder_serves_but_cannot_be_written(bm25: Any, questions: Any) -> None:
    gate = ConformalDocumentGate.calibrate(bm25, questions, alpha=0.1)
    assert gate.run(QUESTION, bm25.run(QUESTION)["documents"])["documents"]
    with pytest.raises(ConfigurationError, match="not in a folder"):
        gate.to_dict()


def test_inverted_scores_are_noticed_before_anything_is_calibrated(
    bm25: Any, store: Any, questions: Any
) -> None:
    with pytest.raises(ScoreOrientationError, match="worse end"):
        ConformalDocumentGate.calibrate(bm25, questions, higher_is_better=False, alpha=0.1)
    with pytest.raises(ScoreOrientationError, match="worse end"):
        ConformalDocumentGate.calibrate(
            retrieval(store),
            questions,
            question="embedder.text",
            documents="retriever.documents",
            higher_is_better=False,
        )


def test_scores_whose_direction_cannot_be_told_are_refused(questions: Any, store: Any) -> None:
    lone = InMemoryBM25Retriever(store, top_k=1)
    with pytest.raises(ScoreOrientationError, match="cannot be told"):
        ConformalDocumentGate.calibrate(lone, questions)


def test_distances_are_kept_from_the_smallest_and_reported_as_given(folder: Path) -> None:
    documents = [Document(id=str(i), content=f"text {i}", score=0.1 * i - 1) for i in range(10)]
    out = ConformalDocumentGate(folder, higher_is_better=False).run("text", documents[::-1])
    assert out["documents"][0].id == "0"
    assert [d.meta["ragguard"]["retrieval_score"] for d in out["documents"]] == [
        d.score for d in out["documents"]
    ]


def test_a_pipeline_says_where_the_question_goes_in(store: Any, questions: Any) -> None:
    with pytest.raises(ConfigurationError, match="where the question goes in"):
        ConformalDocumentGate.calibrate(retrieval(store), questions)
    with pytest.raises(ConfigurationError, match=r"no input 'embedder\.words'"):
        ConformalDocumentGate.calibrate(
            retrieval(store), questions, question="embedder.words", documents="retriever.documents"
        )
    with pytest.raises(ConfigurationError, match="no component from"):
        ConformalDocumentGate.calibrate(HashDocumentEmbedder(), questions)


def test_groups_have_their_own_threshold(bm25: Any, questions: Any) -> None:
    grouped = [{**q, "group": "a" if i % 2 else "b"} for i, q in enumerate(questions)]
    gate = ConformalDocumentGate.calibrate(bm25, grouped, alpha=0.2, grouped=True)
    documents = bm25.run(QUESTION)["documents"]
    out = gate.run(QUESTION, documents, group="a")
    assert out["report"]["certificates"][0]["group"] == "a"


# Serving beside another than the calibrated


@pytest.mark.parametrize("other", [{"top_k": 9}, {"dimension": 128}])
def test_another_retrieval_than_the_calibrated_one_is_refused(store: Any, folder: Path, other: Any) -> None:
    with pytest.raises(CalibrationMismatchError):
        found_by(guarded(retrieval(store, **other), ConformalDocumentGate(folder)), QUESTION)


def test_a_setting_changed_while_serving_is_refused(store: Any, folder: Path) -> None:
    pipeline = guarded(retrieval(store), ConformalDocumentGate(folder))
    found_by(pipeline, QUESTION)
    pipeline.get_component("retriever").top_k = 3
    with pytest.raises(CalibrationMismatchError, match="top_k was 10, is 3"):
        found_by(pipeline, QUESTION)


def test_another_retriever_key_or_direction_is_refused(store: Any, folder: Path, bm25: Any) -> None:
    pipeline = Pipeline()
    pipeline.add_component("bm25", bm25)
    pipeline.add_component("gate", ConformalDocumentGate(folder))
    pipeline.connect("bm25.documents", "gate.documents")
    with pytest.raises(CalibrationMismatchError, match="retriever"):
        pipeline.warm_up()
    for options in ({"id_key": "source"}, {"higher_is_better": False}, {"identity": "index of May"}):
        with pytest.raises(CalibrationMismatchError):
            guarded(retrieval(store), ConformalDocumentGate(folder, **options)).warm_up()


def test_the_same_path_under_other_component_names_serves(store: Any, folder: Path) -> None:
    same = retrieval(store)
    ConformalDocumentGate(folder).verify(same, question="embedder.text", documents="retriever.documents")
    other = retrieval(store, top_k=5)
    with pytest.raises(CalibrationMismatchError):
        ConformalDocumentGate(folder).verify(other, question="embedder.text", documents="retriever.documents")


@component
class Remote:
    def __init__(self, document_store: Any, url: str) -> None:
        self.url = url
        self._base = InMemoryBM25Retriever(document_store)

    @component.output_types(documents=list[Document])
    def run(self, query: str) -> dict[str, list[Document]]:
        return {"documents": self._base.run(query)["documents"]}


def test_a_calibration_holds_no_text_that_may_be_secret(store: Any, questions: Any, tmp_path: Path) -> None:
    remote = Remote(store, "https://user:hunter2@example.org")
    ConformalDocumentGate.calibrate(remote, questions, folder=tmp_path, alpha=0.1)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"Remote" in written
    assert b"hunter2" not in written


# Guards before the cut, and the ranker


def test_a_question_turned_away_hands_on_nothing_and_can_raise(folder: Path) -> None:
    shield = ScriptedGuard(Stage.QUESTION, does=Action.REFUSE)
    guard = Guard(Calibration.load(folder), guards=[shield])
    documents = [Document(id="a", content="one", score=0.5)]
    out = ConformalDocumentGate(guard).run(QUESTION, documents)
    assert out["documents"] == []
    assert out["report"]["reason"] == "policy_conflict"
    with pytest.raises(RefusalError):
        ConformalDocumentGate(guard, on_refuse="raise").run(QUESTION, documents)


def test_a_guard_without_calibration_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no calibration"):
        ConformalDocumentGate(Guard(None, guards=())).run(QUESTION, [])


def ranked(store: Any, reranker: PreferenceReranker | None = None) -> Pipeline:
    pipeline = Pipeline()
    pipeline.add_component("bm25", InMemoryBM25Retriever(store, top_k=10))
    made = reranker or PreferenceReranker(WordScorer(), weights={"relevance": 1.0})
    pipeline.add_component("ranker", PreferenceRanker(made))
    pipeline.connect("bm25.documents", "ranker.documents")
    return pipeline


RANKED = {"question": ["bm25.query", "ranker.query"], "documents": "ranker.documents"}


def test_a_ranker_before_the_gate_is_part_of_what_is_calibrated(
    store: Any, questions: Any, tmp_path: Path
) -> None:
    pipeline = ranked(store)
    gate = ConformalDocumentGate.calibrate(pipeline, questions, **RANKED, folder=tmp_path, alpha=0.1)
    pipeline.add_component("gate", gate)
    pipeline.connect("ranker.documents", "gate.documents")
    out = pipeline.run({name: {"query": QUESTION} for name in ("bm25", "ranker", "gate")})["gate"]
    facts = out["documents"][0].meta["ragguard"]
    assert facts["reranker_score"] == out["documents"][0].score
    assert facts["retrieval_score"] != facts["reranker_score"]
    assert facts["certificate"]["status"] == "valid"
    with pytest.raises(CalibrationMismatchError, match="ranker"):
        ConformalDocumentGate(tmp_path).verify(
            ranked(store, PreferenceReranker(WordScorer(), weights={"bm25": 1.0})), **RANKED
        )


def test_where_the_ranker_could_not_score_all_pass_and_nothing_is_promised(
    store: Any, questions: Any, tmp_path: Path
) -> None:
    gate = ConformalDocumentGate.calibrate(ranked(store), questions, **RANKED, folder=tmp_path, alpha=0.1)
    fallen = [
        Document(
            id=str(i), content=f"t{i}", meta={"ragguard": {"fallback": "scoring", "reranker_score": None}}
        )
        for i in range(3)
    ]
    out = gate.run(QUESTION, fallen)
    assert [d.id for d in out["documents"]] == ["0", "1", "2"]
    assert {d.meta["ragguard"]["certificate"]["status"] for d in out["documents"]} == {"none"}
    json.dumps(out["report"])


# Serialisation, asynchrony


def test_a_gate_comes_back_from_yaml_without_being_allowed(store: Any, folder: Path) -> None:
    pipeline = guarded(retrieval(store), ConformalDocumentGate(folder, limit=2, on_empty="branch"))
    text = pipeline.dumps()
    again = Pipeline.loads(text)
    assert again.dumps() == text
    gate = again.get_component("gate")
    assert (gate.limit, gate.on_empty, gate.calibration) == (2, "branch", str(folder))


def test_constructing_reads_nothing(tmp_path: Path) -> None:
    gate = ConformalDocumentGate(tmp_path / "nothing here")
    with pytest.raises(Exception, match="nothing here"):
        gate.warm_up()


def test_warming_up_again_does_not_read_again(folder: Path) -> None:
    gate = ConformalDocumentGate(folder)
    gate.warm_up()
    known = gate._cut()
    gate.warm_up()
    assert gate._cut() is known


async def test_run_and_run_async_agree(store: Any, folder: Path) -> None:
    pipeline = guarded(retrieval(store), ConformalDocumentGate(folder))
    for question in (QUESTION, "Who painted the harbour of Bruges?"):
        data = {"embedder": {"text": question}, "gate": {"query": question}}
        now, later = pipeline.run(data)["gate"], (await pipeline.run_async(data))["gate"]
        assert now["documents"] == later["documents"]
        assert plain(now["report"]) == plain(later["report"])


def plain(report: dict[str, Any]) -> str:
    verdicts = [{**v, "seconds": 0} for v in report["verdicts"]]
    return json.dumps({**report, "seconds": {}, "verdicts": verdicts}, sort_keys=True)


async def test_asynchronously_no_guard_runs_on_the_loops_thread(folder: Path) -> None:
    shield = ScriptedGuard(Stage.QUESTION)
    gate = ConformalDocumentGate(Guard(Calibration.load(folder), guards=[shield]))
    await gate.warm_up_async()
    documents = [Document(id=str(i), content=f"t{i}", score=0.9 - i / 10) for i in range(5)]
    await asyncio.gather(*(gate.run_async(f"t{i}", documents) for i in range(8)))
    assert shield.threads
    assert threading.get_ident() not in shield.threads


async def test_a_gate_behind_a_reranker_among_its_guards_serves_and_is_written_and_read(
    bm25: Any, questions: Any, tmp_path: Path
) -> None:
    reranker = PreferenceReranker(WordScorer(), weights={"relevance": 1.0})
    gate = ConformalDocumentGate.calibrate(bm25, questions, folder=tmp_path, alpha=0.3, guards=[reranker])
    read = ConformalDocumentGate(Guard(Calibration.load(tmp_path), guards=[reranker]))
    for one in (gate, read):
        one.verify(bm25)
        documents = bm25.run(QUESTION)["documents"]
        best = (await one.run_async(QUESTION, documents))["documents"][0]
        assert best.id == "cobalt-price"
        scores = {document.id: document.score for document in documents}
        assert best.meta["ragguard"]["retrieval_score"] == scores[best.id], "not the reranker's"
        assert best.meta["ragguard"]["certificate"]["status"] == "valid"
    another = PreferenceReranker(WordScorer(), weights={"bm25": 1.0})
    with pytest.raises(CalibrationMismatchError, match="upstream"):
        Guard(Calibration.load(tmp_path), guards=[another])
    with pytest.raises(CalibrationMismatchError, match="rerank"):
        ConformalDocumentGate(tmp_path).warm_up()
