"""Recall: the mean share of relevant passages missed, in expectation and with confidence.

Every relevant passage has a uniform score, so the risk of a threshold is one minus it.
"""

from __future__ import annotations

import numpy as np
import pytest

from ragguard.conformal.evaluate import bounded_mean_interval, cluster_bootstrap
from ragguard.conformal.ranks import binomial_interval
from ragguard.conformal.thresholds import RecallLoss, risk_test


def risks(n: int, alpha: float, delta: float | None, draws: int, seed: int) -> np.ndarray:
    """The true risk after each of many calibrations on questions with one to four relevant passages."""
    rng, found, test = np.random.default_rng(seed), [], risk_test(n, alpha, delta)
    for _ in range(draws):
        # Passages of one question are alike: its losses are far from independent.
        common = rng.random(n)
        relevant = [
            np.where(rng.random(m) < 0.5, common[i], rng.random(m))
            for i, m in enumerate(rng.integers(1, 5, n))
        ]
        threshold = RecallLoss(relevant).accepted(test)
        assert threshold is not None
        found.append(1.0 - threshold)
    return np.array(found)


def test_risk_control_holds_on_average_and_is_not_much_stricter_than_asked() -> None:
    for n, alpha in [(30, 0.1), (60, 0.2)]:
        found = risks(n, alpha, None, 600, n)
        error = found.std(ddof=1) / np.sqrt(len(found))
        assert found.mean() <= alpha + 4 * error
        # Angelopoulos et al. 2022, theorem 2: at most 2/(n + 1) below, for continuous losses.
        assert found.mean() >= alpha - 2 / (n + 1) - 4 * error


@pytest.mark.parametrize(("n", "alpha", "delta"), [(60, 0.2, 0.1), (100, 0.1, 0.2)])
def test_risk_exceeds_its_bound_for_at_most_delta_of_the_calibration_sets(
    n: int, alpha: float, delta: float
) -> None:
    draws = 400
    found = risks(n, alpha, delta, draws, n)
    assert np.mean(found > alpha) <= delta + 4 * np.sqrt(delta * (1 - delta) / draws)
    # Not vacuous: the risk allowed is used up to the noise of n questions.
    assert found.mean() > alpha - 4 * np.sqrt(alpha * (1 - alpha) / n)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "alpha", "delta"), [(40, 0.2, 0.05), (100, 0.1, 0.1), (200, 0.05, 0.1)])
def test_risk_exceeds_its_bound_for_at_most_delta_of_many_calibration_sets(
    n: int, alpha: float, delta: float
) -> None:
    found = risks(n, alpha, delta, 5000, 3 * n)
    assert np.mean(found > alpha) <= delta + 4 * np.sqrt(delta * (1 - delta) / 5000)


@pytest.mark.parametrize(("a", "b"), [(0.3, 0.1), (5.0, 1.0), (0.5, 0.5)])
def test_the_interval_of_a_bounded_mean_covers(a: float, b: float) -> None:
    rng, hits = np.random.default_rng(0), []
    for _ in range(400):
        low, high = bounded_mean_interval(rng.beta(a, b, 40), 0.9)
        hits.append(low <= a / (a + b) <= high)
    assert np.mean(hits) >= 0.9 - 4 * np.sqrt(0.09 / 400)


def test_the_interval_of_a_proportion_covers() -> None:
    for share in (0.02, 0.3, 0.9):
        counts = np.random.default_rng(1).binomial(50, share, 2000)
        known = {int(c): binomial_interval(int(c), 50, 0.9) for c in np.unique(counts)}
        hits = np.mean([known[int(c)][0] <= share <= known[int(c)][1] for c in counts])
        assert hits >= 0.9 - 4 * np.sqrt(0.09 / 2000)


def test_the_cluster_bootstrap_covers_where_independence_would_not() -> None:
    rng, by_cluster, alone = np.random.default_rng(2), [], []
    for _ in range(400):
        easy = np.repeat(rng.beta(4, 1, 60), 8)
        covered = (rng.random(480) < easy).astype(float)
        clusters = [f"c{i // 8}" for i in range(480)]
        low, high = cluster_bootstrap(covered, clusters, 0.9, rng, draws=500)
        by_cluster.append(low <= 0.8 <= high)
        low, high = binomial_interval(int(covered.sum()), 480, 0.9)
        alone.append(low <= 0.8 <= high)
    noise = 4 * np.sqrt(0.09 / 400)
    # The percentile bootstrap is asymptotic: sixty clusters cost it a few points.
    assert np.mean(by_cluster) >= 0.9 - 0.03 - noise
    assert np.mean(alone) < np.mean(by_cluster)
    assert np.mean(alone) < 0.9 - noise
