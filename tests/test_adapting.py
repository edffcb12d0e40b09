"""What the adapters share: the guard that judges, the policy it is under, the path before its cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.adapting import (
    Policy,
    StreamMode,
    UnattendedPolicy,
    as_pipeline,
    cutting,
    require_mode,
    require_path,
    require_policy,
    under_policy,
    with_steps,
)
from ragguard.alignment.guard import ATTEMPT, ConsistencyGuard
from ragguard.alignment.lexical import LexicalAligner
from ragguard.errors import CalibrationMismatchError, ConfigurationError, InvalidValueError
from ragguard.guard import Guard
from ragguard.pipeline import Pipeline, Step
from ragguard.testing import ScriptedGuard
from ragguard.types import Mode, OnError, Passage, Report, Stage, Turn, Verdict

POLICIES = get_args(Policy)
TRUE = "The tower is 40 metres high."
FALSE = "Bananas are purple on the outside."
PASSAGES = (Passage(id="a", text=TRUE),)
QUESTIONS = [{"id": str(n), "question": f"question {n}", "relevant": ["a"]} for n in range(40)]


def by_words(**options: Any) -> ConsistencyGuard:
    return ConsistencyGuard(LexicalAligner(), **options)


class Heard:
    def __init__(self) -> None:
        self.verdicts: list[str] = []

    def on_verdict(self, turn: Turn, verdict: Verdict) -> None:
        self.verdicts.append(verdict.guard)

    def on_report(self, report: Report) -> None:
        """Nothing is noted."""


class Named:
    """A retriever that says what it is."""

    def __init__(self, name: str = "store") -> None:
        self.name = name

    def __call__(self, question: str) -> list[Passage]:
        return [Passage(id="a", text=TRUE, score=0.9), Passage(id="b", text=FALSE, score=0.1)]

    def fingerprint(self) -> dict[str, Any]:
        return {"store": self.name}


class Reading(ScriptedGuard):
    """Judges passages, and says what it is."""

    def fingerprint(self) -> dict[str, Any]:
        return {"reads": self.name}


def calibrated(**options: Any) -> Guard:
    return Guard.calibrate(
        Named(), QUESTIONS, **{"alpha": 0.2, "guards": (), "novelty_level": None, **options}
    )


def asked(pipeline: Pipeline, answer: str = FALSE, **metadata: Any) -> Report:
    return pipeline.check(Turn(question="How high?", passages=PASSAGES, answer=answer, metadata=metadata))


# One pipeline


def test_a_guard_a_pipeline_and_guards_in_a_list_become_a_pipeline() -> None:
    guard, judge = Guard(None, guards=[by_words()]), by_words()
    pipeline = Pipeline([judge])
    assert as_pipeline(guard) is guard.pipeline
    assert as_pipeline(pipeline) is pipeline
    for given_ in (judge, [judge], (Step(judge),)):
        assert [step.guard for step in as_pipeline(given_).steps] == [judge]


@pytest.mark.parametrize("wrong", ["consistency", None, 3, ["consistency"], [by_words(), None]])
def test_anything_else_is_no_guard(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="neither a Guard, a Pipeline nor guards"):
        as_pipeline(wrong)


@pytest.mark.parametrize(
    ("guards", "stages", "judged"),
    [
        ([], (), "answers"),
        ([Step(by_words(), mode=Mode.OFF)], (), "answers"),
        ([by_words()], (Stage.PASSAGES,), "passages"),
        ([ScriptedGuard(Stage.PASSAGES)], (Stage.ANSWER, Stage.QUESTION), "answers or questions"),
    ],
)
def test_guards_that_would_judge_nothing_are_refused(guards: Any, stages: Any, judged: str) -> None:
    with pytest.raises(ConfigurationError, match=f"no guard judges {judged}"):
        as_pipeline(guards, *stages)


def test_one_of_the_stages_is_enough() -> None:
    assert as_pipeline([ScriptedGuard(Stage.QUESTION)], Stage.ANSWER, Stage.QUESTION).steps
    assert as_pipeline([Step(by_words(), mode=Mode.SHADOW)]).steps


# Policies


def test_without_a_policy_the_pipeline_stays_itself() -> None:
    pipeline = Pipeline([by_words(policy="redact")])
    assert under_policy(pipeline, None, attempts=5) is pipeline


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_is_set_in_copies_and_everything_else_is_kept(policy: Any) -> None:
    heard, other = Heard(), ScriptedGuard(Stage.ANSWER, name="other")
    own = by_words(policy="redact", attempts=4, name="words")
    given_ = Pipeline(
        [Step(own, mode=Mode.SHADOW, on_error=OnError.ABSTAIN), other],
        deadline=9.0,
        observers=[heard],
        messages={"refuse": "No."},
    )
    made = under_policy(given_, policy)
    assert own.policy == "redact"
    assert given_.steps[0].guard is own
    changed = made.steps[0]
    assert isinstance(changed.guard, ConsistencyGuard)
    assert (changed.guard.name, changed.guard.attempts, changed.guard.aligner) == ("words", 4, own.aligner)
    assert changed.guard.policy == (policy if policy in ("redact", "annotate", "regenerate") else "refuse")
    assert (changed.mode, changed.on_error) == (Mode.SHADOW, OnError.ABSTAIN)
    assert made.steps[1].guard is other
    assert (made.deadline, made.observers, made.messages) == (9.0, (heard,), {"refuse": "No."})


def test_a_guard_made_from_the_consistency_guard_stays_what_it_is() -> None:
    class Mine(ConsistencyGuard):
        own = "kept"

    (step,) = under_policy(Pipeline([Mine(LexicalAligner())]), "annotate").steps
    assert isinstance(step.guard, Mine)
    assert (step.guard.own, step.guard.policy) == ("kept", "annotate")


def test_each_policy_does_what_it_says() -> None:
    said = f"{TRUE} {FALSE}"
    reports = {policy: asked(under_policy(Pipeline([by_words()]), policy), said) for policy in POLICIES}
    assert {policy: report.released for policy, report in reports.items()} == {
        "refuse": False,
        "redact": True,
        "annotate": True,
        "regenerate": False,
        "interrupt": False,
        "raise": False,
    }
    assert reports["redact"].text == TRUE
    assert reports["annotate"].text == said
    assert (reports["regenerate"].request or {})["do"] == "regenerate"
    assert all(reports[policy].request is None for policy in ("refuse", "interrupt", "raise"))


@pytest.mark.parametrize(("attempts", "asks"), [(None, True), (1, False), (3, True)])
def test_how_often_an_answer_is_asked_for_anew_can_be_said(attempts: int | None, *, asks: bool) -> None:
    pipeline = under_policy(Pipeline([by_words(attempts=2)]), "regenerate", attempts=attempts)
    request = asked(pipeline, **{ATTEMPT: 1}).request or {}
    assert (request.get("do") == "regenerate") is asks


@pytest.mark.parametrize("guards", [[ScriptedGuard(Stage.ANSWER)], [Step(by_words(), mode=Mode.OFF)]])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_about_claims_needs_a_guard_at_work_that_finds_them(policy: Any, guards: Any) -> None:
    if policy in ("redact", "annotate", "regenerate"):
        with pytest.raises(ConfigurationError, match=f"no guard here knows the policy '{policy}'"):
            under_policy(Pipeline(guards), policy)
    else:
        assert len(under_policy(Pipeline(guards), policy).steps) == 1


@given(st.text().filter(lambda text: text not in POLICIES))
def test_an_unknown_policy_says_which_there_are(policy: str) -> None:
    for require in (require_policy, lambda p: under_policy(Pipeline([by_words()]), p)):
        with pytest.raises(
            InvalidValueError, match="one of refuse, redact, annotate, regenerate, interrupt, r"
        ):
            require(policy)


def test_a_framework_that_cannot_wait_says_so() -> None:
    for policy in (None, *get_args(UnattendedPolicy)):
        require_policy(policy, UnattendedPolicy)
    with pytest.raises(InvalidValueError, match="one of refuse, redact, annotate, regenerate, raise"):
        require_policy("interrupt", UnattendedPolicy)


@pytest.mark.parametrize("mode", get_args(StreamMode))
@pytest.mark.parametrize("policy", [None, *POLICIES])
def test_a_policy_that_needs_the_whole_answer_does_not_go_with_sentences(mode: str, policy: Any) -> None:
    if mode == "sentence" and policy in ("regenerate", "interrupt"):
        with pytest.raises(ConfigurationError, match="needs the whole answer"):
            require_mode(mode, policy)
    else:
        require_mode(mode, policy)


def test_an_unknown_mode_says_which_there_are() -> None:
    with pytest.raises(InvalidValueError, match="mode must be one of withhold, sentence"):
        require_mode("tokens")


def test_other_steps_keep_the_settings_around_them() -> None:
    heard = Heard()
    given_ = Pipeline([by_words()], deadline=9.0, observers=[heard], messages={"refuse": "No."})
    made = with_steps(given_, [Step(ScriptedGuard(Stage.ANSWER))])
    asked(made)
    assert heard.verdicts == ["scripted"]
    assert (made.deadline, made.messages) == (9.0, {"refuse": "No."})


# What is before the cut


def test_a_cut_is_found_in_a_guard_a_calibration_and_a_folder(tmp_path: Path) -> None:
    guard = calibrated()
    guard.save(tmp_path)
    assert guard.calibration is not None
    for given_ in (guard, guard.calibration, tmp_path, str(tmp_path)):
        found, calibration, name = cutting(given_, guards=())
        assert (found is guard) is (given_ is guard)
        assert calibration.artifact.id == guard.calibration.artifact.id
        assert name == "conformal_retrieval"


def test_a_guard_that_does_not_cut_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no calibration"):
        cutting(Guard(None, guards=[by_words()]))


def test_the_path_is_compared_and_what_the_guard_has_compared_is_not_asked_for_again() -> None:
    reads = Reading(Stage.PASSAGES, name="reads")
    calibration = cutting(calibrated(guards=[reads]))[1]
    live = calibration.artifact.fingerprints["retriever"]
    assert "upstream" in calibration.artifact.fingerprints
    same = {k: v for k, v in calibration.artifact.fingerprints.items() if k not in ("upstream", "rewriter")}
    require_path(calibration, same)
    with pytest.raises(CalibrationMismatchError, match=r"retriever\.store"):
        require_path(calibration, {**same, "retriever": {**live, "store": "another"}})
    with pytest.raises(CalibrationMismatchError, match="rewriter"):
        require_path(calibration, {**same, "rewriter": "mine"})
