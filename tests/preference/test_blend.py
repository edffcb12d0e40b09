"""The blend: monotone in every part, and weights that are chosen where they should be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.errors import InvalidValueError
from ragguard.preference.blend import Blend, Judged, Parts, choose, mean_reciprocal_rank

numbers = st.floats(-8, 8, allow_nan=False)


def parts_of(relevance: list[float], similarity: list[float], bm25: list[float]) -> Parts:
    return Parts(np.array(relevance), np.array(similarity), np.array(bm25))


@given(st.lists(st.tuples(numbers, numbers, st.floats(0, 20)), min_size=2, max_size=6))
def test_no_part_that_rises_lowers_a_score(rows: list[tuple[float, float, float]]) -> None:
    blend = Blend(0.4, 0.4, 0.2)
    columns = [list(column) for column in zip(*rows, strict=True)]
    before = blend.scores(parts_of(*columns))
    for column in columns[:2]:
        column[0] += 1.0
    after = blend.scores(parts_of(*columns))
    assert after[0] > before[0]
    np.testing.assert_array_equal(after[1:], before[1:])


def test_a_part_without_weight_is_not_looked_at() -> None:
    found = Blend(1.0, 0.0, 0.0).scores(parts_of([32.0, 0.0], [np.nan, np.nan], [np.nan, np.nan]))
    assert found.tolist() == [1.0, 0.0]


def test_the_length_of_a_question_does_not_change_what_bm25_weighs() -> None:
    blend = Blend(0.0, 0.0, 1.0)
    short, long = [1.0, 2.0, 0.0], [10.0, 20.0, 0.0]
    np.testing.assert_allclose(
        blend.scores(parts_of([0] * 3, [0] * 3, short)), blend.scores(parts_of([0] * 3, [0] * 3, long))
    )
    assert blend.scores(parts_of([0], [0], [0])).tolist() == [0.0]


@pytest.mark.parametrize(
    "weights",
    [{"relevance": 0.5}, {"relevance": 1.5, "bm25": -0.5}, {"relevance": float("nan")}, {"cosine": 1}],
)
def test_refuses_weights_that_are_none(weights: dict[str, float]) -> None:
    with pytest.raises(InvalidValueError):
        Blend.of(weights)


def questions_where(part: str, count: int = 200) -> list[Judged]:
    """Questions whose relevant candidate stands out in one part; the others are chance."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(count):
        columns = {name: rng.normal(size=8) for name in ("relevance", "similarity", "bm25")}
        columns["relevance"] *= 3
        columns["similarity"] *= 0.1
        columns["bm25"] = np.abs(columns["bm25"])
        relevant = np.zeros(8, dtype=bool)
        relevant[rng.integers(8)] = True
        columns[part] = columns[part] + relevant * {"relevance": 6, "similarity": 0.2, "bm25": 2}[part]
        found.append(Judged(Parts(**columns), relevant))
    return found


@pytest.mark.parametrize("part", ["relevance", "similarity", "bm25"])
def test_chooses_the_part_that_tells(part: str) -> None:
    asked = questions_where(part)
    chosen = choose(asked)
    assert chosen.weights[part] == max(chosen.weights.values())
    alone = Blend.of({part: 1.0})
    assert mean_reciprocal_rank(chosen, asked) >= mean_reciprocal_rank(alone, asked)


def test_a_part_left_out_gets_no_weight() -> None:
    assert choose(questions_where("similarity", 40), without=["similarity"]).similarity == 0.0


def test_a_relevant_passage_out_of_reach_counts_zero() -> None:
    parts = parts_of([1.0, 0.0], [0.0, 0.0], [0.0, 0.0])
    asked = [Judged(parts, [True, False]), Judged(parts, [False, True]), Judged(parts, [False, False])]
    assert mean_reciprocal_rank(Blend(), asked) == pytest.approx((1 + 0.5 + 0) / 3)


def test_weights_need_questions() -> None:
    with pytest.raises(InvalidValueError):
        choose([])


def test_a_small_group_counts_as_much_as_a_large_one() -> None:
    many, few = questions_where("relevance", 200), questions_where("similarity", 20)
    together = choose([*many, *few]).weights
    alike = choose([*many, *few], groups=["many"] * 200 + ["few"] * 20).weights
    assert alike["similarity"] > together["similarity"]
    with pytest.raises(InvalidValueError, match="2 questions have 1"):
        choose(many[:2], groups=["one"])
