"""Replay: rated questions asked again without one passage at a time."""

from __future__ import annotations

from collections.abc import Sequence

from ragguard.preference.asking import Budget
from ragguard.preference.probe_log import AnswerLog
from ragguard.preference.readers import as_reader
from ragguard.preference.replay import replay
from ragguard.types import Passage
from tests.preference.test_feedback import record_of


def answers(question: str, passages: Sequence[Passage]) -> str:
    """Needs passage b, and is led astray by d."""
    shown = {p.text for p in passages}
    return "Oslo" if "text b" in shown and "text d" not in shown else "Rome"


READER = as_reader(answers, name="needs-b", takes="question")


def test_what_the_answer_is_lost_without_helped() -> None:
    record = record_of("1", "abc", rating="up", answer="Oslo", reader=READER.id)
    found = {e.passage_id: e for e in replay([record], READER)}
    assert {p: e.gain for p, e in found.items()} == {"a": 0.0, "b": 1.0, "c": 0.0}
    assert found["b"].category == "aligned"
    assert found["a"].category == "both_correct"
    assert {e.weight for e in found.values()} == {1.0}


def test_what_the_answer_is_right_without_harmed() -> None:
    liked = record_of("1", "ab", rating="up", answer="Oslo", reader=READER.id)
    disliked = record_of("2", "bd", rating="down", answer="Rome", reader=READER.id)
    found = {e.passage_id: e for e in replay([liked, disliked], READER)}
    assert found["d"].gain == -1.0
    assert found["d"].category == "unaligned"
    # b helped in the one list and changed nothing in the other.
    assert found["b"].gain == 0.5
    assert found["b"].n == 2


def test_known_answers_come_before_what_was_liked() -> None:
    record = record_of("1", "ac", rating="up", answer="Rome", reader=READER.id)
    assert {e.category for e in replay([record], READER)} == {"both_correct"}
    golds = {"What is it?": ["Oslo"]}
    assert {e.category for e in replay([record], READER, golds=golds)} == {"both_wrong"}


def test_only_this_readers_records_with_an_accepted_answer_are_asked() -> None:
    log = AnswerLog()
    others = record_of("1", "ab", rating="up", answer="Oslo", reader="another")
    unknown = record_of("2", "ab", rating="down", answer="Rome", reader=READER.id)
    assert replay([others, unknown], READER, log=log) == []
    assert len(log) == 0


def test_what_the_budget_does_not_cover_is_left_out() -> None:
    record = record_of("1", "abc", rating="up", answer="Oslo", reader=READER.id)
    found = replay([record], READER, budget=Budget(calls=2))
    assert [e.passage_id for e in found] == ["a"]
