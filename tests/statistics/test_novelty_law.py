"""A question like those calibrated on is turned away no more often than the level says."""

from __future__ import annotations

import numpy as np
import pytest

from ragguard.conformal.calibrate import Settings, calibrate
from ragguard.conformal.evaluate import evaluate
from ragguard.conformal.novelty import NoveltyTest
from tests.conformal.populations import searched

DRAWS = 10_000


@pytest.mark.parametrize("n", [19, 50, 99])
def test_p_values_are_uniform_on_their_grid(n: int) -> None:
    rng = np.random.default_rng(n)
    values = rng.normal(size=(DRAWS, n + 1))
    p = (1 + (values[:, :n] <= values[:, n:]).sum(axis=1)) / (n + 1)
    sample = [NoveltyTest(np.sort(row[:n]), 0.1).p_value(row[n]) for row in values[:300]]
    np.testing.assert_allclose(sample, p[:300])
    for level in (0.05, 0.1, 0.3, 0.7):
        exact = np.floor(level * (n + 1) + 1e-9) / (n + 1)
        assert exact <= level
        assert abs(np.mean(p <= level + 1e-12) - exact) < 4 * np.sqrt(exact * (1 - exact) / DRAWS)


def test_ties_only_make_turning_away_rarer() -> None:
    values = np.round(np.random.default_rng(1).normal(size=(2000, 60)), 1)
    for level in (0.05, 0.2):
        novel = [NoveltyTest(np.sort(row[:59]), level).is_novel(row[59]) for row in values]
        assert np.mean(novel) <= level + 4 * np.sqrt(level * (1 - level) / 2000)


def test_calibrated_questions_to_come_are_rarely_turned_away() -> None:
    rng, rates = np.random.default_rng(2), []
    for _ in range(60):
        # Softmax with a threshold may keep nothing; the gap always keeps the best, so novelty alone decides.
        made = calibrate(searched(59, rng), Settings(score="gap", alpha=0.2, novelty_level=0.1))
        rates.append(evaluate(searched(60, rng), made)["false_abstain_rate"])
    assert abs(np.mean(rates) - 0.1) < 4 * np.std(rates, ddof=1) / np.sqrt(60)
