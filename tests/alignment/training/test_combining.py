"""The fitted combiner: monotone whatever the data, and right where the law is known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from ragguard.alignment.combiner import Combiner, load_combiner
from ragguard.alignment.features import NAMES
from ragguard.alignment.training.combining import Answers, answer_power, fit_combiner, thresholds_of
from ragguard.errors import InvalidValueError
from ragguard.evaluation.binary import auc

WIDTH = len(NAMES)
ONE, TWO, NOISE = NAMES[0], NAMES[2], NAMES[1]


def drawn(rng: np.random.Generator, answers: int, *, claims: int = 1, turned: bool = False) -> Answers:
    """Answers whose worst claim is supported with log-odds 2 a - 1 + b, a and b two of the features."""
    features, labels = [], []
    for _ in range(answers):
        rows = rng.uniform(-2, 2, size=(int(rng.integers(1, claims + 1)), WIDTH))
        odds = 2 * rows[:, 0] + rows[:, 2] - 1
        label = int(rng.random() < expit(odds.min()))
        features.append(-rows if turned else rows)
        labels.append(label)
    return Answers(features, np.array(labels))


def rows(values: np.ndarray, column: str) -> np.ndarray:
    """Feature rows that differ in one column only."""
    found = np.zeros((len(values), WIDTH))
    found[:, NAMES.index(column)] = values
    return found


def test_a_known_law_is_found() -> None:
    answers = drawn(np.random.default_rng(0), 4000)
    found = fit_combiner({"set": answers}, names=(ONE, NOISE, TWO))
    values = np.linspace(-1.5, 1.5, 13)
    slope = {name: np.polyfit(values, logit(found.scores(rows(values, name))), 1)[0] for name in (ONE, TWO)}
    assert slope[ONE] == pytest.approx(2, abs=0.35)
    assert slope[TWO] == pytest.approx(1, abs=0.35)
    noise = logit(found.scores(rows(values, NOISE)))
    assert noise[-1] - noise[0] < 0.6
    truth = np.array([2 * f[0, 0] + f[0, 2] for f in answers.features])
    scores = np.array([found.scores(f)[0] for f in answers.features])
    assert auc(scores, answers.labels)[0] >= auc(truth, answers.labels)[0] - 0.01


def test_the_worst_claim_stands_for_its_answer() -> None:
    rng = np.random.default_rng(1)
    found = fit_combiner({"set": drawn(rng, 2500, claims=4)}, names=(ONE, TWO))
    fresh = drawn(rng, 1500, claims=4)
    scores = np.array([found.scores(f).min() for f in fresh.features])
    truth = np.array([(2 * f[:, 0] + f[:, 2]).min() for f in fresh.features])
    assert auc(scores, fresh.labels)[0] >= auc(truth, fresh.labels)[0] - 0.02


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=12, deadline=None)
def test_no_curve_falls_whatever_the_data(seed: int, turned: bool) -> None:
    rng = np.random.default_rng(seed)
    answers = drawn(rng, 60, claims=3, turned=turned)
    if len(set(answers.labels.tolist())) < 2:
        return
    found = fit_combiner({"set": answers}, bends=3)
    assert all(rise >= 0 for rises in found.rises for rise in rises)
    assert all(np.diff(knots).min() > 0 for knots in found.knots)
    low = rng.uniform(-3, 3, size=(50, WIDTH))
    high = low + rng.uniform(0, 2, size=low.shape)
    assert (found.scores(high) >= found.scores(low) - 1e-12).all()


def test_what_speaks_against_support_adds_nothing() -> None:
    answers = drawn(np.random.default_rng(2), 800)
    for features in answers.features:
        features[:, NAMES.index(NOISE)] = -features[:, 0]
    found = fit_combiner({"set": answers}, names=(ONE, NOISE))
    spread = found.scores(rows(np.linspace(-2, 2, 9), NOISE)) if NOISE in found.names else np.zeros(2)
    assert spread[-1] - spread[0] < 0.05


def test_a_harder_set_does_not_bend_the_curves() -> None:
    rng = np.random.default_rng(3)
    easy, hard = drawn(rng, 2500), drawn(rng, 2500)
    harder = Answers(hard.features, np.where(rng.random(2500) < 0.6, 0, hard.labels))
    one = fit_combiner({"easy": easy}, names=(ONE, TWO))
    both = fit_combiner({"easy": easy, "hard": harder}, names=(ONE, TWO))
    values = np.linspace(-1.5, 1.5, 7)
    slopes = [np.polyfit(values, logit(c.scores(rows(values, ONE))), 1)[0] for c in (one, both)]
    assert slopes[1] == pytest.approx(slopes[0], rel=0.3)


@pytest.mark.parametrize("label", [0, 1])
def test_a_set_of_one_label_is_refused_by_name(label: int) -> None:
    answers = drawn(np.random.default_rng(4), 20)
    with pytest.raises(InvalidValueError, match="'lonely' has answers of one label only"):
        fit_combiner({"good": answers, "lonely": Answers(answers.features, np.full(20, label))})


def test_a_fitted_combiner_is_what_its_file_says(tmp_path) -> None:  # type: ignore[no-untyped-def]
    found = fit_combiner({"set": drawn(np.random.default_rng(5), 200, claims=2)})
    (tmp_path / "combiner.json").write_text(found.to_json())
    read = load_combiner(tmp_path / "combiner.json")
    fresh = np.random.default_rng(6).uniform(-2, 2, size=(40, WIDTH))
    np.testing.assert_allclose(read.scores(fresh), found.scores(fresh), atol=1e-4)
    assert read.digest() == found.digest()
    assert json.loads(found.to_json())["features"].keys() == set(found.names)


def test_contributions_are_what_a_score_is_made_of() -> None:
    found = Combiner((ONE, TWO), ((0.0, 1.0), (0.0, 1.0, 2.0)), ((3.0,), (1.0, 0.5)), -2.0, {"balanced": 0.5})
    features = rows(np.array([0.5]), ONE) + rows(np.array([1.5]), TWO)
    np.testing.assert_allclose(found.contributions(features), [[1.5, 1.25]])
    assert found.scores(features)[0] == pytest.approx(expit(-2 + 2.75))


def test_operating_points_are_those_of_their_definition() -> None:
    good, bad = np.linspace(0.301, 0.9, 40), np.linspace(0.0, 0.5, 40)
    scores, labels = np.r_[good, bad], np.repeat([1, 0], 40)
    found = thresholds_of({"set": (scores, labels)})
    gains = {t: np.mean(good > t) - np.mean(bad > t) for t in np.round(scores, 3)}
    assert gains[found["balanced"]] == max(gains.values())
    assert np.mean(bad > found["strict"]) <= 0.05
    assert np.mean(bad > found["cautious"]) <= 0.2
    assert found["cautious"] <= found["strict"] < 1
    lower = max(t for t in np.round(scores, 3) if t < found["strict"])
    assert np.mean(bad > lower) > 0.05


def test_operating_points_weigh_sets_and_not_answers() -> None:
    small = np.array([0.9, 0.2]), np.array([1, 0])
    large = np.r_[np.full(500, 0.6), np.full(500, 0.4)], np.repeat([1, 0], 500)
    found = thresholds_of({"small": small, "large": large})
    assert 0.4 <= found["balanced"] < 0.6


def test_claims_that_fail_together_have_a_low_power() -> None:
    rng = np.random.default_rng(7)
    chances = [np.full(6, p) for p in rng.uniform(0.3, 0.95, 3000)]
    apart = np.array([int((rng.random(6) < c).all()) for c in chances])
    together = np.array([int(rng.random() < c[0]) for c in chances])
    assert answer_power(chances, apart) == pytest.approx(1.0, abs=0.11)
    assert answer_power(chances, together) == pytest.approx(1 / 6, abs=0.06)
