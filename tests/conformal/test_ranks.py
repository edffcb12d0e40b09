from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from ragguard.conformal.ranks import (
    binomial_interval,
    check_level,
    conformal_rank,
    coverage_confidence,
    needed_questions,
    smallest_alpha,
)
from ragguard.errors import InvalidValueError, TooFewQuestionsError
from tests.conformal.populations import examples

ALPHAS = [0.01, 0.05, 0.1, 0.15, 0.18, 0.2, 0.25, 0.3, 0.5, 0.9]


@pytest.mark.parametrize(
    ("n", "alpha", "rank"),
    [(9, 0.1, 9), (10, 0.1, 10), (19, 0.05, 19), (20, 0.1, 19), (99, 0.1, 90), (1, 0.5, 1)],
)
def test_the_rank_is_the_textbook_one(n: int, alpha: float, rank: int) -> None:
    assert conformal_rank(n, alpha) == rank


def test_floating_point_does_not_add_a_rank() -> None:
    assert math.ceil(150 * (1 - 0.18)) == 124
    assert conformal_rank(149, 0.18) == 123


def test_the_rank_is_that_of_exact_arithmetic_wherever_alpha_is_a_percentage() -> None:
    for percent in range(1, 100):
        for n in range(needed_questions(percent / 100), 400, 7):
            assert conformal_rank(n, percent / 100) == max(1, -(-(n + 1) * (100 - percent) // 100))


@examples()
@given(st.integers(1, 5000), st.floats(0.001, 0.999))
def test_the_rank_covers_and_the_one_below_does_not(n: int, alpha: float) -> None:
    assume(n >= needed_questions(alpha))
    rank = conformal_rank(n, alpha)
    assert 1 <= rank <= n
    assert rank / (n + 1) >= 1 - alpha - 1e-9
    assert rank == 1 or (rank - 1) / (n + 1) < 1 - alpha


@pytest.mark.parametrize(
    ("alpha", "need"), [(0.1, 9), (0.05, 19), (0.2, 4), (0.01, 99), (0.3, 3), (0.999, 1)]
)
def test_the_questions_needed_are_the_fewest_with_a_rank(alpha: float, need: int) -> None:
    assert needed_questions(alpha) == need
    assert conformal_rank(need, alpha) <= need
    assert math.ceil(need * (1 - alpha) - 1e-9) > need - 1 or need == 1


@pytest.mark.parametrize(
    ("alpha", "delta", "need"), [(0.1, 0.05, 29), (0.05, 0.05, 59), (0.1, 0.1, 22), (0.9, 0.5, 1)]
)
def test_confidence_needs_more_questions(alpha: float, delta: float, need: int) -> None:
    assert needed_questions(alpha, delta) == need
    assert (1 - alpha) ** need <= delta
    assert need == 1 or (1 - alpha) ** (need - 1) > delta


@pytest.mark.parametrize(
    ("n", "alpha", "delta", "need"), [(8, 0.1, None, 9), (28, 0.1, 0.05, 29), (0, 0.5, None, 1)]
)
def test_too_few_questions_are_refused_with_both_numbers(
    n: int, alpha: float, delta: float | None, need: int
) -> None:
    with pytest.raises(TooFewQuestionsError) as caught:
        conformal_rank(n, alpha, delta)
    assert caught.value.details == {"n": n, "needed": need, "alpha": alpha, "delta": delta}
    assert f"{n} calibration questions" in str(caught.value)
    assert f"at least {need} are needed" in str(caught.value)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("delta", [None, 1e-11, 0.5, 1 - 1e-11])
def test_an_empty_set_never_has_a_rank(delta: float | None) -> None:
    with pytest.raises(TooFewQuestionsError):
        conformal_rank(0, 1 - 1e-11, delta)


@pytest.mark.parametrize("delta", [0.01, 0.05, 0.1, 0.3])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_confident_rank_is_the_smallest_that_the_beta_law_allows(alpha: float, delta: float) -> None:
    need = needed_questions(alpha, delta)
    for n in [need, need + 1, need + 7, 2 * need + 3, need + 400]:
        ranks = np.arange(1, n + 1)
        enough = stats.beta.sf(1 - alpha, ranks, n + 1 - ranks) >= 1 - delta - 1e-12
        assert conformal_rank(n, alpha, delta) == ranks[enough][0]


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.2, 0.3])
def test_a_delta_that_exactly_n_questions_reach_takes_the_last_rank(alpha: float) -> None:
    # Down to 1e-19, where 1 - delta is 1 and comparing confidences would accept any rank.
    assert [conformal_rank(n, alpha, (1 - alpha) ** n) for n in range(1, 200)] == list(range(1, 200))


def test_a_delta_a_breath_below_that_takes_it_too() -> None:
    assert conformal_rank(2, 0.1, 0.81 * (1 - 5e-11)) == 2
    assert conformal_rank(2, 0.9999, 1e-8 * (1 - 8e-9)) == 2


@examples()
@given(st.integers(1, 300), st.data())
def test_the_confidence_of_a_rank_is_the_beta_tail(n: int, data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, n))
    for alpha in ALPHAS:
        law = stats.beta.sf(1 - alpha, rank, n + 1 - rank)
        assert coverage_confidence(n, rank, alpha) == pytest.approx(law, abs=1e-12)


@examples()
@given(st.integers(1, 400), st.data(), st.sampled_from([None, 0.01, 0.05, 0.2]))
def test_the_smallest_alpha_is_attained_by_its_rank_and_nothing_smaller_is(
    n: int, data: st.DataObject, delta: float | None
) -> None:
    rank = data.draw(st.integers(1, n))
    least = smallest_alpha(n, rank, delta)
    assert conformal_rank(n, least, delta) <= rank
    try:
        assert conformal_rank(n, least * (1 - 1e-5), delta) > rank
    except TooFewQuestionsError:
        assert rank == n


def test_no_alpha_is_attained_without_a_rank() -> None:
    assert smallest_alpha(10, 0) == smallest_alpha(10, 0, 0.05) == 1.0


@examples(60)
@given(st.integers(1, 500), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_binomial_interval_is_the_exact_one(trials: int, data: st.DataObject, confidence: float) -> None:
    successes = data.draw(st.integers(0, trials))
    exact = stats.binomtest(successes, trials).proportion_ci(confidence_level=confidence, method="exact")
    assert binomial_interval(successes, trials, confidence) == pytest.approx(
        (exact.low, exact.high), abs=1e-9
    )


def test_nothing_observed_says_nothing_about_a_proportion() -> None:
    assert binomial_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 2, float("nan"), float("inf"), True, "0.1", None])
def test_a_level_lies_strictly_between_0_and_1(value: Any) -> None:
    with pytest.raises(InvalidValueError, match="alpha must lie strictly between 0 and 1"):
        check_level("alpha", value)
