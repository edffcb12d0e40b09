"""Which end of a store's scores is the best, told by what it gives texts that are searched for by themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.conformal.orientation import Hits, check_orientation
from ragguard.errors import ScoreOrientationError

BEST: Hits = [("a", 0.9), ("b", 0.4), ("c", 0.1)]
WORST: Hits = [("a", 0.1), ("b", 0.4), ("c", 0.9)]
SAME: Hits = [("a", 0.5), ("b", 0.5)]

numbers = st.floats(-1e6, 1e6)


@given(own=numbers, gaps=st.lists(st.floats(1e-3, 1e6), min_size=1))
def test_similarities_and_distances_are_told_apart(own: float, gaps: list[float]) -> None:
    similar = [("own", own), *((str(i), own - gap) for i, gap in enumerate(gaps))]
    distant = [("own", own), *((str(i), own + gap) for i, gap in enumerate(gaps))]
    for hits, higher in ((similar, True), (distant, False)):
        check_orientation([("own", hits)], higher_is_better=higher)
        with pytest.raises(ScoreOrientationError, match="worse end"):
            check_orientation([("own", hits)], higher_is_better=not higher)


@given(
    hits=st.lists(st.tuples(st.sampled_from("abc"), numbers), max_size=5),
    factor=st.sampled_from([0.5, 2.0, 8.0]),
)
def test_the_unit_of_the_scores_says_nothing(hits: list[tuple[str, float]], factor: float) -> None:
    def verdict(scored: Hits) -> str:
        try:
            check_orientation([("a", scored)], higher_is_better=True)
        except ScoreOrientationError as error:
            return str(error)
        return "right"

    exact = [(name, float(round(score))) for name, score in hits]
    assert verdict(exact) == verdict([(name, factor * score) for name, score in exact])


@pytest.mark.parametrize("probes", [[], [("a", [])], [("a", SAME)], [("z", BEST)], [("a", [("a", 1.0)])]])
def test_what_tells_no_direction_is_refused(probes: list[tuple[str, Hits]]) -> None:
    for higher in (True, False):
        with pytest.raises(ScoreOrientationError, match="cannot be told") as raised:
            check_orientation(probes, higher_is_better=higher)
        assert raised.value.details == {"probed": len(probes)}


def test_a_probe_that_tells_nothing_leaves_the_word_to_the_others() -> None:
    check_orientation([("a", SAME), ("a", BEST)], higher_is_better=True)


def test_scores_that_say_now_this_and_now_that_are_refused() -> None:
    with pytest.raises(ScoreOrientationError, match="one way for some texts") as raised:
        check_orientation([("a", BEST), ("a", BEST), ("a", WORST)], higher_is_better=True)
    assert raised.value.details == {"better": 2, "worse": 1}
    with pytest.raises(ScoreOrientationError, match="one way for some texts"):
        check_orientation([("a", BEST), ("a", WORST)], higher_is_better=True)
    with pytest.raises(ScoreOrientationError, match="worse end"):
        check_orientation([("a", BEST), ("a", WORST), ("a", WORST)], higher_is_better=True)


def test_of_a_text_that_is_stored_twice_the_better_place_counts() -> None:
    check_orientation([("a", [("a", 0.1), *BEST])], higher_is_better=True)
