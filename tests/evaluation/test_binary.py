from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, norm

from ragguard.evaluation.binary import (
    Array,
    Labels,
    accuracy_draws,
    auc,
    auc_draws,
    balanced_accuracy,
    best_threshold,
    document_weights,
    interval,
)


def by_pairs(scores: Array, labels: Labels) -> float:
    """The definition: every supported item against every other, ties half."""
    won = [(p > n) + (p == n) / 2 for p in scores[labels == 1] for n in scores[labels == 0]]
    return float(np.mean(won))


tied = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1)), min_size=2, max_size=30).filter(
    lambda rows: {label for _, label in rows} == {0, 1}
)


@given(tied)
def test_auc_is_the_share_of_pairs_in_the_right_order_with_ties_half(rows: list[tuple[int, int]]) -> None:
    scores, labels = np.array([r[0] for r in rows], dtype=float), np.array([r[1] for r in rows])
    assert auc(scores, labels)[0] == pytest.approx(by_pairs(scores, labels))
    u = mannwhitneyu(scores[labels == 1], scores[labels == 0]).statistic
    assert auc(scores, labels)[0] == pytest.approx(u / ((labels == 1).sum() * (labels == 0).sum()))


@given(tied, st.data())
def test_a_weight_counts_an_item_as_often(rows: list[tuple[int, int]], data: st.DataObject) -> None:
    scores, labels = np.array([r[0] for r in rows], dtype=float), np.array([r[1] for r in rows])
    times = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows))))
    repeated_scores, repeated = np.repeat(scores, times), np.repeat(labels, times)
    found = auc(scores, labels, times[None].astype(float))[0]
    accuracy = balanced_accuracy(scores, labels, 2.0, times[None].astype(float))[0]
    if set(repeated.tolist()) == {0, 1}:
        assert found == pytest.approx(by_pairs(repeated_scores, repeated))
        assert accuracy == pytest.approx(balanced_accuracy(repeated_scores, repeated, 2.0)[0])
    else:
        assert np.isnan(found)
        assert np.isnan(accuracy)


def test_auc_of_two_normals_is_its_closed_form() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([1, 0], 200_000)
    scores = rng.normal(size=400_000) + labels  # means one apart: AUC = Phi(1/sqrt 2)
    assert auc(scores, labels)[0] == pytest.approx(norm.cdf(1 / np.sqrt(2)), abs=0.003)


def test_a_score_equal_to_the_threshold_is_not_above_it() -> None:
    scores, labels = np.array([0.2, 0.5, 0.5, 0.9]), np.array([0, 0, 1, 1])
    assert balanced_accuracy(scores, labels, 0.5)[0] == 0.75
    assert balanced_accuracy(scores, labels, 0.49)[0] == 0.75
    assert balanced_accuracy(scores, labels, 0.9)[0] == 0.5


@given(tied)
def test_no_threshold_does_better_than_the_best_one(rows: list[tuple[int, int]]) -> None:
    scores, labels = np.array([r[0] for r in rows], dtype=float), np.array([r[1] for r in rows])
    best = balanced_accuracy(scores, labels, best_threshold(scores, labels))[0]
    tried = [balanced_accuracy(scores, labels, t)[0] for t in np.arange(-0.5, 5)]
    assert best == pytest.approx(max(tried))


def test_one_label_alone_chooses_no_threshold() -> None:
    assert np.isnan(best_threshold(np.array([0.1, 0.9]), np.array([1, 1])))


def test_documents_are_drawn_whole_and_the_same_way_each_time() -> None:
    documents = ["a", "b", "a", "c", "b", "a"]
    drawn = document_weights(documents, resamples=400, seed=1, name="q2:tuning")
    assert (drawn[:, 0] == drawn[:, 2]).all()
    assert (drawn[:, 1] == drawn[:, 4]).all()
    assert (drawn[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert drawn.mean() == pytest.approx(1.0, abs=0.1)
    np.testing.assert_array_equal(drawn, document_weights(documents, resamples=400, seed=1, name="q2:tuning"))
    other = document_weights(documents, resamples=400, seed=1, name="wice:tuning")
    assert (drawn != other).any()


def test_copies_of_an_item_in_its_document_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, 80)
    scores = rng.normal(size=80) + labels
    documents = [str(i) for i in range(80)]

    def width(times: int) -> float:
        weights = document_weights(documents * times, resamples=1000, seed=0, name="set")
        found = interval(auc_draws(np.tile(scores, times), np.tile(labels, times), weights))
        assert found is not None
        return found[1] - found[0]

    assert width(10) == pytest.approx(width(1))


def test_the_interval_covers_about_as_often_as_it_says() -> None:
    rng, covered = np.random.default_rng(3), 0
    for trial in range(120):
        labels = np.repeat([1, 0], 60)
        shifts = np.repeat(rng.normal(size=40), 3) * 0.5  # three items a document move together
        scores = rng.normal(size=120) + labels + shifts
        documents = [str(i // 3) for i in range(120)]
        weights = document_weights(documents, resamples=300, seed=trial, name="set")
        low, high = interval(auc_draws(scores, labels, weights)) or (1.0, 0.0)
        covered += low <= norm.cdf(1 / np.sqrt(2 * 1.25)) <= high
    assert 0.86 <= covered / 120 <= 1.0


def test_rows_taken_some_at_a_time_are_those_taken_at_once() -> None:
    rng = np.random.default_rng(4)
    scores, labels = rng.integers(0, 9, 50).astype(float), rng.integers(0, 2, 50)
    weights = rng.integers(0, 3, (601, 50)).astype(float)
    np.testing.assert_allclose(auc_draws(scores, labels, weights), auc(scores, labels, weights))
    whole = balanced_accuracy(scores, labels, 4.0, weights)
    np.testing.assert_allclose(accuracy_draws(scores, labels, 4.0, weights), whole)


def test_draws_without_a_value_are_left_out_of_the_interval() -> None:
    assert interval(np.array([np.nan, 0.5, np.nan])) == [0.5, 0.5]
    assert interval(np.array([np.nan])) is None
