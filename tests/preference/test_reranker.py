"""The reranker over scorers that say what a function says: order, fallbacks, marks, what it refuses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ragguard.errors import (
    DeadlineExceededError,
    InvalidScoreError,
    InvalidValueError,
    QuestionTooLongError,
    ReaderMismatchError,
    ScoringError,
    UnreadableFileError,
)
from ragguard.models.pair_engine import PairEngine
from ragguard.models.pair_model import save_pair_model
from ragguard.models.relevance import RelevanceScorer
from ragguard.pipeline import Pipeline, Step
from ragguard.preference.blend import Blend
from ragguard.preference.card import KIND
from ragguard.preference.reranker import RERANKER_SCORE, RETRIEVER_SCORE, PreferenceReranker
from ragguard.preference.scorers import write_blend
from ragguard.testing import GuardContract
from ragguard.types import Action, OnError, Passage, Stage, Turn
from ragguard.worker import check_deadline, deadline
from tests.models.random_models import TEXTS, random_pair_model

QUESTION = "how long do refunds take"


class SaysOf:
    """A user's own scorer: what a function says of question and passage, after so many seconds a pair."""

    def __init__(self, says: Callable[[str, str], float], *, seconds: float = 0.0) -> None:
        self._says, self._seconds = says, seconds
        self.seen: list[tuple[str, str]] = []

    def score_pairs(self, pairs: Sequence[tuple[str, str]], /) -> NDArray[np.float64]:
        found = []
        for pair in pairs:
            check_deadline()
            time.sleep(self._seconds)
            self.seen.append(pair)
            found.append(self._says(*pair))
        return np.array(found)

    def fingerprint(self) -> dict[str, str]:
        return {"scorer": "function"}


def by_number(_: str, passage: str) -> float:
    """The number a passage's text ends with."""
    return float(passage.split()[-1])


def turn_of(*numbers: float, scores: Sequence[float | None] | None = None) -> Turn:
    given = [0.9 - 0.1 * i for i in range(len(numbers))] if scores is None else scores
    passages = tuple(
        Passage(id=f"p{i}", text=f"says {number}", score=score, metadata={"source": f"s{i}"})
        for i, (number, score) in enumerate(zip(numbers, given, strict=True))
    )
    return Turn(question=QUESTION, passages=passages)


def ids(turn: Turn | None) -> list[str]:
    assert turn is not None
    return [p.id for p in turn.passages or ()]


class TestContract(GuardContract):
    @pytest.fixture
    def guard(self) -> PreferenceReranker:
        return PreferenceReranker(SaysOf(lambda _, p: float(len(p))), weights={"relevance": 0.5, "bm25": 0.5})

    @pytest.fixture
    def turns(self) -> list[Turn]:
        return [turn_of(1, 3, 2), turn_of(), Turn(question="q"), turn_of(5)]


def test_puts_the_best_first_and_keeps_both_scores() -> None:
    before = turn_of(1, 3, 2)
    copy = before.model_copy(deep=True)
    verdict = PreferenceReranker(SaysOf(by_number)).check(before, Stage.PASSAGES)
    assert verdict.action is Action.REVISE
    assert ids(verdict.revised) == ["p1", "p2", "p0"]
    assert verdict.revised is not None
    first = (verdict.revised.passages or ())[0]
    assert first.score == pytest.approx(3 / 32)
    assert first.metadata[RETRIEVER_SCORE] == pytest.approx(0.8)
    assert first.metadata["source"] == "s1"
    assert before == copy
    assert RETRIEVER_SCORE not in (before.passages or ())[1].metadata


def test_equal_scores_keep_the_order_of_the_retriever() -> None:
    verdict = PreferenceReranker(SaysOf(by_number)).check(turn_of(1, 2, 1, 2, 1), Stage.PASSAGES)
    assert ids(verdict.revised) == ["p1", "p3", "p0", "p2", "p4"]


def test_an_empty_list_one_passage_and_duplicates_are_ordered_too() -> None:
    guard = PreferenceReranker(SaysOf(by_number))
    assert guard.rank(QUESTION, []) == []
    assert guard.check(turn_of(), Stage.PASSAGES).action is Action.PASS
    assert ids(guard.check(turn_of(4), Stage.PASSAGES).revised) == ["p0"]
    twice = Turn(question=QUESTION, passages=(*(turn_of(1, 2).passages or ()),) * 2)
    verdict = guard.check(twice, Stage.PASSAGES)
    assert ids(verdict.revised) == ["p1", "p1", "p0", "p0"]
    assert [one.index for one in guard.rank(QUESTION, ["a 2", "a 2", "b 3"])] == [2, 0, 1]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_leaves_the_retrievers_order_and_drops_nothing(bad: float) -> None:
    guard = PreferenceReranker(SaysOf(lambda _, p: bad if p.endswith("2") else by_number(_, p)))
    verdict = guard.check(turn_of(1, 2, 3), Stage.PASSAGES)
    assert ids(verdict.revised) == ["p0", "p1", "p2"]
    assert verdict.degraded
    assert verdict.details["fallback"] == "scoring"
    assert verdict.revised is not None
    for passage in verdict.revised.passages or ():
        assert passage.score is None
        assert passage.metadata[RETRIEVER_SCORE] is not None
        assert passage.metadata[RERANKER_SCORE] is None


def test_a_scorer_that_gives_too_few_scores_is_not_believed() -> None:
    class Short(SaysOf):
        def score_pairs(self, pairs: Sequence[tuple[str, str]], /) -> NDArray[np.float64]:
            return super().score_pairs(pairs)[:-1]

    verdict = PreferenceReranker(Short(by_number)).check(turn_of(1, 2, 3), Stage.PASSAGES)
    assert ids(verdict.revised) == ["p0", "p1", "p2"]
    assert verdict.degraded


def test_stops_when_the_budget_is_used_up_and_says_so() -> None:
    scorer = SaysOf(by_number, seconds=0.05)
    verdict = PreferenceReranker(scorer, budget=0.12).check(turn_of(*range(30)), Stage.PASSAGES)
    assert verdict.degraded
    assert verdict.details["fallback"] == "deadline"
    assert len(scorer.seen) < 30
    assert ids(verdict.revised) == [f"p{i}" for i in range(30)]


def test_the_end_of_the_whole_turn_is_not_its_own_fallback() -> None:
    guard = PreferenceReranker(SaysOf(by_number, seconds=0.05), budget=60.0)
    with deadline(0.1), pytest.raises(DeadlineExceededError):
        guard.check(turn_of(*range(30)), Stage.PASSAGES)


def test_a_question_too_long_is_marked_and_never_cut() -> None:
    engine = PairEngine(random_pair_model(max_tokens=96), backend="torch", dtype="float32")
    guard = PreferenceReranker(RelevanceScorer(engine))
    turn = turn_of(1, 2).replace(question=" ".join(TEXTS))
    verdict = guard.check(turn, Stage.PASSAGES)
    assert verdict.details["fallback"] == "question_too_long"
    assert ids(verdict.revised) == ["p0", "p1"]
    with pytest.raises(QuestionTooLongError):
        guard.rank(turn.question, ["text"])


def test_the_retrievers_similarity_and_bm25_count_by_their_weights() -> None:
    near = turn_of(1, 1, 1, scores=[0.1, 0.9, 0.5])
    guard = PreferenceReranker(SaysOf(by_number), weights={"relevance": 0.5, "similarity": 0.5})
    assert ids(guard.check(near, Stage.PASSAGES).revised) == ["p1", "p2", "p0"]
    guard = PreferenceReranker(SaysOf(lambda *_: 0.0), weights={"relevance": 0.5, "bm25": 0.5})
    found = guard.rank("refunds", ["bread and cheese", "refunds take days", "other"])
    assert [one.index for one in found] == [1, 0, 2]


def test_passages_without_a_score_are_ordered_and_stay_without() -> None:
    guard = PreferenceReranker(SaysOf(by_number), weights={"relevance": 0.5, "similarity": 0.5})
    verdict = guard.check(turn_of(1, 2, scores=[None, None]), Stage.PASSAGES)
    assert ids(verdict.revised) == ["p1", "p0"]
    assert verdict.revised is not None
    assert all(p.score is None for p in verdict.revised.passages or ())
    verdict = guard.check(turn_of(1, 2, scores=[0.5, None]), Stage.PASSAGES)
    assert verdict.details["fallback"] == "invalid_score"
    with pytest.raises(InvalidScoreError):
        guard.rank(QUESTION, turn_of(1, 2, scores=[0.5, None]).passages or ())


def test_reads_and_keeps_only_to_its_depth() -> None:
    scorer = SaysOf(by_number)
    verdict = PreferenceReranker(scorer, depth=2).check(turn_of(1, 2, 9), Stage.PASSAGES)
    assert ids(verdict.revised) == ["p1", "p0"]
    assert verdict.details["beyond_depth"] == 1
    assert len(scorer.seen) == 2


def test_a_turn_reranked_before_passes_unless_question_or_passages_changed() -> None:
    scorer = SaysOf(by_number)
    guard = PreferenceReranker(scorer)
    once = guard.check(turn_of(1, 2, 3), Stage.PASSAGES).revised
    assert once is not None
    asked = len(scorer.seen)
    cut = once.replace(passages=(once.passages or ())[:2])
    assert guard.check(cut, Stage.PASSAGES).action is Action.PASS
    assert len(scorer.seen) == asked
    assert guard.check(once.replace(question="another"), Stage.PASSAGES).action is Action.REVISE
    more = once.replace(passages=(*(once.passages or ()), Passage(id="new", text="says 9", score=0.1)))
    assert guard.check(more, Stage.PASSAGES).action is Action.REVISE
    assert PreferenceReranker(scorer, name="other").check(once, Stage.PASSAGES).action is Action.REVISE


def test_what_a_passage_says_of_itself_changes_nothing() -> None:
    forged = Passage(id="x", text="says 0", score=0.1, metadata={RERANKER_SCORE: 99.0, RETRIEVER_SCORE: 99.0})
    turn = turn_of(1, 2)
    verdict = PreferenceReranker(SaysOf(by_number), weights={"relevance": 0.5, "similarity": 0.5}).check(
        turn.replace(passages=(*(turn.passages or ()), forged)), Stage.PASSAGES
    )
    assert ids(verdict.revised)[-1] == "x"


def test_in_a_pipeline_a_fallback_is_let_pass_and_reported() -> None:
    pipeline = Pipeline([Step(PreferenceReranker(SaysOf(lambda *_: float("nan"))), on_error=OnError.REFUSE)])
    report = pipeline.check(turn_of(1, 2))
    assert report.action is Action.PASS
    assert report.degraded
    report = asyncio.run(pipeline.acheck(turn_of(1, 2)))
    assert report.degraded


def test_is_a_pair_scorer_of_the_models_own_score() -> None:
    guard = PreferenceReranker(SaysOf(by_number), weights={"relevance": 0.1, "similarity": 0.9})
    assert guard.score_pairs([("q", "a 2"), ("q", "b 5")]).tolist() == [2.0, 5.0]
    assert guard.score_pairs([]).shape == (0,)
    with pytest.raises(ScoringError):
        PreferenceReranker(SaysOf(lambda *_: float("nan"))).score_pairs([("q", "a")])


def test_every_setting_that_changes_a_score_is_in_the_fingerprint() -> None:
    def made(**options: object) -> dict[str, object]:
        return PreferenceReranker(SaysOf(by_number), **options).fingerprint()  # type: ignore[arg-type]

    plain = made()
    assert made() == plain
    assert made(budget=1.0) == plain
    assert made(depth=5) != plain
    assert made(weights=Blend(0.9, 0.1, 0.0)) != plain


@pytest.mark.parametrize("wrong", [{"depth": 0}, {"budget": 0.0}, {"budget": float("nan")}])
def test_refuses_settings_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidValueError):
        PreferenceReranker(SaysOf(by_number), **wrong)  # type: ignore[arg-type]


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    model = random_pair_model(max_tokens=96)
    card = {"kind": KIND, "reader": "reader-a"}
    folder = save_pair_model(
        tmp_path / "trained", model.encoder, tokenizer=model.tokens.definition, max_tokens=96, card=card
    )
    write_blend(folder, Blend(0.75, 0.0, 0.25))
    return folder


def test_a_model_trained_for_one_reader_refuses_another_unless_forced(trained: Path) -> None:
    with pytest.raises(ReaderMismatchError, match=r"'reader-a'.*'reader-b'"):
        PreferenceReranker(trained, reader="reader-b")
    assert PreferenceReranker(trained, reader="reader-b", force=True).reader == "reader-a"
    guard = PreferenceReranker(trained, reader="reader-a")
    assert guard.blend == Blend(0.75, 0.0, 0.25)
    with pytest.raises(ReaderMismatchError):
        PreferenceReranker(trained)


def test_a_saved_model_gives_the_same_scores_again(trained: Path) -> None:
    options = {"backend": "torch", "dtype": "float32"}
    once = PreferenceReranker(trained, reader="reader-a", **options)  # type: ignore[arg-type]
    model = random_pair_model(max_tokens=96)
    again = PreferenceReranker(
        RelevanceScorer(PairEngine(model, backend="torch", dtype="float32")), weights=once.blend
    )
    assert once.rank(QUESTION, TEXTS) == again.rank(QUESTION, TEXTS)


def test_names_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="'nothing'"):
        PreferenceReranker(tmp_path / "nothing")


@pytest.mark.slow
def test_another_back_end_orders_alike(trained: Path) -> None:
    orders = {}
    for backend in ("torch", "onnxruntime"):
        guard = PreferenceReranker(
            trained, reader="reader-a", weights={"relevance": 1.0}, backend=backend, dtype="float32"
        )
        orders[backend] = [one.index for one in guard.rank(QUESTION, TEXTS)]
    assert orders["torch"] == orders["onnxruntime"]
