from __future__ import annotations

import threading
from typing import Any

import pytest
from haystack import Pipeline
from haystack.dataclasses import Document

from haystack_integrations.components.guards.ragguard import PreferenceRanker
from ragguard.errors import ConfigurationError, InvalidValueError, ScoringError
from ragguard.preference.reranker import PreferenceReranker

from .conftest import QUESTION, WordScorer


class Failing(WordScorer):
    def score_pairs(self, pairs: Any, /) -> Any:
        raise ScoringError("no scores today")


class Threaded(WordScorer):
    def __init__(self) -> None:
        self.threads: set[int] = set()

    def score_pairs(self, pairs: Any, /) -> Any:
        self.threads.add(threading.get_ident())
        return super().score_pairs(pairs)


def ranker(scorer: Any = None, **options: Any) -> PreferenceRanker:
    made = PreferenceReranker(scorer or WordScorer(), weights={"relevance": 1.0})
    ranked: PreferenceRanker = PreferenceRanker(made, **options)
    return ranked


FOUND = [
    Document(id="a", content="the weather", score=0.9, meta={"n": [1]}),
    Document(id="b", content="the price of tin", score=0.8),
    Document(id="c", content="the price of cobalt", score=None),
]


def test_documents_come_in_the_rerankers_order_with_both_scores() -> None:
    before = [d.to_dict() for d in FOUND]
    out = ranker().run("what is the price of cobalt", FOUND)["documents"]
    assert [d.id for d in out] == ["c", "b", "a"]
    assert out[1].score == out[1].meta["ragguard"]["reranker_score"] > 0
    assert [d.meta["ragguard"]["retrieval_score"] for d in out] == [None, 0.8, 0.9]
    assert [d.to_dict() for d in FOUND] == before


def test_top_k_is_a_setting_and_an_argument() -> None:
    assert len(ranker(top_k=2).run(QUESTION, FOUND)["documents"]) == 2
    assert len(ranker(top_k=2).run(QUESTION, FOUND, top_k=1)["documents"]) == 1
    for refused in (lambda: ranker(top_k=0), lambda: ranker().run(QUESTION, FOUND, top_k=0)):
        with pytest.raises(InvalidValueError, match="top_k"):
            refused()


def test_where_scores_cannot_be_had_the_order_stands_and_says_why() -> None:
    out = ranker(Failing()).run(QUESTION, FOUND)["documents"]
    assert [d.id for d in out] == ["a", "b", "c"]
    assert [d.score for d in out] == [None, None, None]
    assert {d.meta["ragguard"]["fallback"] for d in out} == {"scoring"}
    assert out[0].meta["ragguard"]["retrieval_score"] == 0.9


def test_no_documents_are_no_documents() -> None:
    assert ranker().run(QUESTION, []) == {"documents": []}


async def test_asynchronously_the_scorer_runs_on_another_thread() -> None:
    scorer = Threaded()
    made = ranker(scorer)
    await made.warm_up_async()
    assert await made.run_async(QUESTION, FOUND) == ranker().run(QUESTION, FOUND)
    assert scorer.threads
    assert threading.get_ident() not in scorer.threads


def test_it_comes_back_from_yaml_by_its_options_and_constructing_loads_nothing() -> None:
    made = PreferenceRanker(top_k=3, options={"weights": {"bm25": 1.0}, "depth": 20})
    pipeline = Pipeline()
    pipeline.add_component("ranker", made)
    text = pipeline.dumps()
    back = Pipeline.loads(text).get_component("ranker")
    assert (back.top_k, back.options) == (made.top_k, made.options)
    assert PreferenceRanker(options={"model": "/no/such/folder"}).options == {"model": "/no/such/folder"}
    with pytest.raises(ConfigurationError, match="live reranker"):
        ranker().to_dict()
    with pytest.raises(ConfigurationError, match="either"):
        ranker(options={"depth": 3})
