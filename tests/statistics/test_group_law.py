"""One threshold a group covers each group; the pooled threshold beside them covers not even the whole."""

from __future__ import annotations

import numpy as np

from ragguard.conformal.calibrate import Settings, calibrate
from ragguard.conformal.groups import REST
from ragguard.conformal.observations import Observation
from ragguard.conformal.ranks import conformal_rank
from ragguard.conformal.scores import make_score
from ragguard.conformal.thresholds import find_threshold
from tests.conformal.populations import at_distances

SMALL = [f"s{i}" for i in range(8)]
"""Groups of six hard questions each, with distances up to 2; the large one has 72 easy ones, up to 1."""
DRAWS = 200


def question_set(rng: np.random.Generator) -> list[Observation]:
    hard = [o for name in SMALL for o in at_distances(2 * rng.random(6), group=name)]
    return [*at_distances(rng.random(72), group="large"), *hard]


def error(values: np.ndarray) -> float:
    return 4 * float(values.std(ddof=1) / np.sqrt(len(values)))


def test_every_category_covers_at_the_rank_of_its_own_size() -> None:
    rng = np.random.default_rng(0)
    large, rest, overall, pooled_overall = (np.empty(DRAWS) for _ in range(4))
    for i in range(DRAWS):
        questions = question_set(rng)
        made = calibrate(questions, Settings(score="cosine", grouped=True))
        assert {made.category(name) for name in SMALL} == {REST}
        large[i] = min(made.threshold("large"), 1.0)
        rest[i] = min(made.threshold(REST) / 2, 1.0)
        overall[i] = 0.6 * large[i] + 0.4 * rest[i]
        pooled = find_threshold(questions, make_score("cosine"), alpha=0.1).value
        pooled_overall[i] = 0.6 * large[i] + 0.4 * min(pooled / 2, 1.0)
    assert abs(large.mean() - conformal_rank(72, 0.1) / 73) < error(large)
    assert abs(rest.mean() - conformal_rank(48, 0.1) / 49) < error(rest)
    assert overall.mean() >= 0.9 - error(overall)
    # The small groups under the pooled threshold: the whole falls short by far more than noise.
    assert pooled_overall.mean() + error(pooled_overall) < 0.88


def test_one_pooled_threshold_covers_the_whole_and_not_its_hard_part() -> None:
    rng = np.random.default_rng(1)
    thresholds = np.array(
        [find_threshold(question_set(rng), make_score("cosine"), alpha=0.1).value for _ in range(DRAWS)]
    )
    overall = 0.6 * np.minimum(thresholds, 1) + 0.4 * np.minimum(thresholds / 2, 1)
    assert overall.mean() >= 0.9 - error(overall)
    assert np.minimum(thresholds / 2, 1).mean() < 0.8
