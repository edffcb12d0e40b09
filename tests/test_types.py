"""The values of the loop: what they refuse, and that they survive JSON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ragguard.errors import RefusalError
from ragguard.types import Action, Certificate, Passage, Reason, Report, Span, Stage, Turn, Verdict

TEXTS = st.text(max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
PASSAGES = st.builds(
    Passage,
    id=TEXTS,
    text=TEXTS,
    score=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    metadata=st.dictionaries(TEXTS, JSON, max_size=3),
)
TURNS = st.builds(
    Turn,
    question=TEXTS,
    standalone=st.none() | TEXTS,
    passages=st.none() | st.lists(PASSAGES, max_size=3).map(tuple),
    answer=st.none() | TEXTS,
    metadata=st.dictionaries(TEXTS, JSON, max_size=3),
)


@given(TURNS)
def test_a_turn_survives_json(turn: Turn) -> None:
    assert Turn.model_validate_json(turn.model_dump_json()) == turn


@given(TURNS)
def test_replacing_nothing_changes_nothing(turn: Turn) -> None:
    assert turn.replace() == turn


def test_replacing_is_checked() -> None:
    turn = Turn(question="Which?")
    assert turn.replace(standalone="This?").query == "This?"
    assert turn.query == "Which?"
    for change in ({"answers": "x"}, {"answer": 5}, {"passages": ["a"]}):
        with pytest.raises(ValidationError):
            turn.replace(**change)


def test_values_are_frozen_and_take_no_unknown_field() -> None:
    with pytest.raises(ValidationError):
        Turn(question="Which?").question = "What?"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Passage(id="a", text="A.", rank=1)  # type: ignore[call-arg]


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (3, 2)])
def test_a_span_is_a_range(start: int, end: int) -> None:
    with pytest.raises(ValidationError):
        Span(start=start, end=end)


def test_a_verdict_revises_exactly_when_it_carries_a_turn() -> None:
    with pytest.raises(ValidationError, match="carries `revised`"):
        Verdict(guard="g", stage=Stage.ANSWER, action=Action.REVISE)
    with pytest.raises(ValidationError, match="carries no `revised`"):
        Verdict(guard="g", stage=Stage.ANSWER, action=Action.PASS, revised=Turn(question="Which?"))


@pytest.mark.parametrize("action", Action)
def test_a_report_is_released_or_raises(action: Action) -> None:
    report = Report(turn=Turn(question="Which?", answer="zyzzyva"), action=action, reason=Reason.NO_EVIDENCE)
    assert report.released is (action in (Action.PASS, Action.REVISE)) is not action.ends_turn
    if report.released:
        assert report.raise_for_refusal() is report
        return
    with pytest.raises(RefusalError) as raised:
        report.raise_for_refusal()
    assert "zyzzyva" not in str(raised.value)
    assert raised.value.details == {"action": action.value, "reason": "no_evidence"}


def test_a_report_finds_its_certificates_by_scope() -> None:
    release = Certificate(scope="release", status="valid")
    report = Report(turn=Turn(question="Which?"), action=Action.PASS, certificates=(release,))
    assert (report.certificate("release"), report.certificate(), report.passages) == (release, None, ())
