from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard._version import __version__
from ragguard.conformal.calibrate import Provided, Settings, calibrate
from ragguard.conformal.observations import Observation
from ragguard.conformal.scores import SCORES, make_score
from ragguard.conformal.thresholds import find_threshold
from ragguard.errors import (
    ConfigurationError,
    InvalidValueError,
    NoValidThresholdError,
    RagGuardError,
    TargetUnattainableError,
    TooFewQuestionsError,
    UnknownNameError,
)
from tests.conformal.populations import MISS, at_distances, examples, observed, searched


def test_the_threshold_is_the_one_found_on_the_answerable_questions() -> None:
    answerable = at_distances(np.random.default_rng(0).random(40))
    unanswerable = [Observation(f"u{i}", np.array([0.9]), ()) for i in range(7)]
    made = calibrate([*unanswerable, *answerable], Settings(score="cosine"))
    assert made.threshold("") == find_threshold(answerable, make_score("cosine"), alpha=0.1).value
    assert (made.artifact.n, made.artifact.n_unanswerable) == (40, 7)


def test_misses_count_in_n() -> None:
    made = calibrate(at_distances([*np.linspace(0, 1, 57), *[np.inf] * 3]), Settings(score="cosine"))
    entry = made.artifact.categories[""]
    assert (made.artifact.n, entry.n, entry.unreachable) == (60, 60, 3)


def test_the_artifact_records_what_was_promised_and_provided() -> None:
    questions = [
        replace(o, cluster=f"c{i % 4}") for i, o in enumerate(searched(45, np.random.default_rng(1)))
    ]
    asked = Settings(
        alpha=0.2, delta=0.1, target="all", score="gap", cap=9, tolerance=0.02, valid_days=30, seed=5,
        unseen_group="error", novelty_level=0.1,
    )  # fmt: skip
    given_ = Provided(
        fingerprints={"embedder": "x"},
        informative={"note": 1},
        depth=12,
        upstream=("shield",),
        passages=np.arange(3),
    )
    made = calibrate(questions, asked, provided=given_)
    found = made.artifact
    assert (found.alpha, found.delta, found.target, found.score, found.cap) == (0.2, 0.1, "all", "gap", 9)
    assert (found.tolerance, found.seed, found.unseen_group, found.novelty_level) == (0.02, 5, "error", 0.1)
    assert (found.depth, found.upstream, found.version) == (12, ("shield",), __version__)
    assert (found.fingerprints, found.informative) == ({"embedder": "x"}, {"note": 1})
    assert (found.n_clusters, found.shortest) == (4, 12)
    assert found.expires - found.created == timedelta(days=30)
    assert found.orientation == "keeps nonconformity <= threshold"
    assert made.arrays["tops"].tolist() == sorted(o.top for o in questions)
    assert made.arrays["passages"].tolist() == [0, 1, 2]


def test_expiry_begins_at_its_moment() -> None:
    found = calibrate(at_distances([0.5] * 20), Settings()).artifact
    assert not found.expired(found.expires - timedelta(seconds=1))
    assert found.expired(found.expires)
    assert not found.expired()


# --- provenance --------------------------------------------------------------------------


def of_kinds(human: int, synthetic: int) -> list[Observation]:
    rng = np.random.default_rng(2)
    return [
        *at_distances(0.5 + rng.random(human) / 2),
        *[replace(o, id=f"s{o.id}", provenance="synthetic") for o in at_distances(rng.random(synthetic) / 2)],
    ]


@pytest.mark.parametrize(
    ("human", "synthetic", "asked", "used"),
    [
        (9, 100, "auto", "human"),
        (8, 100, "auto", "synthetic"),
        (40, 0, "auto", "human"),
        (0, 40, "auto", "synthetic"),
        (40, 40, "synthetic", "synthetic"),
        (40, 100, "human", "human"),
    ],
)
def test_human_and_synthetic_questions_never_mix(human: int, synthetic: int, asked: Any, used: str) -> None:
    made = calibrate(of_kinds(human, synthetic), Settings(score="cosine", provenance=asked))
    counts = {"human": human, "synthetic": synthetic}
    assert made.artifact.n == counts[used]
    assert (made.threshold("") >= 0.5) is (used == "human")
    assert any("synthetic" in note and "optimistic" in note for note in made.artifact.notes) is (
        used == "synthetic"
    )
    left_out = counts["human" if used == "synthetic" else "synthetic"]
    assert any(
        note == f"{left_out} questions of other provenance left out" for note in made.artifact.notes
    ) is bool(left_out)


def test_each_kind_is_reported_apart() -> None:
    made = calibrate(of_kinds(20, 5), Settings(score="cosine"))
    assert made.artifact.by_provenance == {
        "human": {"n": 20, "threshold": made.threshold("")},
        "synthetic": {"n": 5, "threshold": None},
    }


# --- what is refused ---------------------------------------------------------------------


@pytest.mark.parametrize("questions", [[], [Observation("u", np.array([0.9]), ())]])
def test_without_answerable_questions_there_is_no_calibration(questions: list[Observation]) -> None:
    with pytest.raises(TooFewQuestionsError) as caught:
        calibrate(questions, Settings())
    assert (caught.value.details["n"], caught.value.details["needed"]) == (0, 9)


def test_a_question_set_that_never_reaches_its_passages_is_unattainable() -> None:
    questions = [Observation(f"q{i}", np.empty(0), (MISS,)) for i in range(80)]
    for score in (*SCORES, "auto"):
        with pytest.raises(TargetUnattainableError):
            calibrate(questions, Settings(score=score))


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"alpha": 0.0}, InvalidValueError),
        ({"alpha": 1}, InvalidValueError),
        ({"delta": 1.5}, InvalidValueError),
        ({"novelty_level": 0}, InvalidValueError),
        ({"target": "some"}, UnknownNameError),
        ({"score": "euclid"}, UnknownNameError),
        ({"tune_share": 0.6}, InvalidValueError),
        ({"tune_share": float("nan")}, InvalidValueError),
        ({"cap": 0}, InvalidValueError),
        ({"valid_days": 0}, InvalidValueError),
        ({"valid_days": float("nan")}, InvalidValueError),
        ({"valid_days": float("inf")}, InvalidValueError),
        ({"valid_days": 1e9}, InvalidValueError),
        ({"tolerance": -0.1}, InvalidValueError),
        ({"unseen_group": "pass"}, UnknownNameError),
        ({"provenance": "machine"}, UnknownNameError),
        ({"weighting": "guessed"}, UnknownNameError),
    ],
)
def test_a_setting_out_of_its_range_is_refused_at_once(
    wrong: dict[str, Any], error: type[ConfigurationError]
) -> None:
    with pytest.raises(error):
        Settings(**wrong)


def test_a_temperature_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="temperature"):
        calibrate(at_distances([0.5] * 20), Settings(temperature=-1.0))


PROMISES = st.builds(
    Settings,
    alpha=st.sampled_from([0.05, 0.1, 0.3, 0.9, 1 - 1e-11]),
    delta=st.sampled_from([None, 0.05, 0.5]),
    target=st.sampled_from(["any", "all", "recall"]),
    score=st.sampled_from([*SCORES, "auto"]),
    cap=st.sampled_from([None, 1, 3]),
    grouped=st.booleans(),
    tune_share=st.sampled_from([0.0, 0.2, 0.5]),
    provenance=st.sampled_from(["auto", "human", "synthetic"]),
)


@examples(60)
@given(observed(most=70), PROMISES)
def test_calibrating_gives_finite_thresholds_or_one_of_our_errors(
    questions: list[Observation], promise: Settings
) -> None:
    try:
        made = calibrate(questions, promise)
    except NoValidThresholdError:
        return
    found = made.artifact
    assert all(c.threshold is not None and np.isfinite(c.threshold) for c in found.categories.values())
    assert sum(c.n for c in found.categories.values()) == found.n
    assert found.n + found.n_tuning <= len(questions)


@examples(20)
@given(observed(most=70), st.lists(st.floats(-1, 5), min_size=70, max_size=70), st.sampled_from([0.1, 0.3]))
def test_weighted_calibrating_gives_finite_thresholds_or_one_of_our_errors(
    questions: list[Observation], weights: list[float], alpha: float
) -> None:
    weighted = [replace(o, weight=w) for o, w in zip(questions, weights, strict=False)]
    try:
        made = calibrate(weighted, Settings(alpha=alpha, weighting="exact"))
    except RagGuardError:
        return
    assert np.isfinite(made.threshold("", weight=1e-9))
