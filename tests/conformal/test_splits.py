from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ragguard.conformal.observations import Observation, Target
from ragguard.conformal.ranks import conformal_rank
from ragguard.conformal.scores import SCORES, Score, make_score
from ragguard.conformal.splits import random_splits
from ragguard.conformal.thresholds import find_threshold
from ragguard.errors import InvalidValueError, TargetUnattainableError, TooFewQuestionsError
from tests.conformal.populations import MISS, at_distances, at_positions, searched


def plainly(
    pool: list[Observation], score: Score, n: int, alpha: float, splits: int, seed: int, **settings: Any
) -> tuple[list[float], list[float]]:
    """The same splits, one by one, through the public threshold search."""
    cap, target = settings.get("cap"), settings.get("target", "any")
    coverage, passages = [], []
    for chosen in np.random.default_rng(seed).random((splits, len(pool))).argpartition(n, axis=1)[:, :n]:
        tested = [o for i, o in enumerate(pool) if i not in set(chosen)]
        try:
            threshold = find_threshold([pool[i] for i in chosen], score, alpha=alpha, **settings).value
        except TargetUnattainableError:
            threshold = np.inf
        met = [
            {"any": np.any, "all": np.all}[target]((r <= threshold) & np.isfinite(r))
            for r in (o.relevant_scores(score, cap=cap) for o in tested)
        ]
        coverage.append(float(np.mean(met)))
        kept = [o.kept(score, threshold, cap=cap) for o in tested]
        passages.append(float(np.mean(kept)) if np.isfinite(threshold) else np.inf)
    return coverage, passages


@pytest.mark.parametrize(
    "settings", [{}, {"target": "all"}, {"cap": 3}, {"delta": 0.2, "cap": 4, "target": "all"}]
)
@pytest.mark.parametrize("name", SCORES)
def test_splits_equal_a_plain_loop(name: str, settings: dict[str, Any]) -> None:
    pool = searched(50, np.random.default_rng(8), relevant=2)
    pool[3] = Observation("miss", pool[3].similarities, (MISS,))
    score = make_score(name)
    found = random_splits(pool, score, n=30, alpha=0.2, splits=12, rng=np.random.default_rng(9), **settings)
    coverage, passages = plainly(pool, score, 30, 0.2, 12, 9, **settings)
    np.testing.assert_allclose(found.coverage, coverage)
    np.testing.assert_allclose(found.passages, passages)
    assert found.unattainable == np.mean(np.isinf(passages))
    assert found.rank == conformal_rank(30, 0.2, settings.get("delta"))
    assert found.expected == found.rank / 31


def test_the_mean_over_splits_obeys_the_law() -> None:
    pool = at_distances(np.random.default_rng(10).random(400))
    for n in (20, 50, 100):
        found = random_splits(
            pool, make_score("cosine"), n=n, alpha=0.1, splits=5000, rng=np.random.default_rng(n)
        )
        summary = found.summary()
        assert summary["expected"] == conformal_rank(n, 0.1) / (n + 1) >= 0.9
        assert abs(summary["coverage"] - summary["expected"]) < 4 * summary["standard_error"]
        assert summary["splits"] == 5000


def test_more_splits_than_fit_one_piece_are_all_made() -> None:
    pool = at_distances(np.random.default_rng(11).random(30))
    found = random_splits(
        pool, make_score("cosine"), n=10, alpha=0.2, splits=1201, rng=np.random.default_rng(0)
    )
    assert found.coverage.shape == found.passages.shape == (1201,)


def test_unanswerable_questions_stay_outside() -> None:
    pool = at_distances(np.random.default_rng(12).random(30))
    beside = [Observation(f"u{i}", np.array([0.9]), ()) for i in range(20)]
    first, second = (
        random_splits(p, make_score("cosine"), n=10, alpha=0.2, splits=20, rng=np.random.default_rng(0))
        for p in (pool, [*pool, *beside])
    )
    np.testing.assert_array_equal(first.coverage, second.coverage)


def test_without_any_reachable_passage_every_split_is_unattainable() -> None:
    found = random_splits(
        at_positions([(MISS,)] * 30),
        make_score("cosine"),
        n=10,
        alpha=0.2,
        splits=5,
        rng=np.random.default_rng(0),
    )
    assert found.unattainable == 1.0
    assert found.coverage.max() == 0.0
    assert found.summary()["mean_passages"] is None


@pytest.mark.parametrize(("n", "target"), [(30, "any"), (0, "any"), (10, "recall")])
def test_splits_without_a_law_are_refused(n: int, target: Target) -> None:
    with pytest.raises(InvalidValueError):
        random_splits(
            at_distances([0.5] * 30), make_score("rank"), n=n, alpha=0.2, splits=5, rng=np.random.default_rng(0),
            target=target,
        )  # fmt: skip


def test_splits_too_small_for_a_rank_are_refused() -> None:
    with pytest.raises(TooFewQuestionsError):
        random_splits(
            at_distances([0.5] * 30),
            make_score("rank"),
            n=8,
            alpha=0.1,
            splits=5,
            rng=np.random.default_rng(0),
        )
