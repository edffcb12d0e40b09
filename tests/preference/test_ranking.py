from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from ragguard.errors import InvalidScoreError, InvalidValueError
from ragguard.preference.ranking import (
    aligned_at,
    global_auc,
    harm_at,
    hit,
    means_of,
    metrics_of,
    ndcg,
    order_of,
    reciprocal_rank,
    within_auc,
)


def test_the_best_order_has_ndcg_one_and_every_other_less() -> None:
    gains = [1.0, 0.5, 0.0, -1.0]
    found = {order: ndcg(order) for order in itertools.permutations(gains)}
    assert found.pop(tuple(gains)) == pytest.approx(1.0)
    assert max(found.values()) < 1.0


def test_ndcg_is_the_written_out_sum() -> None:
    # Gains from the lowest: 1, 0, 2. Best: 2, 1, 0.
    expected = (1 + 2 / math.log2(4)) / (2 + 1 / math.log2(3))
    assert ndcg([0.0, -1.0, 1.0]) == pytest.approx(expected)


def test_a_harmful_passage_above_a_neutral_one_costs() -> None:
    assert ndcg([-1.0, 0.0]) < ndcg([0.0, -1.0]) == pytest.approx(1.0)


def test_a_constant_added_to_all_gains_changes_nothing() -> None:
    gains = np.array([0.2, -0.4, 0.6])
    assert ndcg(gains) == pytest.approx(ndcg(gains + 0.3))


def test_equal_gains_have_no_order_to_be_judged() -> None:
    for gains in ([], [0.5], [0.0, 0.0], [-1.0, -1.0, -1.0]):
        assert math.isnan(ndcg(gains))


def test_equal_scores_keep_the_retrievers_order_however_the_input_is_sorted() -> None:
    scores, ranks = np.array([0.5, 0.5, 0.9, 0.5]), np.array([3, 1, 4, 2])
    names = np.array(list("cadb"))
    for mixed in itertools.permutations(range(4)):
        rows = list(mixed)
        assert "".join(names[rows][order_of(scores[rows], ranks=ranks[rows])]) == "dabc"


def test_constant_scores_are_worth_what_the_retrievers_order_is() -> None:
    constant = np.zeros(3)
    assert metrics_of(constant, [1.0, 0.0, 0.0])["mrr@10"] == 1.0
    assert metrics_of(constant, [1.0, 0.0, 0.0], ranks=[3, 1, 2])["mrr@10"] == pytest.approx(1 / 3)


def test_passages_of_equal_gain_may_change_places() -> None:
    scores = [0.3, 0.2, 0.1]
    assert metrics_of(scores, [0.0, 0.0, 1.0]) == metrics_of([0.2, 0.3, 0.1], [0.0, 0.0, 1.0])


def test_nan_scores_are_an_error_and_infinity_is_a_score() -> None:
    with pytest.raises(InvalidScoreError, match="1 of 2"):
        order_of([0.0, math.nan])
    assert list(order_of([0.0, math.inf, -math.inf])) == [1, 0, 2]


def test_scores_and_ranks_of_different_length_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="shape"):
        order_of([0.1, 0.2], ranks=[1])


def test_first_places_count_what_helped_and_what_harmed() -> None:
    ordered = [0.0, 1.0, -1.0, -0.5]
    assert reciprocal_rank(ordered) == 0.5
    assert reciprocal_rank(ordered, k=1) == 0.0
    assert (hit(ordered), hit(ordered, k=2)) == (0.0, 1.0)
    assert (aligned_at(ordered, k=2), harm_at(ordered, k=2), harm_at(ordered, k=4)) == (0.5, 0.0, 0.5)
    assert math.isnan(reciprocal_rank([0.0, -1.0]))
    assert math.isnan(hit([0.0]))
    assert math.isnan(harm_at([], k=1))


def test_within_auc_counts_pairs_of_different_gain_alone() -> None:
    assert within_auc([3.0, 2.0, 1.0], [1.0, 0.0, 0.0]) == 1.0
    assert within_auc([1.0, 2.0, 3.0], [1.0, 0.0, 0.0]) == 0.0
    assert within_auc([1.0, 1.0], [1.0, 0.0]) == 0.5
    assert math.isnan(within_auc([1.0, 2.0], [0.0, 0.0]))


def test_global_auc_is_the_share_of_pairs_in_order() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 6, 80).astype(float), rng.random(80) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[labels] for b in scores[~labels]]
    assert global_auc(scores, labels) == pytest.approx(np.mean(pairs))
    assert math.isnan(global_auc([1.0, 2.0], [True, True]))


def test_a_score_of_the_question_alone_has_no_skill_within_questions() -> None:
    """The shortcut: labels follow the question, so telling questions apart looks like skill."""
    known = np.arange(40) % 2 == 0
    gains = [[0.0, -1.0] if k else [1.0, 0.0] for k in known]
    scores = [[-1.0, -1.0] if k else [1.0, 1.0] for k in known]
    labelled = [
        (s, g > 0) for ss, gs in zip(scores, gains, strict=True) for s, g in zip(ss, gs, strict=True) if g
    ]
    assert global_auc(*zip(*labelled, strict=True)) == 1.0
    assert {within_auc(s, g) for s, g in zip(scores, gains, strict=True)} == {0.5}


def test_means_leave_out_questions_without_better_and_worse() -> None:
    rows = [metrics_of([2.0, 1.0], [1.0, 0.0]), metrics_of([2.0, 1.0], [0.0, 0.0])]
    found = means_of(rows)
    assert (found["questions"], found["informative_questions"], found["ndcg"]) == (2, 1, 1.0)
    assert means_of([rows[1]])["ndcg"] is None
    assert means_of([]) == {"questions": 0}
