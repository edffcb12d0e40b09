"""What becomes of an answer, and that nothing of the matched text leaves with the verdict."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ragguard.errors import CalibrationExpiredError, CalibrationMismatchError, InvalidValueError
from ragguard.pipeline import Pipeline
from ragguard.stream import StreamGate
from ragguard.testing import GuardContract, HashEmbedder
from ragguard.trace.calibrate import TraceCalibration, calibrate_trace
from ragguard.trace.opened import open_shield
from ragguard.trace.policy import PolicyClause, store_policy
from ragguard.trace.shield import TraceShield
from ragguard.trace.tracer import Tracer
from ragguard.types import Action, Reason, Stage, Turn, Verdict
from tests.trace.shelf import CANARY, SECRET, Says, index_of

GOOD = "Our shop is open every day."
BAD = f"{GOOD} {SECRET} Come by soon."
BENIGN = [f"Order {n} is on its way to you." for n in range(20)]
CLAUSE = PolicyClause("no-dogs", "Dogs may not enter the shop.")


@pytest.fixture
def tracer(tmp_path: Path) -> Tracer:
    return Tracer(index_of(tmp_path))


def judged(shield: TraceShield, answer: str, stage: Stage = Stage.ANSWER) -> Verdict:
    return shield.check(Turn(question="How so?", answer=answer), stage)


def calibrated(tracer: Tracer, **options: Any) -> TraceCalibration:
    return calibrate_trace(tracer, BENIGN, max_false_refusal=0.05, **options)


# --- the verdict -------------------------------------------------------------------------


def test_a_benign_answer_passes(tracer: Tracer) -> None:
    verdict = judged(TraceShield(tracer), GOOD)
    assert (verdict.action, verdict.reason, verdict.score) == (Action.PASS, Reason.OK, 0.0)
    assert judged(TraceShield(tracer), "").action is Action.PASS


def test_denied_text_is_refused_with_both_factors_and_all_places(tracer: Tracer) -> None:
    verdict = judged(TraceShield(tracer), BAD)
    assert (verdict.action, verdict.reason) == (Action.REFUSE, Reason.TRACED_SOURCE)
    (span,) = verdict.details["spans"]
    assert BAD[span["start"] : span["end"]] == SECRET.rstrip(".")
    assert span["specificity"] > 30
    assert span["conflict"] == 1.0
    assert (span["kind"], span["label"], span["count"], span["clause"]) == ("verbatim", "deny", 1, None)
    assert span["sources"] == [{"document": "deny-0", "start": 0, "end": len(SECRET) - 1}]
    (evidence,) = verdict.evidence
    assert evidence.passage_id == "deny-0"
    assert evidence.failing is not None
    assert BAD[evidence.failing.start : evidence.failing.end] == SECRET.rstrip(".")


def test_a_conflict_with_a_clause_names_it(tmp_path: Path) -> None:
    tracer = Tracer(
        index_of(tmp_path),
        embedder=HashEmbedder(dimension=256),
        aligner=Says({"may enter": "contradicted"}),
        policy=(CLAUSE,),
    )
    verdict = judged(TraceShield(tracer), "Dogs may enter the shop and the garden behind it.")
    assert (verdict.action, verdict.reason) == (Action.REFUSE, Reason.POLICY_CONFLICT)
    assert verdict.details["spans"][0]["clause"] == "no-dogs"
    assert verdict.evidence[0].passage_id == "no-dogs"


def test_redacting_drops_the_sentence_and_says_where_it_stood(tracer: Tracer) -> None:
    verdict = judged(TraceShield(tracer, policy="redact"), BAD)
    assert verdict.action is Action.REVISE
    assert verdict.revised is not None
    assert verdict.revised.answer == f"{GOOD} Come by soon."
    (removed,) = verdict.details["removed"]
    assert BAD[removed["start"] : removed["end"]] == f"{SECRET} "


def test_redacting_refuses_where_nothing_remains(tracer: Tracer) -> None:
    assert judged(TraceShield(tracer, policy="redact"), SECRET).action is Action.REFUSE


def test_redacting_refuses_where_the_rest_is_denied_as_well(tmp_path: Path) -> None:
    deny = ("One two three four five six seven.", "Red green blue black white grey pink.")
    shield = TraceShield(Tracer(index_of(tmp_path, deny=deny)), policy="redact")
    answer = "Red green blue black. One two three four five six seven. White grey pink."
    assert judged(shield, answer).action is Action.REFUSE


def test_a_question_is_judged_where_asked_for_and_always_refused(tracer: Tracer) -> None:
    shield = TraceShield(tracer, stages=("question",), policy="redact")
    assert shield.stages == {Stage.QUESTION}
    assert shield.check(Turn(question=BAD), Stage.QUESTION).action is Action.REFUSE
    assert shield.check(Turn(question=GOOD, answer=BAD), Stage.QUESTION).action is Action.PASS
    assert TraceShield(tracer, stages=["question", "answer"]).stages == set(Stage) - {Stage.PASSAGES}


@pytest.mark.parametrize(
    "options",
    [
        {"policy": "annotate"},
        {"stages": ()},
        {"stages": ("passages",)},
        {"stages": ("stream",)},
        {"threshold": 1.0},
        {"threshold": float("nan")},
        {"on_expired": "pass"},
    ],
)
def test_options_that_cannot_be_used_are_refused(tracer: Tracer, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError):
        TraceShield(tracer, **options)


# --- calibration -------------------------------------------------------------------------


def test_without_calibration_every_verdict_says_so(tracer: Tracer) -> None:
    for answer in (GOOD, BAD):
        verdict = judged(TraceShield(tracer), answer)
        assert verdict.uncalibrated
        assert verdict.threshold == 0.5
        assert "no calibration" in verdict.details["calibration"]
    assert judged(TraceShield(tracer, threshold=0.99), BAD).action is Action.PASS


def test_with_calibration_the_verdict_names_it_and_its_p_value(tracer: Tracer) -> None:
    calibration = calibrated(tracer)
    verdict = judged(TraceShield(tracer, calibration=calibration), BAD)
    assert verdict.action is Action.REFUSE
    assert not verdict.uncalibrated
    assert verdict.details["p_value"] == pytest.approx(1 / 21)
    assert verdict.details["calibration"] == calibration.statement.id
    assert judged(TraceShield(tracer, calibration=calibration), GOOD).details["p_value"] == 1.0


def test_a_calibration_of_another_index_or_setting_is_refused(tracer: Tracer, tmp_path: Path) -> None:
    calibration = calibrated(tracer)
    for other in (Tracer(tracer.index, least=5), Tracer(index_of(tmp_path / "other", deny=(GOOD,)))):
        with pytest.raises(CalibrationMismatchError):
            TraceShield(other, calibration=calibration)
    with pytest.raises(InvalidValueError):
        TraceShield(tracer, calibration=calibration, threshold=0.5)


def test_past_its_expiry_a_calibration_is_none_or_an_error(tracer: Tracer) -> None:
    old = calibrated(tracer, now=lambda: datetime(2020, 1, 1, tzinfo=UTC))
    verdict = judged(TraceShield(tracer, calibration=old), BAD)
    assert verdict.action is Action.REFUSE
    assert verdict.uncalibrated
    assert verdict.details["calibration_void"] == "expired"
    with pytest.raises(CalibrationExpiredError):
        judged(TraceShield(tracer, calibration=old, on_expired="error"), BAD)


def test_a_calibration_on_answers_promises_nothing_about_questions(tracer: Tracer) -> None:
    shield = TraceShield(tracer, calibration=calibrated(tracer), stages=("question", "answer"))
    assert shield.check(Turn(question=GOOD), Stage.QUESTION).uncalibrated
    about = calibrated(tracer, subject="question")
    shield = TraceShield(tracer, calibration=about, stages=("question",))
    assert not shield.check(Turn(question=GOOD), Stage.QUESTION).uncalibrated


def test_a_folder_opens_with_its_clauses_and_calibration(tmp_path: Path) -> None:
    index = index_of(tmp_path)
    assert judged(open_shield(tmp_path, embedder=None), BAD).uncalibrated
    calibrated(Tracer(index)).save(tmp_path)
    shield = open_shield(tmp_path, embedder=None, policy="redact", name="mine")
    assert not judged(shield, BAD).uncalibrated
    assert (shield.name, judged(shield, BAD).action) == ("mine", Action.REVISE)
    assert judged(open_shield(tmp_path, embedder=None, threshold=0.2), BAD).uncalibrated
    store_policy(tmp_path, [CLAUSE])
    with pytest.raises(CalibrationMismatchError):
        open_shield(tmp_path, embedder=HashEmbedder(), aligner=Says())


# --- no leak -----------------------------------------------------------------------------


class Failing(Says):
    """Fails at a claim, as a model may, and quotes it."""

    def align(self, claims: Sequence[Any], passages: Sequence[Any], /, *, question: str = "") -> Any:
        raise ValueError(f"cannot read {claims[0].text}")


@pytest.mark.parametrize("policy", ["refuse", "redact"])
@pytest.mark.parametrize("aligner", [Says(), Failing()])
def test_the_matched_text_is_nowhere_in_message_log_error_or_verdict(
    tmp_path: Path, policy: Any, aligner: Says, caplog: pytest.LogCaptureFixture
) -> None:
    secret = f"The {CANARY} opens with the code nine four seven when the blue lamp is lit."
    index = index_of(tmp_path, deny=(secret,), policy=(f"{CANARY} is never named.",))
    tracer = Tracer(
        index,
        embedder=HashEmbedder(dimension=256),
        aligner=aligner,
        policy=(PolicyClause("quiet", f"The {CANARY} is never named to anybody."),),
    )
    pipeline = Pipeline(
        [TraceShield(tracer, policy=policy, stages=("question", "answer"))],
        messages={"traced_source": "Ask the desk.", "refuse": "Not now."},
    )
    turns = [Turn(question="How?", answer=f"{GOOD} {secret} {GOOD}"), Turn(question=secret)]
    with caplog.at_level(logging.DEBUG):
        for turn in turns:
            report = pipeline.check(turn)
            assert report.action in (Action.REFUSE, Action.REVISE)
            shown = [
                str(report.text),
                repr(report.verdicts),
                json.dumps(report.model_dump(mode="json")["verdicts"]),
            ]
            assert not any(CANARY in part for part in shown)
            if report.action is Action.REFUSE:
                assert report.text in ("Ask the desk.", "Not now.")
        gate = StreamGate(pipeline, turns[0].replace(answer=None))
        gate.push(turns[0].answer or "")
        gate.finish()
        assert CANARY not in gate.released
    assert CANARY not in caplog.text


class TestTraceShield(GuardContract):
    @pytest.fixture(params=["refuse", "redact"])
    def guard(self, request: pytest.FixtureRequest, tmp_path: Path) -> TraceShield:
        tracer = Tracer(
            index_of(tmp_path), embedder=HashEmbedder(dimension=64), aligner=Says(), policy=(CLAUSE,)
        )
        return TraceShield(tracer, policy=request.param, stages=("question", "answer"))

    @pytest.fixture
    def turns(self) -> list[Turn]:
        return [Turn(question="How?", answer=text) for text in (GOOD, BAD, SECRET)]
