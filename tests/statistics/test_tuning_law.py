"""A temperature chosen on the tuning share keeps the bound of the questions calibrated on.

Chosen on the calibration questions themselves it need not: the cheapest of many scores
on those questions is the one whose threshold is luckily low there.
"""

from __future__ import annotations

import numpy as np
import pytest

from ragguard.conformal.calibrate import Settings, calibrate
from ragguard.conformal.evaluate import evaluate
from ragguard.conformal.ranks import conformal_rank
from ragguard.conformal.thresholds import find_threshold
from ragguard.conformal.tuning import choose
from tests.conformal.populations import searched


def share_covered(name: str, draws: int, seed: int, *, n: int) -> tuple[np.ndarray, int]:
    rng, found, held = np.random.default_rng(seed), [], 0
    for _ in range(draws):
        made = calibrate(searched(n, rng), Settings(score=name))
        held = made.artifact.n
        found.append(evaluate(searched(60, rng), made)["coverage"])
    return np.array(found), held


def test_tuning_on_its_own_share_keeps_coverage() -> None:
    found, held = share_covered("softmax", 25, 0, n=60)
    assert held == 48
    assert found.mean() >= 0.9 - 4 * found.std(ddof=1) / np.sqrt(25)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["softmax", "auto"])
def test_tuning_on_its_own_share_keeps_coverage_over_many_sets(name: str) -> None:
    found, held = share_covered(name, 600, 1, n=60)
    error = 4 * found.std(ddof=1) / np.sqrt(600)
    expected = conformal_rank(held, 0.1) / (held + 1)
    assert found.mean() >= 0.9 - error
    # Rank and ties aside, the law of the questions left holds exactly.
    assert found.mean() >= expected - error


@pytest.mark.slow
def test_choosing_on_the_calibration_questions_covers_less_than_the_law() -> None:
    rng, found = np.random.default_rng(2), []
    for _ in range(400):
        questions = searched(20, rng)
        score = choose(questions, "auto", alpha=0.1)[0].score
        threshold = find_threshold(questions, score, alpha=0.1).value
        found.append(np.mean([o.relevant_scores(score)[0] <= threshold for o in searched(60, rng)]))
    assert np.mean(found) + 4 * np.std(found, ddof=1) / np.sqrt(400) < conformal_rank(20, 0.1) / 21
