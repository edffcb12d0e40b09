from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ragguard.conformal.artifact import Category
from ragguard.conformal.calibrate import Settings, calibrate
from ragguard.conformal.evaluate import bounded_mean_interval, cluster_bootstrap, evaluate, outcome
from ragguard.conformal.observations import Observation
from ragguard.errors import InvalidValueError
from tests.conformal.populations import MISS, at_distances, calibration, examples, observed, searched


def asked(name: str, positions: tuple[int, ...], **fields: Any) -> Observation:
    """Four passages at distances 0.1, 0.3, 0.5 and 0.8; the threshold 0.5 keeps three of them."""
    tokens = np.array([10.0, 20.0, 30.0, 40.0])
    return Observation(name, np.array([0.9, 0.7, 0.5, 0.2]), positions, tokens=tokens, **fields)


TINY = [
    asked("all kept", (0, 2)),
    asked("one of two", (1, 3)),
    asked("beyond", (3,)),
    asked("not returned", (MISS, 0, 3, MISS)),
]


@pytest.mark.parametrize(
    ("target", "coverage", "method"),
    [
        ("any", 3 / 4, "clopper-pearson"),
        ("all", 1 / 4, "clopper-pearson"),
        ("recall", (1 + 1 / 2 + 0 + 1 / 4) / 4, "hoeffding-bentkus"),
    ],
)
def test_coverage_of_a_tiny_set_is_that_counted_by_hand(target: str, coverage: float, method: str) -> None:
    found = evaluate(TINY, calibration(target=target))
    assert (found["n"], found["coverage"], found["ci_method"]) == (4, coverage, method)
    assert (found["mean_passages"], found["mean_tokens"]) == (3.0, 60.0)
    assert found["passages_quantiles"] == {"p50": 3.0, "p90": 3.0, "p99": 3.0}
    assert found["false_abstain_rate"] == 0.0
    if target != "recall":
        exact = stats.binomtest(round(coverage * 4), 4).proportion_ci(method="exact")
        assert found["coverage_ci"] == pytest.approx([exact.low, exact.high])
    else:
        assert found["coverage_ci"] == pytest.approx(bounded_mean_interval(np.array([1, 0.5, 0, 0.25])))
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_cap_turns_what_lies_beyond_it_into_misses() -> None:
    found = evaluate(TINY, calibration(target="recall", cap=1))
    assert found["coverage"] == pytest.approx((1 / 2 + 0 + 0 + 1 / 4) / 4)
    assert found["mean_passages"] == 1.0


def test_unanswerable_and_unseen_questions_are_counted_apart() -> None:
    questions = [
        *[replace(o, group="a") for o in TINY],
        Observation("u1", np.array([0.2]), (), group="a"),
        Observation("u2", np.array([0.8, 0.7]), (), group="a"),
        asked("other", (0,), group="z"),
        Observation("u3", np.array([0.8]), (), group="z"),
    ]
    made = calibration(categories={"a": Category(threshold=0.5, n=40, members=("a",))})
    found = evaluate(questions, made)
    assert (found["n"], found["n_unanswerable"], found["n_unseen_group"]) == (4, 3, 2)
    assert found["abstain_rate"] == pytest.approx(2 / 3)
    assert found["mean_passages_unanswerable"] == 1.0
    assert set(found["groups"]) == {"a"}


def test_each_group_is_reported_beside_the_whole() -> None:
    categories = {
        "a": Category(threshold=0.1, n=40, members=("a",)),
        "rest": Category(threshold=0.5, n=40, members=("b", "c")),
    }
    questions = [asked(f"{g}{i}", (1,), group=g) for g in "abc" for i in range(2)]
    found = evaluate(questions, calibration(categories=categories))
    assert found["coverage"] == pytest.approx(4 / 6)
    assert {g: (p["n"], p["coverage"]) for g, p in found["groups"].items()} == {
        "a": (2, 0.0),
        "rest": (4, 1.0),
    }


def test_questions_turned_away_as_novel_are_counted_and_stay_in_coverage() -> None:
    made = calibration(tops=tuple(np.linspace(0.6, 0.99, 19)), novelty_level=0.05)
    questions = [
        asked("known", (0,)),
        Observation("faint", np.array([0.55]), (0,)),
        Observation("u", np.array([0.3]), ()),
    ]
    found = evaluate(questions, made)
    assert found["coverage"] == 1.0
    assert found["false_abstain_rate"] == 0.5
    assert found["abstain_rate"] == 1.0
    assert found["mean_passages_unanswerable"] == 0.0
    assert found["mean_tokens"] is None


def test_without_questions_there_is_no_rate() -> None:
    found = evaluate([], calibration())
    assert (found["n"], found["coverage"], found["coverage_ci"], found["ci_method"]) == (
        0,
        None,
        None,
        "none",
    )
    assert found["abstain_rate"] is None
    assert found["passages_quantiles"] is None


def test_a_weighted_question_out_of_reach_is_turned_away_as_the_guard_does() -> None:
    made = calibrate(at_distances(np.linspace(0, 0.5, 51)), Settings(score="cosine", weighting="exact"))
    light, heavy = (outcome(replace(TINY[0], weight=w), made) for w in (1.0, 100.0))
    assert (light.abstained, heavy.abstained) == (False, True)
    assert (light.passages, heavy.passages) == (2, 4)
    lost = replace(TINY[0], positions=(MISS,), weight=100.0)
    assert outcome(lost, made).coverage == 0.0


@examples(40)
@given(observed(), st.sampled_from(["any", "all", "recall"]), st.sampled_from([None, 1, 2]), st.booleans())
def test_any_questions_have_a_coverage_within_its_interval(
    questions: list[Observation], target: str, cap: int | None, by_cluster: bool
) -> None:
    found = evaluate(questions, calibration(target=target, cap=cap), by_cluster=by_cluster)
    low, high = found["coverage_ci"]
    assert 0 <= low <= found["coverage"] + 1e-9
    assert found["coverage"] - 1e-9 <= high <= 1
    json.dumps(found, allow_nan=False)


def test_the_bootstrap_is_by_cluster_and_by_seed() -> None:
    questions = [
        replace(o, cluster=f"c{i % 3}") for i, o in enumerate(searched(60, np.random.default_rng(0)))
    ]
    first, again = (evaluate(questions, calibration(), by_cluster=True, seed=1) for _ in range(2))
    assert first == again
    assert first["ci_method"] == "cluster bootstrap"


def test_clusters_that_agree_within_widen_the_interval() -> None:
    values = np.repeat([1.0, 0.0], 50)
    alone = cluster_bootstrap(values, [None] * 100, 0.95, np.random.default_rng(0))
    four = cluster_bootstrap(values, [f"c{i // 25}" for i in range(100)], 0.95, np.random.default_rng(0))
    assert alone[1] - alone[0] < 0.25
    assert four == (0.0, 1.0)


@examples()
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.sampled_from([0.8, 0.95]))
def test_the_interval_of_a_bounded_mean_contains_it_and_mirrors(
    values: list[float], confidence: float
) -> None:
    array = np.array(values)
    low, high = bounded_mean_interval(array, confidence)
    assert 0 <= low <= array.mean() + 1e-9
    assert array.mean() - 1e-9 <= high <= 1
    mirrored = bounded_mean_interval(1 - array, confidence)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.5, 0.9, 0.95, 0.99, 1.0])
def test_one_value_has_an_interval(value: float) -> None:
    low, high = bounded_mean_interval(np.array([value]))
    assert 0 <= low <= value <= high <= 1


def test_every_score_is_compared_over_the_same_splits_at_the_calibrated_alpha() -> None:
    rng = np.random.default_rng(7)
    questions = []
    for i in range(80):
        similarities = np.sort(rng.uniform(0, 1, 20))[::-1]
        questions.append(Observation(f"q{i}", similarities, (int(rng.integers(6)),)))
    made = calibration(alpha=0.2)
    found = evaluate(questions, made, splits=50)["comparison"]
    assert (found["n"], found["calibrated"]) == (40, "cosine")
    assert set(found["scores"]) == {"softmax", "cosine", "gap", "ratio", "rank"}
    expected = {entry["expected"] for entry in found["scores"].values()}
    assert expected == {33 / 41}
    again = evaluate(questions, made, splits=50)["comparison"]
    assert again == found
    assert "comparison" not in evaluate(questions, made)


@pytest.mark.parametrize(("splits", "target", "named"), [(1, "any", "splits"), (10, "recall", "recall")])
def test_a_comparison_that_has_no_law_is_refused(splits: int, target: str, named: str) -> None:
    questions = [Observation(f"q{i}", np.array([0.9, 0.5]), (0,)) for i in range(40)]
    with pytest.raises(InvalidValueError, match=named):
        evaluate(questions, calibration(target=target), splits=splits)
