from __future__ import annotations

from pathlib import Path
from typing import Any

import llama_index.core.instrumentation as instrument
import numpy as np
import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.schema import MetadataMode, NodeWithScore, TextNode
from pydantic import Field

from llama_index_ragguard import ConformalNodePostprocessor, PreferenceNodePostprocessor
from ragguard import Calibration, Guard
from ragguard.errors import CalibrationMismatchError, InvalidScoreError, InvalidValueError, ScoringError
from ragguard.preference.reranker import PreferenceReranker

from .conftest import ASKED


class WordScorer:
    """How many words of the question the passage has."""

    def score_pairs(self, pairs: Any) -> Any:
        return np.array([float(len(set(q.lower().split()) & set(p.lower().split()))) for q, p in pairs])

    def fingerprint(self) -> dict[str, Any]:
        return {"name": "words"}


class BrokenScorer(WordScorer):
    def score_pairs(self, pairs: Any) -> Any:
        raise ScoringError("the model failed")


def by_words(scorer: Any = None, **options: Any) -> PreferenceNodePostprocessor:
    reranker = PreferenceReranker(scorer or WordScorer(), weights={"relevance": 1.0})
    return PreferenceNodePostprocessor(reranker=reranker, **options)


def found() -> list[NodeWithScore]:
    texts = {"a": "Bananas are yellow.", "b": "The hardness of nickel is 4.", "c": "The hardness of iron."}
    return [
        NodeWithScore(node=TextNode(id_=i, text=t), score=s)
        for (i, t), s in zip(texts.items(), (0.9, 0.5, None), strict=True)
    ]


async def test_orders_copies_by_the_rerankers_score_and_says_what_it_was_before() -> None:
    nodes = found()
    for ordered in (
        by_words().postprocess_nodes(nodes, query_str=ASKED),
        await by_words().apostprocess_nodes(nodes, query_str=ASKED),
    ):
        assert [n.node.node_id for n in ordered] == ["b", "c", "a"]
        said = ordered[0].node.metadata["ragguard"]
        assert (said["retrieval_score"], said["reranker_score"]) == (0.5, ordered[0].score)
        assert "ragguard" not in ordered[0].node.get_content(metadata_mode=MetadataMode.LLM)
    assert all(n.node.metadata == {} for n in nodes)
    assert [n.score for n in nodes] == [0.9, 0.5, None]


def test_returns_at_most_top_n() -> None:
    assert [n.node.node_id for n in by_words(top_n=1).postprocess_nodes(found(), query_str=ASKED)] == ["b"]
    assert by_words().postprocess_nodes([], query_str=ASKED) == []


def test_a_question_is_needed() -> None:
    with pytest.raises(InvalidValueError):
        by_words().postprocess_nodes(found())


def test_where_scores_cannot_be_had_the_order_stands_without_scores() -> None:
    ordered = by_words(BrokenScorer()).postprocess_nodes(found(), query_str=ASKED)
    assert [(n.node.node_id, n.score) for n in ordered] == [("a", None), ("b", None), ("c", None)]
    assert ordered[0].node.metadata["ragguard"]["fallback"] == "scoring"


class Noting(BaseEventHandler):
    events: list[Any] = Field(default_factory=list)

    def handle(self, event: Any, **kwargs: Any) -> None:
        self.events.append(event)


def test_tells_instrumentation_when_it_starts_and_ends() -> None:
    noting, dispatcher = Noting(), instrument.get_dispatcher()
    dispatcher.add_event_handler(noting)
    try:
        by_words(top_n=2).postprocess_nodes(found(), query_str=ASKED)
    finally:
        dispatcher.event_handlers.remove(noting)
    (started,) = [e for e in noting.events if isinstance(e, ReRankStartEvent)]
    (ended,) = [e for e in noting.events if isinstance(e, ReRankEndEvent)]
    assert (started.top_n, started.model_name, len(started.nodes)) == (2, "rerank", 3)
    assert [n.node.node_id for n in ended.nodes] == ["b", "c"]


def test_before_a_cut_its_scores_are_those_cut_by(
    index: VectorStoreIndex, questions: list[dict[str, Any]]
) -> None:
    before = [by_words(top_n=6)]
    cut = ConformalNodePostprocessor.calibrate(
        index, questions, similarity_top_k=10, before=before, alpha=0.3, probe=False
    )
    arrived = before[0].postprocess_nodes(cut.retriever.retrieve(ASKED), query_str=ASKED)
    kept = cut.postprocess_nodes(arrived, query_str=ASKED)
    said = kept[0].node.metadata["ragguard"]
    assert kept[0].node.node_id == "nickel-hardness"
    assert said["retrieval_score"] == said["reranker_score"] == kept[0].score
    assert said["certificate"]["status"] == "valid"
    with pytest.raises(CalibrationMismatchError, match="before"):
        cut.verify(cut.retriever)
    with pytest.raises(CalibrationMismatchError, match="top_n"):
        cut.verify(cut.retriever, [by_words(top_n=7)])
    fallen = by_words(BrokenScorer()).postprocess_nodes(cut.retriever.retrieve(ASKED), query_str=ASKED)
    with pytest.raises(InvalidScoreError):
        cut.postprocess_nodes(fallen, query_str=ASKED)


def test_it_is_restored_with_its_settings() -> None:
    written = by_words(top_n=3).to_dict()
    again = PreferenceNodePostprocessor.from_dict(written, reranker=by_words().reranker)
    assert (written["class_name"], again.top_n) == ("PreferenceNodePostprocessor", 3)


async def test_a_cut_behind_a_reranker_among_its_guards_serves_and_is_saved_and_loaded(
    index: VectorStoreIndex, questions: list[dict[str, Any]], tmp_path: Path
) -> None:
    reranker = PreferenceReranker(WordScorer(), weights={"relevance": 1.0})
    retriever = index.as_retriever(similarity_top_k=10)
    cut = ConformalNodePostprocessor.calibrate(retriever, questions, alpha=0.3, guards=[reranker])
    folder = cut.save(tmp_path).parent
    loaded = ConformalNodePostprocessor(
        guard=Guard(Calibration.load(folder), guards=[reranker]), retriever=retriever
    )
    for one in (cut, loaded):
        (best, *_) = await one.apostprocess_nodes(retriever.retrieve(ASKED), query_str=ASKED)
        said = best.node.metadata["ragguard"]
        assert best.node.node_id == "nickel-hardness"
        assert said["retrieval_score"] < 1.0, "not the reranker's"
        assert said["certificate"]["status"] == "valid"
    another = PreferenceReranker(WordScorer(), weights={"bm25": 1.0})
    with pytest.raises(CalibrationMismatchError, match="upstream"):
        Guard(Calibration.load(folder), guards=[another])
    with pytest.raises(CalibrationMismatchError, match="rerank"):
        ConformalNodePostprocessor(guard=folder, retriever=retriever)
