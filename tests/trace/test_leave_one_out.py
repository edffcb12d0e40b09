"""LeaveOneOutShield: an answer that hangs on one source is found, and said or removed as told."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from ragguard.alignment.lexical import LexicalAligner
from ragguard.errors import InvalidValueError
from ragguard.protocols import TurnGuard
from ragguard.testing import GuardContract, HashEmbedder
from ragguard.trace.leave_one_out import LeaveOneOutShield
from ragguard.types import Action, Passage, Reason, Stage, Turn

ONE = "The bridge was opened in 1932."
TWO = "Bees make honey from nectar."


def turn(answer: str, *texts: str, documents: tuple[str, ...] = ()) -> Turn:
    named = [*documents, *[None] * len(texts)]
    passages = tuple(Passage(id=f"p{i}", text=t, document=named[i]) for i, t in enumerate(texts))
    return Turn(question="When was the bridge opened?", passages=passages, answer=answer)


def shield(**options: Any) -> LeaveOneOutShield:
    return LeaveOneOutShield(LexicalAligner(), **options)


class TestLeaveOneOutContract(GuardContract):
    @pytest.fixture(params=["annotate", "redact", "abstain", "refuse"])
    def guard(self, request: pytest.FixtureRequest) -> TurnGuard:
        return shield(policy=request.param)

    @pytest.fixture
    def turns(self) -> list[Turn]:
        return [
            turn(ONE, ONE, TWO),
            turn(f"{ONE} {TWO}", ONE, f"Note: {ONE}", TWO),
            turn("I don't know.", TWO),
        ]


def test_says_which_claim_hangs_on_which_passage() -> None:
    answer = f"{ONE} {TWO}"
    verdict = shield().check(turn(answer, f"A fact. {ONE}", f"As is known, {ONE}", TWO), Stage.ANSWER)
    assert (verdict.action, verdict.reason) == (Action.PASS, Reason.UNSUPPORTED_ANSWER)
    (hanging,) = verdict.details["hanging"]
    assert answer[hanging["start"] : hanging["end"]] == TWO
    assert hanging["passages"] == ["p2"]
    assert hanging["without"] <= verdict.threshold < hanging["with_all"]


def test_two_chunks_of_one_document_are_one_source() -> None:
    verdict = shield().check(turn(ONE, ONE, f"Again: {ONE}", TWO, documents=("d", "d")), Stage.ANSWER)
    assert verdict.details["hanging"][0]["passages"] == ["p0", "p1"]


def test_near_duplicates_are_one_source_where_an_embedder_tells() -> None:
    asked = turn(ONE, f"{ONE} It is long.", f"{ONE} It is very long.", TWO)
    assert shield().check(asked, Stage.ANSWER).details["hanging"] == []
    grouped = shield(embedder=HashEmbedder(), alike=0.8).check(asked, Stage.ANSWER)
    assert grouped.details["hanging"][0]["passages"] == ["p0", "p1"]


def test_leaves_an_answer_with_two_sources_alone() -> None:
    verdict = shield(policy="refuse").check(turn(ONE, f"A fact. {ONE}", f"As is known, {ONE}"), Stage.ANSWER)
    assert (verdict.action, verdict.reason, verdict.details["hanging"]) == (Action.PASS, Reason.OK, [])


@pytest.mark.parametrize(("policy", "action"), [("abstain", Action.ABSTAIN), ("refuse", Action.REFUSE)])
def test_ends_the_turn_as_told(policy: Any, action: Action) -> None:
    assert shield(policy=policy).check(turn(ONE, ONE, TWO), Stage.ANSWER).action is action


def test_redacts_the_hanging_sentence_and_keeps_the_rest() -> None:
    asked = turn(f"{ONE} {TWO}", f"A fact. {ONE}", f"As is known, {ONE}", TWO)
    verdict = shield(policy="redact").check(asked, Stage.ANSWER)
    assert verdict.action is Action.REVISE
    assert verdict.revised is not None
    assert verdict.revised.answer == ONE


def test_abstains_when_redaction_leaves_nothing() -> None:
    assert shield(policy="redact").check(turn(ONE, ONE, TWO), Stage.ANSWER).action is Action.ABSTAIN


def test_what_nobody_supports_is_not_its_business() -> None:
    verdict = shield(policy="refuse").check(turn("Whales sing at night.", ONE, TWO), Stage.ANSWER)
    assert (verdict.action, verdict.details["hanging"]) == (Action.PASS, [])


@pytest.mark.parametrize("answer", ["", "   "])
def test_an_empty_answer_passes(answer: str) -> None:
    assert shield(policy="refuse").check(turn(answer, ONE), Stage.ANSWER).action is Action.PASS


def test_no_text_is_in_verdicts_or_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    canary = "zanzibar4711"
    verdict = shield().check(turn(f"The code is {canary}.", f"The code is {canary}.", TWO), Stage.ANSWER)
    assert verdict.details["hanging"]
    assert canary not in verdict.model_dump_json() + caplog.text


@pytest.mark.parametrize(
    "options", [{"policy": "drop"}, {"threshold": 1.0}, {"threshold": -0.1}, {"most_groups": 0}]
)
def test_refuses_options_that_cannot_be_used(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError):
        shield(**options)


def test_the_fingerprint_names_what_decides() -> None:
    assert shield(policy="redact").fingerprint() != shield().fingerprint()
    assert shield().fingerprint()["aligner"] == dict(LexicalAligner().fingerprint())
