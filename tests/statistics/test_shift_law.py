"""Known likelihood ratios restore coverage under a covariate shift.

A question's difficulty x is uniform in calibration and has density 2x in traffic, so
the ratio is 2x; the distance of its passage is uniform up to x.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ragguard.conformal.calibrate import Settings, calibrate
from ragguard.conformal.ranks import conformal_rank
from ragguard.conformal.weighted import WeightedScores, fit_ratio
from tests.conformal.populations import at_distances

DRAWS, N = 2000, 100


def coverage(threshold: float, difficulty: float) -> float:
    return min(1.0, threshold / difficulty)


def traffic(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.asarray(np.sqrt(rng.random(size)))


def error(values: np.ndarray) -> float:
    return 4 * float(values.std(ddof=1) / np.sqrt(len(values)))


def test_known_ratios_cover_where_equal_weights_do_not() -> None:
    rng = np.random.default_rng(0)
    plain, weighted = np.empty(DRAWS), np.empty(DRAWS)
    for i in range(DRAWS):
        x = rng.random(N)
        scores = x * rng.random(N)
        x_new = float(traffic(rng, 1)[0])
        plain[i] = coverage(np.sort(scores)[conformal_rank(N, 0.1) - 1], x_new)
        weighted[i] = coverage(WeightedScores.of(scores, 2 * x).threshold(2 * x_new, 0.1), x_new)
    assert plain.mean() + error(plain) < 0.9
    assert abs(weighted.mean() - 0.9) < 0.02 + error(weighted)
    assert weighted.mean() >= 0.9 - error(weighted)


@pytest.mark.slow
def test_a_weighted_calibration_covers_the_shifted_questions() -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(800):
        x = rng.random(N)
        questions = [
            replace(o, weight=2 * difficulty)
            for o, difficulty in zip(at_distances(x * rng.random(N)), x, strict=True)
        ]
        made = calibrate(questions, Settings(score="cosine", weighting="exact"))
        found += [coverage(made.threshold("", weight=2 * d), d) for d in traffic(rng, 5)]
    values = np.array(found)
    assert values.mean() >= 0.9 - error(values)


def test_estimated_ratios_come_close() -> None:
    rng = np.random.default_rng(2)
    weighted, plain = [], []
    for _ in range(300):
        fitted = fit_ratio(np.log(rng.random((500, 1))), np.log(traffic(rng, 500))[:, None])
        x = rng.random(N)
        scores = x * rng.random(N)
        made = WeightedScores.of(scores, fitted(np.log(x)[:, None]))
        for d in traffic(rng, 5):
            weighted.append(coverage(made.threshold(float(fitted(np.log([[d]]))[0]), 0.1), d))
            plain.append(coverage(np.sort(scores)[conformal_rank(N, 0.1) - 1], d))
    assert np.mean(weighted) > np.mean(plain)
    assert np.mean(weighted) == pytest.approx(0.9, abs=0.02)
