"""When an answer passes, and what becomes of one that does not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from ragguard.alignment.abstention import remaining_claims
from ragguard.alignment.aligner import AlignmentAligner
from ragguard.alignment.guard import ATTEMPT, ConsistencyGuard
from ragguard.alignment.lexical import LexicalAligner
from ragguard.errors import GuardError, InvalidValueError
from ragguard.pipeline import Pipeline
from ragguard.protocols import TurnGuard
from ragguard.types import Action, Claim, Evidence, Passage, Reason, Report, Stage, Turn, Verdict
from tests.alignment.word_engine import WordEngine

PASSAGES = (
    Passage(id="drug", text="The dose for adults is 5 mg a day. It does not thin the blood."),
    Passage(id="bridge", text="The bridge opened in 1978."),
)
GOOD = "The dose for adults is 5 mg a day."
BAD = "Elephants are pink."


class Scored:
    """An aligner that gives every claim the same score and outcome, or 0 to those with a word in them."""

    def __init__(
        self, score: float | None, outcome: str = "", *, extra: int = 0, failing: str | None = None
    ) -> None:
        self.score, self.outcome, self.extra, self.failing = score, outcome, extra, failing
        self.threads: set[int] = set()

    def align(
        self, claims: Sequence[Claim], passages: Sequence[Passage], /, *, question: str = ""
    ) -> list[Evidence]:
        self.threads.add(threading.get_ident())
        found = [
            Evidence(
                claim=c,
                score=0.0 if self.failing and self.failing in c.text else self.score,
                outcome=self.outcome,
            )
            for c in claims
        ]
        return found[: len(claims) + self.extra]

    def fingerprint(self) -> dict[str, Any]:
        return {"aligner": "scored"}


def verdict(answer: str | None, passages: tuple[Passage, ...] | None = PASSAGES, **settings: Any) -> Verdict:
    turn = Turn(question="What is the dose?", passages=passages, answer=answer)
    return ConsistencyGuard(**{"aligner": LexicalAligner(), **settings}).check(turn, Stage.ANSWER)


def test_it_is_a_guard_of_answers() -> None:
    guard = ConsistencyGuard()
    assert isinstance(guard, TurnGuard)
    assert guard.stages == {Stage.ANSWER}


def test_a_supported_answer_passes_with_evidence_for_every_claim() -> None:
    found = verdict(f"Sure! {GOOD} The bridge opened in 1978.")
    assert (found.action, found.reason, found.score) == (Action.PASS, Reason.OK, 1.0)
    assert [e.passage_id for e in found.evidence] == ["drug", "bridge"]
    assert found.uncalibrated


@pytest.mark.parametrize(
    ("answer", "action", "reason"),
    [
        (BAD, Action.REFUSE, Reason.UNSUPPORTED_ANSWER),
        (f"{GOOD} {BAD}", Action.REFUSE, Reason.UNSUPPORTED_ANSWER),
        ("It thins the blood.", Action.REFUSE, Reason.CONTRADICTED_ANSWER),
        ("Yes.", Action.REFUSE, Reason.UNVERIFIABLE_ANSWER),
        ("Hello!", Action.REFUSE, Reason.UNVERIFIABLE_ANSWER),
        ("", Action.REFUSE, Reason.EMPTY_ANSWER),
        (" \n", Action.REFUSE, Reason.EMPTY_ANSWER),
        (None, Action.REFUSE, Reason.EMPTY_ANSWER),
        ("I don't know.", Action.ABSTAIN, Reason.MODEL_ABSTAINED),
        ("I don't know, but the dose is 50 mg.", Action.REFUSE, Reason.UNSUPPORTED_ANSWER),
        ("I don't know why, but the dose for adults is 5 mg.", Action.PASS, Reason.OK),
        ("It is not true that I don't know.", Action.REFUSE, Reason.UNSUPPORTED_ANSWER),
    ],
)
def test_an_answer_is_judged_by_its_claims(answer: str | None, action: Action, reason: Reason) -> None:
    found = verdict(answer)
    assert (found.action, found.reason) == (action, reason)


@pytest.mark.parametrize(
    "passages", [None, (), (Passage(id="empty", text=""),), (Passage(id="blank", text=" \n"),)]
)
@pytest.mark.parametrize("policy", ["refuse", "redact", "regenerate"])
def test_without_passages_no_claim_passes(passages: tuple[Passage, ...] | None, policy: str) -> None:
    found = verdict(GOOD, passages, policy=policy)
    assert (found.action, found.reason) == (Action.REFUSE, Reason.UNSUPPORTED_ANSWER)
    assert [(e.score, e.outcome) for e in found.evidence] == [(0.0, "unverifiable")]


def test_annotating_does_not_pass_what_nothing_was_found_for() -> None:
    assert verdict(GOOD, (), policy="annotate").action is Action.REFUSE


def test_an_abstention_needs_no_passages() -> None:
    assert verdict("I don't know.", None).reason is Reason.MODEL_ABSTAINED


def test_a_score_at_the_threshold_is_not_released() -> None:
    assert verdict(GOOD, aligner=Scored(0.5), threshold=0.5).action is Action.REFUSE
    assert verdict(GOOD, aligner=Scored(0.51), threshold=0.5).action is Action.PASS


@pytest.mark.parametrize("outcome", ["contradicted", "conflicting", "unverifiable"])
def test_a_high_score_does_not_outweigh_such_an_outcome(outcome: str) -> None:
    assert verdict(GOOD, aligner=Scored(0.99, outcome), threshold=0.5).action is Action.REFUSE


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.1, 1.1, None])
def test_a_score_that_is_none_is_an_error_without_the_text(score: float | None) -> None:
    with pytest.raises(GuardError) as caught:
        verdict(GOOD, aligner=Scored(score), threshold=0.5)
    assert "dose" not in str(caught.value)


def test_an_aligner_that_loses_a_claim_is_an_error() -> None:
    with pytest.raises(GuardError):
        verdict(GOOD, aligner=Scored(0.9, extra=-1), threshold=0.5)


def test_redaction_cuts_the_unsupported_sentence_and_keeps_the_rest() -> None:
    found = verdict(f"{GOOD} {BAD} The bridge opened in 1978.", policy="redact")
    assert found.action is Action.REVISE
    assert found.revised is not None
    assert found.revised.answer == f"{GOOD} The bridge opened in 1978."
    assert len(found.evidence) == 3


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (f"- {GOOD}\n- {BAD}\n- The bridge opened in 1978.", f"- {GOOD}\n- The bridge opened in 1978."),
        (f"{GOOD}\n\nHere is more:\n- {BAD}", GOOD),
        (f"{BAD}\n\n{GOOD}", GOOD),
        (f"- {BAD} {GOOD}", f"- {GOOD}"),
        (f"I don't know, but elephants are pink. {GOOD}", GOOD),
    ],
)
def test_what_redaction_leaves_reads_well_and_passes(answer: str, left: str) -> None:
    found = verdict(answer, policy="redact")
    assert found.revised is not None
    assert found.revised.answer == left
    assert verdict(left).action is Action.PASS


@pytest.mark.parametrize("answer", [BAD, f"Sure! {BAD}", f"I don't know. {BAD}"])
def test_redaction_that_leaves_nothing_factual_refuses(answer: str) -> None:
    found = verdict(answer, policy="redact")
    assert (found.action, found.revised) == (Action.REFUSE, None)


def test_annotation_passes_and_says_what_is_unsupported() -> None:
    found = verdict(f"{GOOD} {BAD}", policy="annotate")
    assert (found.action, found.reason) == (Action.PASS, Reason.UNSUPPORTED_ANSWER)
    (unsupported,) = found.details["unsupported"]
    assert f"{GOOD} {BAD}"[unsupported["start"] : unsupported["end"]] == BAD


def test_annotation_cites_what_supports_each_claim() -> None:
    answer = f"{GOOD} {BAD}"
    found = verdict(answer, policy="annotate").details["citations"]
    assert [answer[one["start"] : one["end"]] for one in found] == [GOOD, BAD]
    assert [one["marks"] for one in found] == [["1"], ["unsupported"]]
    assert [source["passage_id"] for source in found[0]["sources"]] == ["drug"]
    assert "citations" not in verdict(answer).details


def test_what_leans_on_a_redacted_claim_goes_with_it() -> None:
    aligner = Scored(0.9, failing="pink")
    answer = f"{GOOD} {BAD} They live in Africa. The bridge opened in 1978."
    found = verdict(answer, policy="redact", aligner=aligner, threshold=0.5)
    assert found.revised is not None
    assert found.revised.answer == f"{GOOD} The bridge opened in 1978."


def asked_again(answer: str = BAD, *, made: Any = None, attempts: int = 2) -> Report:
    metadata = {} if made is None else {ATTEMPT: made}
    guard = ConsistencyGuard(LexicalAligner(), policy="regenerate", attempts=attempts)
    turn = Turn(question="What is the dose?", passages=PASSAGES, answer=answer, metadata=metadata)
    return Pipeline([guard]).check(turn)


def test_regeneration_is_asked_for_as_data() -> None:
    answer = f"{GOOD} It takes 17 days."
    report = asked_again(answer)
    assert report.action is Action.REFUSE
    request = dict(report.request or {})
    assert (request["do"], request["attempt"], request["attempts"], request["claims"]) == (
        "regenerate",
        1,
        2,
        2,
    )
    (unsupported,) = request["unsupported"]
    assert answer[unsupported["start"] : unsupported["end"]] == "It takes 17 days."
    assert "passages" in request["feedback"]
    assert "17" not in str(request["feedback"])
    assert Report.model_validate_json(report.model_dump_json()).request == request


def test_a_caller_that_asks_as_often_as_told_ends_with_a_refusal() -> None:
    report, asked = asked_again(), 0
    while report.request is not None:
        asked = report.request["attempt"]
        report = asked_again(made=asked)
    assert (asked, report.action, report.request) == (2, Action.REFUSE, None)


@pytest.mark.parametrize("made", [2, 3, -1, "0", 0.5, True, float("nan"), [0]])
def test_what_is_no_count_below_the_limit_buys_no_attempt(made: Any) -> None:
    assert asked_again(made=made).request is None


def test_without_attempts_a_refusal_is_final() -> None:
    assert asked_again(attempts=0).request is None


@pytest.mark.parametrize("answer", ["", "Yes.", "It thins the blood."])
def test_whatever_stands_against_an_answer_has_words_for_the_generator(answer: str) -> None:
    request = asked_again(answer).request
    assert request is not None
    assert len(request["feedback"]) > 20


def test_an_answer_that_passes_asks_for_nothing() -> None:
    assert asked_again(GOOD).request is None


def test_warming_up_reaches_the_aligner() -> None:
    engine = WordEngine()
    ConsistencyGuard(AlignmentAligner(engine=engine)).warm_up()
    ConsistencyGuard(LexicalAligner()).warm_up()
    assert len(engine.calls) == 1


def test_the_aligner_decides_at_the_threshold_of_the_guard() -> None:
    aligner = AlignmentAligner(engine=WordEngine(lambda s, c: (1.0, -9.0)))
    (loose,) = verdict(GOOD, aligner=aligner).evidence
    (strict,) = verdict(GOOD, aligner=aligner, threshold=0.9).evidence
    assert (loose.outcome, strict.outcome) == ("supported", "not_found")


def test_details_hold_no_text_of_the_turn() -> None:
    assert "Elephants" not in str(dict(verdict(BAD).details))


@pytest.mark.parametrize(
    "settings",
    [
        {"policy": "shout"},
        {"threshold": 1.0},
        {"threshold": float("nan")},
        {"attempts": -1},
        {"attempts": 1.5},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError):
        ConsistencyGuard(**settings)


def test_an_aligner_without_a_default_needs_a_threshold() -> None:
    with pytest.raises(InvalidValueError, match="threshold"):
        ConsistencyGuard(Scored(0.5))


def test_the_asynchronous_check_runs_off_the_event_loop() -> None:
    aligner = Scored(0.9)
    guard = ConsistencyGuard(aligner, threshold=0.5)
    turn = Turn(question="q", passages=PASSAGES, answer=GOOD)
    found = asyncio.run(guard.acheck(turn, Stage.ANSWER))
    assert found.action is Action.PASS
    assert threading.get_ident() not in aligner.threads


def test_claims_keep_their_place_in_the_answer() -> None:
    answer = f"Hello! {BAD} I don't know, but it is 7."
    assert [e.claim for e in verdict(answer).evidence] == remaining_claims(answer)


# Several answers


def test_the_claims_of_several_answers_are_scored_together_and_judged_as_alone() -> None:
    engine = WordEngine()
    guard = ConsistencyGuard(AlignmentAligner(engine=engine), policy="redact")
    answers = [GOOD, BAD, "", "I don't know.", f"{GOOD} {BAD}", "Hello!", GOOD]
    turns = [Turn(question="What is the dose?", passages=PASSAGES, answer=a) for a in answers]
    turns.append(turns[0].replace(passages=()))
    alone = [guard.check(turn, Stage.ANSWER) for turn in turns]
    engine.calls.clear()
    assert guard.check_many is not None
    assert guard.check_many(turns, Stage.ANSWER) == alone
    assert len(engine.calls) == 1
    assert [r.action for r in Pipeline([guard]).check_many(turns)] == [v.action for v in alone]
    assert len(engine.calls) == 2


def test_an_aligner_of_one_answer_at_a_time_is_asked_as_before() -> None:
    guard = ConsistencyGuard(LexicalAligner())
    assert guard.check_many is None
    turns = [Turn(question="What is the dose?", passages=PASSAGES, answer=a) for a in (GOOD, BAD)]
    assert [r.released for r in Pipeline([guard]).check_many(turns)] == [True, False]
