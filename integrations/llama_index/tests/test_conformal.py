from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.indices.vector_store.retrievers import VectorIndexRetriever
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode

from llama_index_ragguard import ConformalNodePostprocessor, OffLoopRetriever
from llama_index_ragguard.testing import HashEmbedding
from ragguard import Action, Guard, Reason, RefusalError, Stage
from ragguard.errors import (
    CalibrationMismatchError,
    ConfigurationError,
    DuplicateIdError,
    InvalidScoreError,
    InvalidValueError,
    ScoreOrientationError,
    TargetUnattainableError,
)
from ragguard.testing import ScriptedGuard

from .conftest import ASKED, STRANGE, FixedRetriever, by_words, records


def facts(found: NodeWithScore) -> dict[str, Any]:
    said: dict[str, Any] = found.node.metadata["ragguard"]
    return said


def served(cut: ConformalNodePostprocessor, question: str = ASKED) -> list[NodeWithScore]:
    return cut.postprocess_nodes(cut.retriever.retrieve(question), query_str=question)


def scored(*scores: float | None) -> list[NodeWithScore]:
    return [
        NodeWithScore(node=TextNode(id_=f"n{i}", text=f"Text number {i}."), score=score)
        for i, score in enumerate(scores)
    ]


def always(name: str) -> list[dict[str, Any]]:
    return [{"id": f"q{i}", "question": f"question {i}", "relevant": [name]} for i in range(40)]


# What it returns


def test_keeps_the_nodes_within_the_threshold_best_first_with_their_facts(
    cut: ConformalNodePostprocessor,
) -> None:
    found = served(cut)
    assert found[0].node.node_id == "nickel-hardness"
    assert 1 < len(found) < 10
    assert [n.score for n in found] == sorted((n.score for n in found), reverse=True)
    for node in found:
        told = facts(node)
        assert told["retrieval_score"] == node.score
        assert told["kept"] is True
        assert told["nonconformity"] <= told["threshold"]
        assert told["certificate"]["status"] == "valid"
        assert json.loads(json.dumps(told, allow_nan=False)) == told


async def test_asynchronous_and_synchronous_agree(cut: ConformalNodePostprocessor) -> None:
    nodes = cut.retriever.retrieve(ASKED)
    found = await cut.apostprocess_nodes(nodes, query_str=ASKED)
    assert [n.model_dump() for n in found] == [n.model_dump() for n in served(cut)]
    ours, theirs = await cut.areport(ASKED), cut.report(ASKED)
    assert (ours.turn, ours.certificates) == (theirs.turn, theirs.certificates)


def test_without_evidence_no_node_is_kept_and_the_report_says_why(cut: ConformalNodePostprocessor) -> None:
    assert served(cut, STRANGE) == []
    report = cut.report(STRANGE)
    assert (report.action, report.reason) == (Action.ABSTAIN, Reason.NO_EVIDENCE)


async def test_an_empty_retrieval_keeps_nothing(cut: ConformalNodePostprocessor) -> None:
    assert cut.postprocess_nodes([], query_str=ASKED) == []
    assert await cut.apostprocess_nodes([], query_str=ASKED) == []


def test_the_nodes_of_the_index_are_never_changed(
    index: VectorStoreIndex, cut: ConformalNodePostprocessor
) -> None:
    before = copy.deepcopy({k: v.to_dict() for k, v in index.docstore.docs.items()})
    found = served(cut)
    found[0].node.metadata["tags"].append("changed downstream")
    found[0].node.excluded_llm_metadata_keys.append("source")
    assert {k: v.to_dict() for k, v in index.docstore.docs.items()} == before


def test_neither_the_model_nor_an_embedding_reads_what_is_said_of_a_node(
    cut: ConformalNodePostprocessor,
) -> None:
    (node, *_) = served(cut)
    for mode in (MetadataMode.LLM, MetadataMode.EMBED):
        assert "ragguard" not in node.node.get_content(metadata_mode=mode)
    assert "source: nickel.txt" in node.node.get_content(metadata_mode=MetadataMode.LLM)
    assert node.node.get_content(metadata_mode=MetadataMode.EMBED) == node.node.get_content()


def test_a_question_is_needed(cut: ConformalNodePostprocessor) -> None:
    for bundle in (None, QueryBundle("  ")):
        with pytest.raises(InvalidValueError):
            cut.postprocess_nodes(scored(0.5), query_bundle=bundle)


def test_a_search_for_something_else_than_the_question_is_promised_nothing(
    cut: ConformalNodePostprocessor,
) -> None:
    bundle = QueryBundle(ASKED, custom_embedding_strs=["A passage that might answer it."])
    (node, *_) = cut.postprocess_nodes(cut.retriever.retrieve(ASKED), query_bundle=bundle)
    certificate = facts(node)["certificate"]
    assert (certificate["status"], certificate["voided_by"]) == ("void", "query transformation")


def test_a_limit_that_leaves_out_kept_nodes_voids_the_promise(cut: ConformalNodePostprocessor) -> None:
    limited = ConformalNodePostprocessor(guard=cut.guard, retriever=cut.retriever, limit=1)
    (node,) = served(limited)
    assert facts(node)["certificate"]["voided_by"] == "limit"


def test_groups_have_their_own_threshold(index: VectorStoreIndex, questions: list[dict[str, Any]]) -> None:
    grouped = [{**q, "group": "even" if place % 2 else "odd"} for place, q in enumerate(questions)]
    cut = ConformalNodePostprocessor.calibrate(
        index, grouped, similarity_top_k=10, score="gap", grouped=True, group=lambda _: "odd"
    )
    assert facts(served(cut)[0])["certificate"]["group"] == "odd"


# Scores


@pytest.mark.parametrize("score", [None, math.nan, math.inf])
async def test_a_missing_score_is_an_error_and_never_zero(
    cut: ConformalNodePostprocessor, score: float | None
) -> None:
    nodes = scored(0.9, score)
    with pytest.raises(InvalidScoreError, match="n1"):
        cut.postprocess_nodes(nodes, query_str=ASKED)
    with pytest.raises(InvalidScoreError, match="n1"):
        await cut.apostprocess_nodes(nodes, query_str=ASKED)


def test_distances_are_kept_from_the_smallest_and_reported_as_given() -> None:
    base = FixedRetriever(scored(0.3, 0.1, 0.2, 0.9))
    cut = ConformalNodePostprocessor.calibrate(
        base, always("n2"), higher_is_better=False, probe=False, score="gap", novelty_level=None
    )
    found = served(cut, "q")
    assert [n.node.node_id for n in found] == ["n1", "n2"]
    assert [(n.score, facts(n)["retrieval_score"]) for n in found] == [(0.1, 0.1), (0.2, 0.2)]


class InvertedRetriever(VectorIndexRetriever):
    """As over a store that gives distances as similarities."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        found = super()._retrieve(query_bundle)
        return [NodeWithScore(node=n.node, score=1.0 - (n.score or 0.0)) for n in found]


def test_scores_that_point_the_other_way_than_declared_are_refused(
    index: VectorStoreIndex, questions: list[dict[str, Any]]
) -> None:
    inverted = InvertedRetriever(index, similarity_top_k=10)
    with pytest.raises(ScoreOrientationError, match="worse end"):
        ConformalNodePostprocessor.calibrate(inverted, questions)
    with pytest.raises(ScoreOrientationError, match="worse end"):
        ConformalNodePostprocessor.calibrate(index, questions, similarity_top_k=10, higher_is_better=False)
    rightly = ConformalNodePostprocessor.calibrate(inverted, questions, higher_is_better=False, alpha=0.3)
    assert served(rightly)[0].node.node_id == "nickel-hardness"


def test_scores_that_tell_no_direction_are_refused_unless_the_probe_is_left_out() -> None:
    base = FixedRetriever(scored(0.5, 0.5))
    with pytest.raises(ScoreOrientationError, match="cannot be told"):
        ConformalNodePostprocessor.calibrate(base, always("n0"))
    assert ConformalNodePostprocessor.calibrate(base, always("n0"), probe=False, novelty_level=None)


# Calibration


def test_a_question_whose_node_the_retriever_does_not_return_counts_as_a_miss(
    index: VectorStoreIndex, questions: list[dict[str, Any]]
) -> None:
    missed = [{**q, "relevant": ["not in the index"]} if i < 12 else q for i, q in enumerate(questions)]
    with pytest.raises(TargetUnattainableError):
        ConformalNodePostprocessor.calibrate(index, missed, similarity_top_k=10, alpha=0.1)
    assert ConformalNodePostprocessor.calibrate(index, missed, similarity_top_k=10, alpha=0.4)


def test_nodes_may_go_by_a_key_of_their_metadata() -> None:
    nodes = [TextNode(text=f"Fact {i}.", metadata={"key": f"k{i}"}) for i in range(3)]
    base = FixedRetriever([NodeWithScore(node=n, score=0.9 - i / 10) for i, n in enumerate(nodes)])
    cut = ConformalNodePostprocessor.calibrate(
        base, always("k1"), id_key="key", probe=False, score="gap", novelty_level=None
    )
    assert [n.node.metadata["key"] for n in served(cut, "q")] == ["k0", "k1"]
    base.found[0].node.metadata["key"] = "k1"
    with pytest.raises(DuplicateIdError):
        served(cut, "q")
    del base.found[0].node.metadata["key"]
    with pytest.raises(InvalidValueError, match="key"):
        served(cut, "q")


def test_a_guard_before_the_cut_is_inside_the_calibration(
    index: VectorStoreIndex, questions: list[dict[str, Any]]
) -> None:
    def without_best(turn: Any, stage: Stage) -> Any:
        return turn.replace(passages=(turn.passages or ())[1:])

    dropping = ScriptedGuard(Stage.PASSAGES, does=without_best, name="dropping")
    pairs = [
        {**q, "relevant": [f"{q['id'].split('-')[0]}-{f}" for f in ("density", "price")]} for q in questions
    ]
    cut = ConformalNodePostprocessor.calibrate(
        index, pairs, similarity_top_k=10, alpha=0.4, guards=[dropping, by_words()]
    )
    (node, *_) = served(cut)
    assert node.node.node_id != "nickel-hardness"
    assert facts(node)["certificate"]["status"] == "valid"


def test_the_text_that_a_guard_changed_is_the_text_kept(
    index: VectorStoreIndex, questions: list[dict[str, Any]]
) -> None:
    def shouted(turn: Any, stage: Stage) -> Any:
        louder = tuple(p.model_copy(update={"text": p.text.upper()}) for p in turn.passages or ())
        return turn.replace(passages=louder)

    shouting = ScriptedGuard(Stage.PASSAGES, does=shouted, name="shouting")
    cut = ConformalNodePostprocessor.calibrate(
        index, questions, similarity_top_k=10, score="gap", guards=[shouting]
    )
    text = served(cut)[0].node.get_content()
    assert text == text.upper()
    assert "is listed" in index.docstore.docs["nickel-hardness"].get_content()


# Serving beside another


def test_another_retriever_than_the_calibrated_one_is_refused(
    index: VectorStoreIndex, cut: ConformalNodePostprocessor, tmp_path: Path
) -> None:
    folder = cut.save(tmp_path)
    other = VectorStoreIndex(records(), embed_model=HashEmbedding(dimension=64))
    same = index.as_retriever(similarity_top_k=10)
    assert served(ConformalNodePostprocessor(guard=folder.parent, retriever=same))
    wrong = {
        "similarity_top_k": index.as_retriever(similarity_top_k=5),
        "embed_model": other.as_retriever(similarity_top_k=10),
        "doc_ids": index.as_retriever(similarity_top_k=10, doc_ids=["a"]),
        "vector_store_query_mode": index.as_retriever(similarity_top_k=10, vector_store_query_mode="mmr"),
        "name": FixedRetriever([]),
    }
    for what, retriever in wrong.items():
        with pytest.raises(CalibrationMismatchError, match=what):
            ConformalNodePostprocessor(guard=folder.parent, retriever=retriever)
    with pytest.raises(CalibrationMismatchError, match="identity"):
        ConformalNodePostprocessor(guard=folder.parent, retriever=same, identity="rebuilt")


def test_nodes_added_to_the_index_are_no_other_retriever(
    questions: list[dict[str, Any]],
) -> None:
    index = VectorStoreIndex(records(), embed_model=HashEmbedding())
    cut = ConformalNodePostprocessor.calibrate(index, questions, similarity_top_k=10, alpha=0.3)
    index.insert_nodes([TextNode(id_="new", text="Zinc is listed elsewhere.")])
    cut.verify(index.as_retriever(similarity_top_k=10))
    with pytest.raises(CalibrationMismatchError, match="node_ids"):
        cut.verify(VectorIndexRetriever(index, similarity_top_k=10, node_ids=["new"]))


def test_more_nodes_than_the_calibrated_retriever_gives_are_refused(cut: ConformalNodePostprocessor) -> None:
    with pytest.raises(CalibrationMismatchError, match="11 nodes"):
        cut.postprocess_nodes(scored(*[0.5] * 11), query_str=ASKED)


def test_a_retriever_and_a_calibration_are_needed(cut: ConformalNodePostprocessor) -> None:
    for wrong in (
        {"guard": cut.guard},
        {"guard": None, "retriever": cut.retriever},
        {"guard": Guard(None), "retriever": cut.retriever},
    ):
        with pytest.raises(ConfigurationError):
            ConformalNodePostprocessor(**wrong)


def test_a_top_k_beside_a_retriever_is_refused(
    index: VectorStoreIndex, questions: list[dict[str, Any]]
) -> None:
    with pytest.raises(ConfigurationError, match="similarity_top_k"):
        ConformalNodePostprocessor.calibrate(index.as_retriever(), questions, similarity_top_k=3)


def test_kept_off_the_loop_a_retriever_is_the_same_to_a_calibration(
    index: VectorStoreIndex, cut: ConformalNodePostprocessor
) -> None:
    off_loop = OffLoopRetriever(index.as_retriever(similarity_top_k=10))
    cut.verify(off_loop)
    assert served(ConformalNodePostprocessor(guard=cut.guard, retriever=off_loop))


# Refusals and errors


async def test_a_refusal_keeps_nothing_or_raises(
    index: VectorStoreIndex, questions: list[dict[str, Any]]
) -> None:
    refusing = ScriptedGuard(Stage.QUESTION, does=Action.REFUSE, name="shield")
    cut = ConformalNodePostprocessor.calibrate(
        index, questions, similarity_top_k=10, score="gap", guards=[refusing]
    )
    assert served(cut) == []
    raising = ConformalNodePostprocessor(guard=cut.guard, retriever=cut.retriever, on_refuse="raise")
    with pytest.raises(RefusalError):
        served(raising)
    with pytest.raises(RefusalError):
        await raising.apostprocess_nodes([], query_str=ASKED)


def test_what_a_retriever_raises_is_passed_on(index: VectorStoreIndex) -> None:
    failing = FixedRetriever([], error=RuntimeError("store is down"))
    with pytest.raises(RuntimeError, match="store is down"):
        ConformalNodePostprocessor.calibrate(failing, always("n0"), probe=False)


# Serialisation


def test_it_is_restored_from_its_folder_beside_the_retriever(
    cut: ConformalNodePostprocessor, tmp_path: Path
) -> None:
    cut.save(tmp_path)
    for written in (cut.to_dict(), json.loads(cut.to_json())):
        assert written["class_name"] == "ConformalNodePostprocessor"
        again = ConformalNodePostprocessor.from_dict(written, retriever=cut.retriever)
        assert [n.to_dict() for n in served(again)] == [n.to_dict() for n in served(cut)]
    assert ConformalNodePostprocessor.from_json(cut.to_json(), retriever=cut.retriever).guard.calibration


def test_without_a_folder_it_can_be_written_but_not_restored(
    index: VectorStoreIndex, questions: list[dict[str, Any]]
) -> None:
    cut = ConformalNodePostprocessor.calibrate(index, questions, similarity_top_k=10, alpha=0.3)
    with pytest.raises(ConfigurationError, match="no calibration"):
        ConformalNodePostprocessor.from_dict(cut.to_dict(), retriever=cut.retriever)
