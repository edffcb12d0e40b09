from __future__ import annotations

import json

import pytest

from ragguard import ConsistencyGuard, Passage, Pipeline, Report, Turn
from ragguard.alignment.lexical import LexicalAligner
from ragguard.withheld import shown_report, small_report

PASSAGES = (Passage(id="weight", text="The lamp weighs 4 kilograms."),)
TRUE = "The lamp weighs 4 kilograms."
FALSE = "The lamp is a purple banana."


def judged(answer: str) -> Report:
    turn = Turn(question="How heavy is the lamp?", passages=PASSAGES, answer=answer)
    return Pipeline([ConsistencyGuard(LexicalAligner())]).check(turn)


@pytest.mark.parametrize("answer", [TRUE, FALSE])
def test_a_small_report_is_json_and_holds_no_text_of_the_turn(answer: str) -> None:
    said = json.dumps(small_report(judged(answer)))
    assert not any(text in said for text in ("lamp", "banana", "kilograms"))


def test_a_small_report_says_what_was_decided_by_whom_and_on_which_passages() -> None:
    said = small_report(judged(FALSE))
    assert (said["released"], said["action"], said["reason"]) == (False, "refuse", "unsupported_answer")
    assert said["passages"] == ["weight"]
    (verdict,) = said["verdicts"]
    assert verdict["guard"] == "consistency"
    assert verdict["uncalibrated"] is True
    assert small_report(judged(TRUE))["released"] is True


def test_a_shown_report_holds_only_an_answer_that_was_shown() -> None:
    assert shown_report(judged(TRUE))["turn"]["answer"] == TRUE
    assert "banana" not in json.dumps(shown_report(judged(FALSE)))
