from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.conformal.novelty import NoveltyTest
from tests.conformal.populations import examples


@examples()
@given(st.lists(st.sampled_from([-np.inf, 0.1, 0.2, 0.2, 0.7]), min_size=1, max_size=30), st.floats(-1, 1))
def test_the_p_value_is_the_share_of_tops_as_low_with_the_question_among_them(
    tops: list[float], top: float
) -> None:
    test = NoveltyTest(np.sort(tops), 0.1)
    assert test.p_value(top) == (1 + sum(t <= top for t in tops)) / (len(tops) + 1)


def test_a_tie_counts_as_lower_so_that_it_never_turns_away_more() -> None:
    test = NoveltyTest(np.full(39, 0.5), 0.05)
    assert test.p_value(0.5) == 1.0
    assert not test.is_novel(0.5)
    assert test.is_novel(0.4999)


@pytest.mark.parametrize(
    ("n", "level", "fires"), [(18, 0.05, False), (19, 0.05, True), (9, 0.1, True), (8, 0.1, False)]
)
def test_too_few_questions_can_turn_nobody_away(n: int, level: float, fires: bool) -> None:
    test = NoveltyTest(np.linspace(0.3, 0.9, n), level)
    assert test.can_fire is fires
    assert test.is_novel(-np.inf) is fires


def test_a_p_value_at_the_level_turns_away() -> None:
    test = NoveltyTest(np.linspace(0.1, 0.9, 19), 0.1)
    assert test.p_value(0.1) == 0.1
    assert test.is_novel(0.1)
    assert not test.is_novel(0.2)


def test_the_rejections_of_exchangeable_questions_are_exactly_the_ranks_within_the_level() -> None:
    # Leave one out: of n + 1 questions exactly floor(level (n + 1)) have a p-value within the level.
    values = np.random.default_rng(0).normal(size=60)
    for level in (0.02, 0.05, 0.1, 0.5):
        novel = [NoveltyTest(np.sort(np.delete(values, i)), level).is_novel(values[i]) for i in range(60)]
        assert sum(novel) == int(level * 60 + 1e-9)


@examples()
@given(st.lists(st.sampled_from([0.1, 0.2, 0.3]), min_size=2, max_size=40), st.sampled_from([0.05, 0.1, 0.3]))
def test_with_ties_no_more_than_the_level_are_turned_away(values: list[float], level: float) -> None:
    array = np.array(values)
    novel = [NoveltyTest(np.sort(np.delete(array, i)), level).is_novel(array[i]) for i in range(len(array))]
    assert np.mean(novel) <= level + 1e-9
