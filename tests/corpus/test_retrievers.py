"""Any retriever as one shape."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ragguard.corpus.index import PassageIndex
from ragguard.corpus.retrievers import (
    AdaptedRetriever,
    IndexRetriever,
    RescoringRetriever,
    as_passage,
    as_retriever,
)
from ragguard.errors import InvalidScoreError, InvalidValueError
from ragguard.testing import HashEmbedder
from ragguard.types import Passage

EMBEDDER = HashEmbedder()
ITEMS = [Passage(id=f"p{i}", text=f"word{i} common{i % 3}", metadata={"i": i}) for i in range(30)]


@pytest.fixture
def index(tmp_path: Path) -> PassageIndex:
    return PassageIndex.build(tmp_path / "ix", ITEMS, EMBEDDER)


def document(text: str = "T.", id: str | None = None, **metadata: Any) -> Any:
    return SimpleNamespace(page_content=text, metadata=metadata, id=id)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (Passage(id="a", text="T."), Passage(id="a", text="T.")),
        ("a", Passage(id="a", text="")),
        (("a", 1), Passage(id="a", text="", score=1.0)),
        (["a", np.float32(0.5)], Passage(id="a", text="", score=0.5)),
        (("a", None), Passage(id="a", text="")),
        ((Passage(id="a", text="T.", score=9.0), 0.5), Passage(id="a", text="T.", score=0.5)),
        ({"id": "a"}, Passage(id="a", text="")),
        ({"id": "a", "text": None, "score": 2, "metadata": {"k": 1}, "rank": 1},
         Passage(id="a", text="", score=2.0, metadata={"k": 1})),
        (document(id="a", score=0.5), Passage(id="a", text="T.", score=0.5, metadata={"score": 0.5})),
        (document(id="a", relevance_score=0.5),
         Passage(id="a", text="T.", score=0.5, metadata={"relevance_score": 0.5})),
        (document(source="f.md"), Passage(id="f.md", text="T.", metadata={"source": "f.md"})),
        ((document(id="a"), 0.5), Passage(id="a", text="T.", score=0.5)),
    ],
)  # fmt: skip
def test_a_result_of_any_shape_becomes_a_passage(item: Any, expected: Passage) -> None:
    assert as_passage(item) == expected


def test_a_document_without_an_identity_gets_the_same_one_each_time() -> None:
    first, again, other = as_passage(document()), as_passage(document()), as_passage(document("Else \ud800."))
    assert first.id == again.id != other.id


@pytest.mark.parametrize("item", [None, 5, {"text": "no id"}, {"id": 5}, ("a", "b", "c")])
def test_another_shape_is_refused(item: Any) -> None:
    with pytest.raises(InvalidValueError, match="a retriever returned"):
        as_passage(item)


@pytest.mark.parametrize("score", ["high zyzzyva", [0.5]])
def test_a_score_that_is_no_number_is_refused_without_quoting_it(score: Any) -> None:
    with pytest.raises(InvalidScoreError) as raised:
        as_passage(("a", score))
    assert "zyzzyva" not in str(raised.value)


def test_results_come_best_first_whichever_way_the_scores_point() -> None:
    found = [("a", 0.1), ("b", 0.9), ("c", 0.5)]
    assert [p.id for p in AdaptedRetriever(lambda q: found)("?")] == ["b", "c", "a"]
    distances = AdaptedRetriever(lambda q: found, lower_is_better=True)("?")
    assert [(p.id, p.score) for p in distances] == [("a", -0.1), ("c", -0.5), ("b", -0.9)]


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_is_an_error(score: float) -> None:
    with pytest.raises(InvalidScoreError, match="'b'"):
        AdaptedRetriever(lambda q: [("a", 0.5), ("b", score)])("?")


def test_chunks_that_go_by_one_name_are_refused_rather_than_lost() -> None:
    chunks = [(document("One.", source="f.md"), 0.9), (document("Two.", source="f.md"), 0.8)]
    with pytest.raises(InvalidValueError, match=r"'f\.md'"):
        AdaptedRetriever(lambda q: chunks)("?")
    same = [(document("One.", source="f.md"), 0.9)] * 2
    assert len(AdaptedRetriever(lambda q: same)("?")) == 2


def test_missing_scores_are_the_embedders_for_all_results() -> None:
    adapted = AdaptedRetriever(lambda q: [("no text", 0.9), {"id": "p3", "text": "word3"}], embedder=EMBEDDER)
    found = {p.id: p.score for p in adapted("word3")}
    assert found["p3"] == pytest.approx(1.0)
    assert found["no text"] != 0.9
    with pytest.raises(InvalidScoreError, match="'p3'"):
        AdaptedRetriever(lambda q: [("a", 0.9), {"id": "p3"}])("?")


@pytest.mark.parametrize("results", [None, "abc", {"a": 1}, 5])
def test_what_is_no_list_of_results_is_refused(results: Any) -> None:
    with pytest.raises(InvalidValueError, match="the retriever returned"):
        AdaptedRetriever(lambda q: results)("?")


def test_an_asynchronous_retriever_is_refused_with_a_way_out() -> None:
    async def find(question: str) -> list[Any]:
        return []

    with pytest.raises(InvalidValueError, match="asynchronous"):
        AdaptedRetriever(find)("?")


def test_what_cannot_be_called_is_no_retriever() -> None:
    with pytest.raises(InvalidValueError, match="callable"):
        as_retriever(5)


def test_ours_are_taken_as_they_are(index: PassageIndex) -> None:
    for ours in (IndexRetriever(index, EMBEDDER), AdaptedRetriever(lambda q: [])):
        assert as_retriever(ours) is ours


def find_nothing(question: str) -> list[Any]:
    return []


def test_a_fingerprint_names_the_retriever_its_scorer_and_the_way_its_scores_point() -> None:
    found = AdaptedRetriever(find_nothing, lower_is_better=True, limit=3).fingerprint()
    assert found["retriever"]["name"].endswith("find_nothing")
    assert (found["scored_by"], found["orientation"], found["depth"]) == (None, "lower", 3)
    assert AdaptedRetriever(find_nothing, name="mine").fingerprint()["retriever"] == {"name": "mine"}

    class Own:
        def __call__(self, question: str) -> list[Any]:
            return []

        def fingerprint(self) -> dict[str, Any]:
            return {"store": 7}

    assert AdaptedRetriever(Own()).fingerprint()["retriever"] == {"store": 7}


def test_an_index_gives_its_nearest_passages_whole(index: PassageIndex) -> None:
    found = IndexRetriever(index, EMBEDDER, depth=5)("word7 common1")
    assert len(found) == 5
    assert found[0].model_copy(update={"score": None}) == ITEMS[7]
    assert found[0].score == pytest.approx(1.0)


def test_only_as_many_texts_are_read_as_asked(index: PassageIndex) -> None:
    whole = IndexRetriever(index, EMBEDDER, depth=5)
    part = whole.reading(lambda similarities: int((similarities > 0.99).sum()))
    found = part("word7 common1")
    assert [(p.id, p.score) for p in found] == [(p.id, p.score) for p in whole("word7 common1")]
    assert [bool(p.text) for p in found] == [True, False, False, False, False]
    assert part.fingerprint() == whole.fingerprint()


def test_an_index_is_asked_for_at_least_one_passage(index: PassageIndex) -> None:
    with pytest.raises(InvalidValueError, match="depth"):
        IndexRetriever(index, EMBEDDER, depth=0)


class Backwards:
    def score_pairs(self, pairs: Any, /) -> Any:
        return np.arange(len(pairs), dtype=np.float64)

    def fingerprint(self) -> dict[str, Any]:
        return {"name": "backwards"}


def test_a_second_stage_scores_the_first_ones_best(index: PassageIndex) -> None:
    first = IndexRetriever(index, EMBEDDER, depth=10)
    second = RescoringRetriever(first, Backwards(), depth=3)
    assert [p.id for p in second("word7")] == [p.id for p in reversed(first("word7")[:3])]
    assert second.fingerprint() == {**first.fingerprint(), "scorer": {"name": "backwards"}, "depth": 3}
    assert RescoringRetriever(lambda q: [], Backwards())("?") == []
