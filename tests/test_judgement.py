"""What the loop makes of verdicts, beyond what running it shows."""

from __future__ import annotations

from typing import Any

import pytest

from ragguard.errors import CalibrationExpiredError, DeadlineExceededError
from ragguard.judgement import CUT, Judgement, failure
from ragguard.types import (
    Action,
    Certificate,
    Generation,
    Mode,
    OnError,
    Passage,
    Reason,
    Stage,
    Turn,
    Verdict,
)

TURN = Turn(question="Which?", passages=(Passage(id="a", text="A."), Passage(id="b", text="B.")), answer="A.")


def verdict(guard: str = "g", action: Action = Action.PASS, **fields: Any) -> Verdict:
    return Verdict(guard=guard, stage=Stage.ANSWER, action=action, **fields)


@pytest.mark.parametrize(
    ("error", "reason", "code"),
    [
        (DeadlineExceededError("late"), Reason.DEADLINE, "deadline"),
        (CalibrationExpiredError("old"), Reason.GUARD_ERROR, "calibration_expired"),
        (TimeoutError("a server"), Reason.GUARD_ERROR, "unexpected"),
        (ZeroDivisionError(), Reason.GUARD_ERROR, "unexpected"),
    ],
)
def test_a_failure_keeps_type_and_code_and_no_message(error: Exception, reason: Reason, code: str) -> None:
    found = failure(OnError.ABSTAIN, "g", Stage.ANSWER, error)
    assert (found.action, found.reason, found.degraded) == (Action.ABSTAIN, reason, False)
    assert found.error is not None
    assert found.error.model_dump() == {"type": type(error).__name__, "code": code}


def test_nothing_against_a_turn_is_a_pass() -> None:
    report = Judgement(TURN, {}).report()
    assert (report.action, report.reason, report.text, report.request) == (Action.PASS, Reason.OK, "A.", None)


def test_the_seconds_of_a_guard_add_up_over_its_stages() -> None:
    state = Judgement(TURN, {})
    state.apply(verdict(seconds=1.0))
    state.apply(verdict(seconds=0.5))
    assert state.report().seconds == {"g": 1.5}


def test_the_first_revision_with_a_reason_decides_until_an_end() -> None:
    state = Judgement(TURN, {})
    state.apply(verdict("cut", Action.REVISE, revised=TURN))
    assert state.report().action is Action.PASS, "a revision with nothing against the turn is routine"
    state.apply(verdict("one", Action.REVISE, revised=TURN, reason=Reason.INJECTED_PASSAGE))
    state.apply(verdict("two", Action.REVISE, revised=TURN, reason=Reason.UNSUPPORTED_ANSWER))
    assert (state.report().action, state.report().reason) == (Action.REVISE, Reason.INJECTED_PASSAGE)
    state.apply(verdict("end", Action.ABSTAIN, reason=Reason.NO_EVIDENCE))
    assert state.ended
    assert (state.report().action, state.report().reason) == (Action.ABSTAIN, Reason.NO_EVIDENCE)


def test_an_end_may_leave_a_revised_turn_behind() -> None:
    state = Judgement(TURN, {})
    state.apply(verdict(action=Action.REFUSE, reason=Reason.TRACED_SOURCE, revised=TURN.replace(passages=())))
    assert state.report().turn.passages == ()


@pytest.mark.parametrize("status", ["void", "none"])
def test_a_promise_that_does_not_hold_is_not_voided_again(status: Any) -> None:
    state = Judgement(TURN, {})
    state.apply(verdict("cut", certificate=Certificate(status=status, voided_by="expired")))
    state.apply(verdict("drops", Action.REVISE, revised=TURN.replace(passages=())))
    assert state.report().certificates[0].voided_by == "expired"


def test_a_degraded_promise_can_still_be_voided() -> None:
    state = Judgement(TURN, {})
    state.apply(verdict("cut", certificate=Certificate(status="degraded", notes=("changed",))))
    state.answered(Generation(text="A.", read=("a",)))
    (certificate,) = state.report().certificates
    assert (certificate.status, certificate.notes) == ("void", ("changed",))


def test_what_voids_a_promise_is_written_into_the_mark_of_its_cut() -> None:
    marked = TURN.replace(metadata={"mine": 1, CUT: {"kept": ["a", "b"]}})
    state = Judgement(TURN, {})
    state.apply(verdict("cut", Action.REVISE, revised=marked, certificate=Certificate(status="valid")))
    state.answered(Generation(text="A.", read=()))
    assert state.turn.metadata == {
        "mine": 1,
        CUT: {"kept": ["a", "b"], "voided_by": "the generator's budget"},
    }
    assert marked.metadata[CUT] == {"kept": ["a", "b"]}, "the turn given is not changed"


def test_a_shadow_verdict_is_recorded_and_does_nothing() -> None:
    state = Judgement(TURN, {})
    state.apply(
        verdict(action=Action.REFUSE, mode=Mode.SHADOW, degraded=True, revised=TURN.replace(answer="B."))
    )
    report = state.report()
    assert (report.turn, report.action, report.degraded, len(report.verdicts)) == (
        TURN,
        Action.PASS,
        False,
        1,
    )
