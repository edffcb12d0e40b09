"""From settings to a pipeline: which guards, and in which order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragguard.build import build_generator, build_pipeline, passage_steps
from ragguard.config import GuardSettings, Settings
from ragguard.conformal.calibrate import Provided, calibrate
from ragguard.conformal.calibrate import Settings as Promise
from ragguard.conformal.calibration import Calibration
from ragguard.conformal.observations import observe
from ragguard.errors import UnknownNameError
from ragguard.models.generators import ExtractiveGenerator
from ragguard.pipeline import Step
from ragguard.testing import ScriptedGuard
from ragguard.trace.documents import TraceDocument
from ragguard.trace.index import TraceIndex
from ragguard.trace.policy import PolicyClause, policy_documents, store_policy
from ragguard.trace.shield import TraceShield
from ragguard.types import Action, Mode, OnError, Reason, Stage, Turn

CUT = "conformal_retrieval"


def calibration(*upstream: str) -> Calibration:
    rng = np.random.default_rng(0)
    observations = [observe(f"q{i}", ["a"], [float(rng.random())], ["a"]) for i in range(20)]
    return calibrate(observations, Promise(score="cosine"), provided=Provided(upstream=upstream))


def order(**given: Any) -> list[str]:
    given = {"settings": Settings(), "calibration": calibration(), **given}
    return [
        s.guard.name for s in build_pipeline(given.pop("settings"), given.pop("calibration"), **given).steps
    ]


def test_by_default_the_cut_comes_before_the_answer_gate() -> None:
    assert order() == [CUT, "consistency"]
    assert order(calibration=None) == ["consistency"]


def test_guards_of_questions_and_upstream_ones_come_before_the_cut_in_their_order() -> None:
    guards = [
        ScriptedGuard(Stage.ANSWER, name="answers"),
        ScriptedGuard(Stage.PASSAGES, name="outside"),
        ScriptedGuard(Stage.PASSAGES, name="upstream"),
        ScriptedGuard(Stage.QUESTION, name="questions"),
    ]
    assert order(guards=guards, calibration=calibration("upstream")) == [
        "upstream", "questions", CUT, "answers", "outside",
    ]  # fmt: skip


def test_each_guard_has_its_own_mode_and_failure_policy() -> None:
    settings = Settings(
        retrieval=GuardSettings(use=CUT, mode=Mode.SHADOW, on_error=OnError.ABSTAIN),
        guards=(
            GuardSettings(use="consistency", mode=Mode.OFF, on_error=OnError.PASS, options={"name": "c"}),
        ),
        deadline=3,
        messages={"refuse": "No."},
    )
    pipeline = build_pipeline(settings, calibration())
    assert [(s.guard.name, s.mode, s.on_error) for s in pipeline.steps] == [
        (CUT, Mode.SHADOW, OnError.ABSTAIN),
        ("c", Mode.OFF, OnError.PASS),
    ]
    assert (pipeline.deadline, pipeline.messages) == (3, {"refuse": "No."})


def test_a_step_given_is_kept_as_it_is() -> None:
    step = Step(ScriptedGuard(Stage.ANSWER), mode=Mode.SHADOW)
    assert build_pipeline(Settings(), None, guards=[step]).steps == (step,)


def test_a_generator_is_made_by_name_with_its_options() -> None:
    made = build_generator(Settings(generator="extractive", generator_options={"max_sentences": 3}))
    assert isinstance(made, ExtractiveGenerator)
    assert made.max_sentences == 3
    assert build_generator(Settings()) is None


def test_an_unknown_guard_or_generator_is_named() -> None:
    with pytest.raises(UnknownNameError, match="'shrug'"):
        build_pipeline(Settings(guards=(GuardSettings(use="shrug"),)), None)
    with pytest.raises(UnknownNameError, match="'shrug'"):
        build_generator(Settings(generator="shrug"))


def trace_index(folder: Path) -> Path:
    secret = TraceDocument("secret", "The spare key lies under the third grey stone behind the well.")
    clauses = [PolicyClause("no-keys", "Keys are never lent.")]
    TraceIndex.build(folder, deny=[secret], policy=policy_documents(clauses))
    store_policy(folder, clauses)
    return folder


def test_a_trace_shield_is_made_from_settings_and_given_the_aligner(tmp_path: Path) -> None:
    options = {"index": str(trace_index(tmp_path / "i")), "stages": ["question", "answer"]}
    settings = Settings(
        guards=(GuardSettings(use="trace", options=options), GuardSettings(use="consistency"))
    )
    pipeline = build_pipeline(settings, None)
    shield = pipeline.steps[0].guard
    assert isinstance(shield, TraceShield)
    assert shield.tracer.aligner is not None
    assert [clause.id for clause in shield.tracer.policy] == ["no-keys"]
    assert shield.stages == {Stage.QUESTION, Stage.ANSWER, Stage.STREAM}


def test_without_models_a_trace_shield_refuses_verbatim_text(tmp_path: Path) -> None:
    options = {"index": str(trace_index(tmp_path / "i")), "embedder": None, "aligner": None}
    (tmp_path / "i" / "policy.json").unlink()
    pipeline = build_pipeline(Settings(guards=(GuardSettings(use="trace", options=options),)), None)
    said = Turn(
        question="Where?", answer="Look: the SPARE key lies under the third grey stone behind the well."
    )
    assert pipeline.check(said).reason is Reason.TRACED_SOURCE
    assert pipeline.check(said.replace(answer="I do not know.")).action is Action.PASS


def test_guards_of_passages_are_those_a_cut_is_calibrated_behind() -> None:
    shadow = GuardSettings(use="passages", mode=Mode.SHADOW, options={"embedder": None, "name": "other"})
    settings = Settings(
        guards=(
            GuardSettings(use="passages", options={"embedder": None}),
            GuardSettings(use="consistency"),
            GuardSettings(use="leave_one_out", options={"aligner": "lexical"}),
            shadow,
        )
    )
    steps = passage_steps(settings)
    assert [(step.guard.name, step.mode) for step in steps] == [
        ("passage_shield", Mode.ENFORCE),
        ("other", Mode.SHADOW),
    ]
    assert order(settings=settings, calibration=calibration("passage_shield"))[:2] == ["passage_shield", CUT]
