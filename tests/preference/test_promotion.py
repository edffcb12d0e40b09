from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from ragguard.errors import InvalidValueError
from ragguard.preference.promotion import paired_gain, sign_flip_p


def promoted(differences: np.ndarray, *, seed: int, draws: int = 800) -> bool:
    return paired_gain(np.zeros_like(differences), differences, draws=draws, seed=seed).promotes


def test_the_bootstrap_of_hits_follows_the_binomial_law() -> None:
    """Resampling n values of which k are 1 draws Binomial(n, k/n) / n: its quantiles are known."""
    n, k, risk = 60, 21, 0.05
    found = paired_gain(np.zeros(n), np.repeat([1.0, 0.0], [k, n - k]), risk=risk, draws=40_000)
    assert found.mean == pytest.approx(k / n)
    # Quantiles of 40,000 draws lie between those of neighbouring levels (five standard errors).
    slack = 5 * math.sqrt(risk * (1 - risk) / 40_000)
    assert binom.ppf(risk - slack, n, k / n) <= found.lower * n + 1e-9
    assert found.lower * n - 1e-9 <= binom.ppf(risk + slack, n, k / n)
    assert binom.ppf(1 - risk - slack, n, k / n) <= found.upper * n + 1e-9
    assert found.upper * n - 1e-9 <= binom.ppf(1 - risk + slack, n, k / n)


@pytest.mark.parametrize(("ups", "downs"), [(4, 0), (6, 0), (9, 2), (12, 3), (30, 20)])
def test_the_sign_test_follows_the_binomial_law(ups: int, downs: int) -> None:
    draws = 40_000
    exact = float(binom.sf(ups - 1, ups + downs, 0.5))
    found = sign_flip_p(np.repeat([1.0, -1.0], [ups, downs]), draws=draws, rng=np.random.default_rng(0))
    assert found == pytest.approx(exact, abs=5 * math.sqrt(exact * (1 - exact) / draws) + 1 / draws)


@pytest.mark.slow
def test_chance_is_promoted_no_more_often_than_stated() -> None:
    """Fair signs on values of any size: promotions are Binomial(runs, at most risk)."""
    rng, runs, risk = np.random.default_rng(1), 2000, 0.025
    count = 0
    for run in range(runs):
        size = np.abs(rng.standard_t(3, 30)) * (rng.random(30) < 0.5)  # many questions do not differ at all
        count += promoted(size * rng.choice([-1.0, 1.0], 30), seed=run)
    assert count <= binom.ppf(0.9999, runs, risk)


@pytest.mark.slow
def test_the_rule_promotes_fair_coins_exactly_as_often_as_the_binomial_says() -> None:
    """With differences of plus or minus one only their count matters, so the rule's rate is a binomial tail.

    Of 23 coins, 17 alike have p = 0.017 and 16 have p = 0.047: 4,000 draws tell both from 0.025.
    """
    n, runs = 23, 1500
    exact = float(binom.sf(16, n, 0.5))
    rng = np.random.default_rng(3)
    found = sum(promoted(rng.choice([-1.0, 1.0], n), seed=run, draws=4000) for run in range(runs))
    assert binom.ppf(0.0005, runs, exact) <= found <= binom.ppf(0.9995, runs, exact)


def test_a_few_lucky_questions_promote_nothing_though_the_bootstrap_would() -> None:
    lucky = np.repeat([1.0, 0.0], [5, 45])
    found = paired_gain(np.zeros(50), lucky)
    assert found.lower > 0
    assert found.p_value > found.risk
    assert not found.promotes


def test_a_real_gain_is_promoted_and_a_loss_is_not() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(80)
    better = base + 0.1 + rng.normal(0, 0.1, 80)
    assert paired_gain(base, better).promotes
    assert not paired_gain(better, base).promotes
    assert paired_gain(better, base).upper < 0


def test_no_difference_at_all_keeps_the_base() -> None:
    found = paired_gain(np.ones(40), np.ones(40))
    assert (found.mean, found.lower, found.upper, found.promotes) == (0.0, 0.0, 0.0, False)


def test_without_questions_nothing_is_promoted() -> None:
    for base in (np.zeros(0), np.full(3, np.nan)):
        found = paired_gain(base, np.ones(len(base)))
        assert (found.questions, found.promotes) == (0, False)
        assert found.as_json()["lower"] is None


def test_undefined_questions_are_left_out_in_pairs() -> None:
    found = paired_gain([0.0, np.nan, 0.5], [1.0, 1.0, np.nan])
    assert (found.questions, found.mean) == (1, 1.0)


def test_questions_of_one_cluster_count_together() -> None:
    """One article asked fifty times is one piece of evidence, not fifty."""
    gains = np.ones(50)
    assert paired_gain(np.zeros(50), gains).promotes
    together = paired_gain(np.zeros(50), gains, clusters=["article"] * 50)
    assert (together.clusters, together.questions, together.promotes) == (1, 50, False)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(5).normal(size=30)
    assert paired_gain(np.zeros(30), values, seed=4) == paired_gain(np.zeros(30), values, seed=4)


@pytest.mark.parametrize(("risk", "draws"), [(0.0, 4000), (0.5, 4000), (0.01, 500)])
def test_a_risk_that_the_draws_cannot_resolve_is_refused(risk: float, draws: int) -> None:
    with pytest.raises(InvalidValueError, match="risk"):
        paired_gain([0.0], [1.0], risk=risk, draws=draws)


def test_figures_of_different_questions_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="shapes"):
        paired_gain([0.0, 1.0], [1.0])
