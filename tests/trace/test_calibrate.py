"""The conformal test: its exact law, its ties, its files."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.conformal.artifact import FILE_NAME as OTHER_FILE
from ragguard.errors import (
    ArtifactCorruptedError,
    CalibrationExpiredError,
    CalibrationMismatchError,
    InvalidValueError,
    NoValidThresholdError,
    TooFewAnswersError,
)
from ragguard.trace.calibrate import (
    FILE_NAME,
    TraceCalibration,
    TraceStatement,
    calibrate_trace,
    needed_answers,
)
from tests.conformal.populations import artifact as other_artifact

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Written:
    """Scores texts by the numbers they are: "0.5" or "0.5 0.1" for the kinds verbatim and semantic."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def scores(self, texts: Sequence[str], /) -> list[dict[str, float]]:
        return [dict(zip(("verbatim", "semantic"), map(float, text.split()), strict=False)) for text in texts]

    def fingerprint(self) -> dict[str, Any]:
        return {"tracer": self.settings}


def calibrated(values: Sequence[float], eps: float, **options: Any) -> TraceCalibration:
    texts = [str(value) for value in values]
    return calibrate_trace(Written(), texts, max_false_refusal=eps, now=lambda: NOW, **options)


# --- the law -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "eps"), [(4, "1/5"), (5, "1/5"), (9, "1/5"), (6, "2/7"), (3, "1/2"), (5, "3/10")]
)
def test_a_benign_answer_is_refused_with_the_exact_probability(n: int, eps: str) -> None:
    level = Fraction(eps)
    refused = 0
    # Every one of n + 1 exchangeable scores is as likely as any other to be the one judged.
    for judged in range(n + 1):
        benign = [float(v) for v in range(n + 1) if v != judged]
        refused += calibrated(benign, float(level)).decide({"verbatim": float(judged)}).refused
    assert Fraction(refused, n + 1) == Fraction(math.floor(level * (n + 1)), n + 1)


@pytest.mark.parametrize("values", list(itertools.combinations_with_replacement(range(3), 5)))
def test_with_ties_it_is_refused_less_often_still(values: tuple[int, ...]) -> None:
    eps = 0.4
    refused = sum(
        calibrated([float(v) for m, v in enumerate(values) if m != n], eps)
        .decide({"verbatim": float(values[n])})
        .refused
        for n in range(5)
    )
    assert refused <= math.floor(eps * 5)


@given(
    st.lists(st.integers(0, 8).map(lambda v: v / 8), min_size=9, max_size=40),
    st.integers(0, 9).map(lambda v: v / 8),
    st.sampled_from([0.1, 0.2, 0.25]),
)
def test_it_is_refused_exactly_when_its_p_value_is_small_enough(
    benign: list[float], score: float, eps: float
) -> None:
    decision = calibrated(benign, eps).decide({"verbatim": score})
    p = (1 + sum(b >= score for b in benign)) / (len(benign) + 1)
    assert decision.p_value == pytest.approx(p)
    assert decision.refused == (p <= eps + 1e-12)
    assert decision.refused == (score > decision.threshold)


def test_benign_answers_without_any_belief_never_make_one_of_them_refused() -> None:
    assert not calibrated([0.0] * 99, 0.01).decide({"verbatim": 0.0}).refused


def test_bonferroni_shares_the_rate_among_the_kinds() -> None:
    texts = [f"{i / 40} {1 - i / 40}" for i in range(40)]
    calibration = calibrate_trace(Written(), texts, max_false_refusal=0.2, split="bonferroni")
    assert set(calibration.statement.thresholds) == {"verbatim", "semantic"}
    refused = [
        calibration.decide(dict(zip(("verbatim", "semantic"), map(float, t.split()), strict=True)))
        for t in texts
    ]
    assert 0 < sum(d.refused for d in refused) / 40 <= 0.2
    assert calibration.refuses("semantic", 1.0)
    assert calibration.decide({"semantic": 2.0}).kinds == ("semantic",)
    assert calibration.decide({"semantic": 2.0}).p_value == pytest.approx(2 / 41)


# --- how many ----------------------------------------------------------------------------


@pytest.mark.parametrize(("eps", "needed"), [(0.01, 99), (0.02, 49), (0.1, 9), (0.3, 3), (0.5, 1), (0.9, 1)])
def test_the_rate_says_how_many_answers_it_needs(eps: float, needed: int) -> None:
    assert needed_answers(eps) == needed
    assert calibrated([i / needed for i in range(needed)], eps).statement.n == needed
    if needed > 1:
        with pytest.raises(TooFewAnswersError, match=str(needed)) as caught:
            calibrated([0.1] * (needed - 1), eps)
        assert caught.value.exit_code == 4
        assert caught.value.details["needed"] == needed
        assert isinstance(caught.value, NoValidThresholdError)


def test_bonferroni_needs_as_many_times_the_answers() -> None:
    with pytest.raises(TooFewAnswersError, match="19"):
        calibrate_trace(Written(), ["0.1 0.2"] * 18, max_false_refusal=0.1, split="bonferroni")


def test_no_answers_are_too_few() -> None:
    with pytest.raises(TooFewAnswersError):
        calibrated([], 0.9)


@pytest.mark.parametrize("eps", [0.0, 1.0, -0.1, float("nan")])
def test_a_rate_out_of_range_is_refused(eps: float) -> None:
    with pytest.raises(InvalidValueError, match="max_false_refusal"):
        calibrated([0.1] * 9, eps)


def test_settings_out_of_range_are_refused() -> None:
    for options in ({"split": "some"}, {"valid_days": 0}, {"valid_days": float("nan")}):
        with pytest.raises(InvalidValueError):
            calibrated([0.1] * 9, 0.1, **options)


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_score_that_is_no_number_is_refused(value: str) -> None:
    with pytest.raises(InvalidValueError):
        calibrate_trace(Written(), [value] * 9, max_false_refusal=0.1)


# --- files -------------------------------------------------------------------------------


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    calibration = calibrated([i / 30 for i in range(30)], 0.1)
    calibration.save(tmp_path)
    loaded = TraceCalibration.load(tmp_path)
    assert loaded.statement == calibration.statement
    for score in np.linspace(0, 1.1, 40):
        assert loaded.decide({"verbatim": score}) == calibration.decide({"verbatim": score})


def test_a_corrupted_file_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactCorruptedError):
        TraceCalibration.load(tmp_path)
    path = calibrated([0.1] * 9, 0.1).save(tmp_path)
    good = path.read_bytes()
    for damaged in (good[:-20], good.replace(b"0.1", b"0.2"), b"{}"):
        path.write_bytes(damaged)
        with pytest.raises(ArtifactCorruptedError):
            TraceCalibration.load(tmp_path)


def test_a_calibration_of_another_kind_is_foreign(tmp_path: Path) -> None:
    from ragguard.conformal.artifact import save_artifact

    save_artifact(other_artifact(), {"tops": np.zeros(3)}, tmp_path)
    (tmp_path / OTHER_FILE).rename(tmp_path / FILE_NAME)
    with pytest.raises(ArtifactCorruptedError, match=r"ragguard\.trace"):
        TraceCalibration.load(tmp_path)


@pytest.mark.parametrize(
    "scores",
    [{}, {"all": np.zeros(3)}, {"all": np.full(9, np.nan)}, {"some": np.zeros(9)}, {"all": np.zeros(9)}],
)
def test_scores_that_do_not_fit_the_statement_are_refused(scores: dict[str, Any]) -> None:
    statement = calibrated([0.1] * 9, 0.1).statement
    with pytest.raises(ArtifactCorruptedError):
        TraceCalibration(statement, scores)


def test_other_settings_than_those_calibrated_are_named() -> None:
    calibration = calibrate_trace(Written(least=6), ["0.1"] * 9, max_false_refusal=0.1)
    calibration.verify(Written(least=6))
    with pytest.raises(CalibrationMismatchError, match=r"tracer\.least was 6, is 7"):
        calibration.verify(Written(least=7))


def test_it_expires() -> None:
    calibration = calibrated([0.1] * 9, 0.1, valid_days=2)
    calibration.require_valid(NOW + timedelta(days=1))
    with pytest.raises(CalibrationExpiredError):
        calibration.require_valid(NOW + timedelta(days=2))


def test_the_statement_is_plain_json() -> None:
    statement = calibrated([0.1] * 9, 0.1).statement
    assert TraceStatement.model_validate(json.loads(statement.model_dump_json())) == statement
