from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.conformal.observations import Observation, check_target, observe, ranked, target_score
from ragguard.conformal.scores import SCORES, make_score
from ragguard.errors import InvalidScoreError, UnknownNameError
from tests.conformal.populations import MISS, examples, observed

COSINE = make_score("cosine")


def test_results_are_ranked_best_first_with_ties_in_the_order_given() -> None:
    names, values = ranked(["c", "a", "b", "d"], [0.5, 0.9, 0.5, -1.0])
    assert names == ["a", "c", "b", "d"]
    assert values.tolist() == [0.9, 0.5, 0.5, -1.0]


def test_a_passage_returned_twice_counts_once_at_its_best() -> None:
    names, values = ranked(["a", "b", "a", "b"], [0.1, 0.4, 0.9, 0.4])
    assert names == ["a", "b"]
    assert values.tolist() == [0.9, 0.4]


def test_no_results_are_no_error() -> None:
    names, values = ranked([], [])
    assert names == []
    assert values.shape == (0,)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_similarity_that_is_no_number_names_its_passage(bad: float) -> None:
    with pytest.raises(InvalidScoreError, match="passage 'p1'"):
        ranked(["p0", "p1", "p2"], [0.5, bad, 0.3])
    with pytest.raises(InvalidScoreError, match="passage 'p1'"):
        observe("q", ["p0", "p1"], [0.5, bad], ["p0"])


@examples()
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from([0.1, 0.2, 0.3]))), st.randoms())
def test_the_order_of_results_changes_no_similarity(results: list[tuple[str, float]], chance: object) -> None:
    shuffled = list(results)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    first = ranked([i for i, _ in results], [s for _, s in results])
    second = ranked([i for i, _ in shuffled], [s for _, s in shuffled])
    assert dict(zip(first[0], first[1], strict=True)) == dict(zip(second[0], second[1], strict=True))
    np.testing.assert_array_equal(first[1], second[1])


def test_a_question_knows_where_its_relevant_passages_stand() -> None:
    found = observe(
        "q", ["a", "b", "c", "b"], [0.2, 0.9, 0.5, 0.9], ["c", "x", "c", "b"], tokens={"a": 7, "b": 3}
    )
    assert found.positions == (1, MISS, 0)
    assert found.answerable
    assert found.top == 0.9
    assert found.tokens is not None
    assert found.tokens.tolist() == [3, 0, 7]


def test_a_question_without_relevant_passages_is_unanswerable() -> None:
    assert not observe("q", ["a"], [0.2], []).answerable


def test_a_question_without_results_has_no_top() -> None:
    found = observe("q", [], [], ["a"])
    assert found.top == -np.inf
    assert found.relevant_scores(COSINE).tolist() == [np.inf]
    assert found.kept(COSINE, 1e9) == 0


def test_a_passage_not_returned_or_beyond_the_cap_is_a_miss() -> None:
    found = Observation("q", np.array([0.9, 0.5, 0.1]), (0, 2, MISS))
    assert found.relevant_scores(COSINE) == pytest.approx([0.1, 0.9, np.inf])
    assert found.relevant_scores(COSINE, cap=3) == pytest.approx([0.1, 0.9, np.inf])
    assert found.relevant_scores(COSINE, cap=2) == pytest.approx([0.1, np.inf, np.inf])


def test_ties_at_the_threshold_are_kept_up_to_the_cap() -> None:
    found = Observation("q", np.array([0.75, 0.5, 0.5, 0.25]), (1,))
    assert found.kept(COSINE, 0.5) == 3
    assert found.kept(COSINE, 0.5, cap=2) == 2
    assert found.kept(COSINE, np.nextafter(0.5, 0)) == 1
    assert found.kept(COSINE, 0.2) == 0


@examples()
@given(observed(most=1), st.sampled_from(SCORES), st.sampled_from([None, 1, 2, 10]))
def test_a_relevant_passage_is_kept_exactly_when_its_score_is_within_the_threshold(
    questions: list[Observation], name: str, cap: int | None
) -> None:
    found, score = questions[0], make_score(name)
    relevant = found.relevant_scores(score, cap=cap)
    for threshold in [*found.nonconformity(score), -5.0, 0.3]:
        count = found.kept(score, threshold, cap=cap)
        assert [0 <= p < count for p in found.positions] == (relevant <= threshold).tolist()


def test_the_target_says_which_relevant_passage_counts() -> None:
    assert target_score(np.array([0.3, 0.1, np.inf]), "any") == 0.1
    assert target_score(np.array([0.3, 0.1, np.inf]), "all") == np.inf
    assert target_score(np.array([0.3, 0.1]), "all") == 0.3


def test_an_unknown_target_is_refused_with_those_known() -> None:
    assert [check_target(t) for t in ("any", "all", "recall")] == ["any", "all", "recall"]
    with pytest.raises(UnknownNameError, match="one of any, all, recall"):
        check_target("some")
