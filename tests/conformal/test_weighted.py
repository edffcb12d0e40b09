from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.conformal.calibrate import Settings, calibrate
from ragguard.conformal.ranks import conformal_rank, needed_questions
from ragguard.conformal.statement import statement
from ragguard.conformal.weighted import WeightedScores, fit_ratio
from ragguard.errors import (
    ConfigurationError,
    InvalidValueError,
    TargetUnattainableError,
    TooFewQuestionsError,
)
from tests.conformal.populations import at_distances, examples


@examples()
@given(st.integers(1, 300), st.sampled_from([0.01, 0.05, 0.1, 0.18, 0.2, 0.25, 0.5]), st.floats(1e-3, 1e3))
def test_equal_weights_give_the_unweighted_threshold(n: int, alpha: float, weight: float) -> None:
    scores = np.random.default_rng(n).permutation(n).astype(float)
    found = WeightedScores.of(scores, np.full(n, weight)).threshold(weight, alpha)
    if n < needed_questions(alpha):
        assert found == np.inf
    else:
        assert found == np.sort(scores)[conformal_rank(n, alpha) - 1]


@examples()
@given(
    st.lists(
        st.tuples(st.sampled_from([0.1, 0.2, 0.5, np.inf]), st.floats(0.01, 10)), min_size=1, max_size=20
    ),
    st.floats(0.01, 10),
    st.floats(0.05, 0.95),
)
def test_the_threshold_is_the_weighted_quantile_with_the_question_at_infinity(
    pairs: list[tuple[float, float]], weight: float, alpha: float
) -> None:
    scores, weights = (np.array(side) for side in zip(*pairs, strict=True))
    found = WeightedScores.of(scores, weights).threshold(weight, alpha)
    total = weights.sum() + weight
    assert weights[scores <= found].sum() + (weight if np.isinf(found) else 0) >= (1 - alpha) * total * (
        1 - 1e-9
    )
    assert weights[scores < found].sum() < (1 - alpha) * total * (1 + 1e-9)


def test_a_heavier_question_needs_a_looser_threshold() -> None:
    weighted = WeightedScores.of(np.arange(100.0), np.ones(100))
    found = [weighted.threshold(w, 0.1) for w in (0.1, 1.0, 5.0, 10.0, 12.0)]
    assert found == sorted(found)
    assert found[0] < found[-1] == np.inf


def test_the_effective_size_is_kishs() -> None:
    assert WeightedScores.of(np.zeros(10), np.ones(10)).effective_size == pytest.approx(10)
    assert WeightedScores.of(np.zeros(2), np.array([1.0, 3.0])).effective_size == pytest.approx(16 / 10)
    one_rules = WeightedScores.of(np.zeros(100), np.array([1e9, *[1e-9] * 99]))
    assert one_rules.effective_size == pytest.approx(1)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_is_positive_and_finite(bad: float) -> None:
    with pytest.raises(InvalidValueError, match="weight 1 is"):
        WeightedScores.of(np.zeros(3), np.array([1.0, bad, 1.0]))
    with pytest.raises(InvalidValueError):
        WeightedScores.of(np.zeros(3), np.ones(3)).threshold(bad, 0.1)
    questions = at_distances(np.linspace(0, 1, 30))
    with pytest.raises(InvalidValueError):
        calibrate(
            [replace(questions[0], weight=bad), *questions[1:]], Settings(score="cosine", weighting="exact")
        )


def test_a_weighted_calibration_keeps_its_scores_and_promises_per_question() -> None:
    questions = [replace(o, weight=1.0 + i % 3) for i, o in enumerate(at_distances(np.linspace(0, 1, 60)))]
    made = calibrate(questions, Settings(score="cosine", weighting="exact"))
    expected = WeightedScores.of(np.linspace(0, 1, 60), np.array([o.weight for o in questions]))
    for weight in (0.5, 1.0, 4.0):
        assert made.threshold("", weight=weight) == pytest.approx(expected.threshold(weight, 0.1))
    assert made.artifact.effective_size == pytest.approx(expected.effective_size)
    assert made.artifact.categories[""].threshold is None
    assert made.most_kept(np.linspace(1, 0, 7)) == 7


def test_equal_weights_calibrate_to_the_unweighted_threshold() -> None:
    questions = at_distances(np.random.default_rng(0).random(80))
    plain = calibrate(questions, Settings(score="cosine"))
    assert calibrate(questions, Settings(score="cosine", weighting="exact")).threshold("") == plain.threshold(
        ""
    )


def test_only_estimated_ratios_make_the_promise_approximate() -> None:
    questions = at_distances(np.linspace(0, 1, 60))
    for weighting, approximate in (("exact", False), ("estimated", True)):
        made = calibrate(questions, Settings(score="cosine", weighting=weighting))  # type: ignore[arg-type]
        assert ("approximately" in statement(made.artifact)) is approximate


def test_weighted_questions_out_of_reach_are_refused_when_calibrating() -> None:
    questions = [
        replace(o, weight=5.0 if np.isinf(d) else 1.0)
        for d in [*np.linspace(0, 1, 55), *[np.inf] * 5]
        for o in at_distances([d])
    ]
    with pytest.raises(TargetUnattainableError) as caught:
        calibrate(questions, Settings(score="cosine", weighting="exact"))
    assert caught.value.details["miss_rate"] == pytest.approx(25 / 80)
    assert np.isfinite(
        calibrate(questions, Settings(score="cosine", weighting="exact", alpha=0.4)).threshold("")
    )


def test_too_few_weighted_questions_are_refused() -> None:
    with pytest.raises(TooFewQuestionsError):
        calibrate(at_distances([0.1] * 8), Settings(score="cosine", weighting="exact"))


@pytest.mark.parametrize("other", [{"delta": 0.1}, {"target": "recall"}, {"grouped": True}])
def test_a_weighted_promise_is_marginal_and_ungrouped(other: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="weighted"):
        Settings(weighting="exact", **other)  # type: ignore[arg-type]


# --- estimated ratios --------------------------------------------------------------------


def test_a_shift_of_the_mean_is_recovered_as_its_log_odds() -> None:
    rng = np.random.default_rng(3)
    shift = np.array([1.0, -0.5, 0.0])
    fitted = fit_ratio(rng.normal(size=(4000, 3)), rng.normal(size=(2000, 3)) + shift)
    # log of the ratio of two unit normals: shift·x - |shift|²/2.
    np.testing.assert_allclose(fitted.coefficients[:-1], shift, atol=0.12)
    points = rng.normal(size=(500, 3))
    truth = points @ shift - (shift**2).sum() / 2
    assert np.corrcoef(np.log(fitted(points)), truth)[0, 1] > 0.99
    assert abs(np.mean(np.log(fitted(points)) - truth)) < 0.1


@pytest.mark.parametrize("sizes", [(1000, 1000), (2000, 400), (400, 2000)])
def test_without_a_shift_the_ratios_are_near_one(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(4)
    fitted = fit_ratio(rng.normal(size=(sizes[0], 4)), rng.normal(size=(sizes[1], 4)))
    ratios = fitted(rng.normal(size=(1000, 4)))
    assert ratios.mean() == pytest.approx(1.0, abs=0.1)
    assert ratios.std() < 0.2


def test_separable_traffic_has_finite_clipped_ratios() -> None:
    fitted = fit_ratio(np.full((50, 2), -5.0), np.full((50, 2), 5.0))
    ratios = fitted(np.array([[-500.0, -500.0], [0.0, 0.0], [500.0, 500.0]]))
    assert ratios[0] == pytest.approx(1e-3)
    assert ratios[1] == pytest.approx(1.0, abs=0.05)
    assert ratios[2] == pytest.approx(1e3)


@pytest.mark.parametrize(("left", "right"), [((0, 2), (5, 2)), ((5, 2), (0, 2)), ((5, 2), (5, 3))])
def test_a_ratio_needs_two_sides_of_one_width(left: tuple[int, int], right: tuple[int, int]) -> None:
    with pytest.raises(InvalidValueError, match="vectors of one width"):
        fit_ratio(np.zeros(left), np.zeros(right))


@pytest.mark.parametrize("ridge", [0.0, -1.0, float("nan")])
def test_a_ridge_is_positive(ridge: float) -> None:
    with pytest.raises(InvalidValueError, match="ridge"):
        fit_ratio(np.zeros((5, 2)), np.ones((5, 2)), ridge=ridge)
