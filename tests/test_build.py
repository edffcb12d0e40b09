"""From settings to a pipeline: which guards, and in which order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ragguard.build import build_generator, build_pipeline
from ragguard.config import GuardSettings, Settings
from ragguard.conformal.calibrate import Provided, calibrate
from ragguard.conformal.calibrate import Settings as Promise
from ragguard.conformal.calibration import Calibration
from ragguard.conformal.observations import observe
from ragguard.errors import UnknownNameError
from ragguard.models.generators import ExtractiveGenerator
from ragguard.pipeline import Step
from ragguard.testing import ScriptedGuard
from ragguard.types import Mode, OnError, Stage

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
