from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.conformal.scores import DEFAULT_TEMPERATURE, SCORES, Score, make_score
from ragguard.errors import InvalidValueError, UnknownNameError
from tests.conformal.populations import examples

FINITE = st.floats(allow_nan=False, allow_infinity=False)
COSINES = st.floats(-1, 1)
ANY_SCORE = st.one_of(
    st.sampled_from(SCORES).map(make_score),
    st.floats(min_value=0, exclude_min=True, allow_infinity=False).map(
        lambda t: make_score("softmax", temperature=t)
    ),
)


def descending(values: list[float]) -> np.ndarray:
    return np.sort(np.array(values, dtype=np.float64))[::-1]


@examples()
@given(st.one_of(st.lists(FINITE, max_size=20), st.lists(COSINES, max_size=20)), ANY_SCORE)
def test_nonconformity_is_finite_and_never_falls_down_the_ranking(values: list[float], score: Score) -> None:
    found = score(descending(values))
    assert found.shape == (len(values),)
    assert found.dtype == np.float64
    assert np.isfinite(found).all()
    assert (found[1:] >= found[:-1]).all()


@examples()
@given(st.lists(COSINES, min_size=1, max_size=20), ANY_SCORE)
def test_equal_similarities_are_equally_strange_except_in_rank(values: list[float], score: Score) -> None:
    similarities = descending([*values, values[0]])
    found = score(similarities)
    if score.name != "rank":
        assert len(set(found[similarities == values[0]])) == 1


@pytest.mark.parametrize("name", SCORES)
def test_no_passages_have_no_scores(name: str) -> None:
    assert make_score(name)(np.empty(0)).shape == (0,)


def test_the_scores_are_their_formulas() -> None:
    similarities = np.array([0.8, 0.6, 0.6, -0.2])
    odds = np.exp(similarities / 0.1)
    expected = {
        "cosine": 1 - similarities,
        "gap": 0.8 - similarities,
        "ratio": 1 - similarities / 0.8,
        "rank": [1, 2, 3, 4],
        "external": -similarities,
        "softmax": -np.log(odds / odds.sum()),
    }
    assert set(expected) == set(SCORES)
    for name, values in expected.items():
        np.testing.assert_allclose(make_score(name, temperature=0.1)(similarities), values, rtol=1e-12)


@pytest.mark.parametrize("best", [0.4, 0.0, -0.4])
def test_the_ratio_keeps_the_best_passage_nearest_whatever_its_sign(best: float) -> None:
    found = make_score("ratio")(np.array([best, best - 0.1, best - 0.5]))
    assert found[0] == 0.0
    assert found[0] < found[1] < found[2]


@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e-12, 1e12, 1e300])
def test_softmax_is_finite_at_any_temperature(temperature: float) -> None:
    found = make_score("softmax", temperature=temperature)(np.array([0.9, 0.9, 0.5, -1.0]))
    assert np.isfinite(found).all()
    assert found[:2] == pytest.approx(np.log(2) if temperature < 1 else np.log(4))


@pytest.mark.parametrize("temperature", [0.0, -0.1, float("nan"), float("inf")])
def test_a_temperature_is_a_positive_number(temperature: float) -> None:
    with pytest.raises(InvalidValueError, match="temperature"):
        make_score("softmax", temperature=temperature)


def test_the_temperature_is_recorded_with_the_score() -> None:
    assert make_score("softmax").parameters == {"temperature": DEFAULT_TEMPERATURE}
    assert make_score("softmax", temperature=0.5).parameters == {"temperature": 0.5}
    assert make_score("gap", temperature=0.5).parameters == {}


def test_an_unknown_score_is_refused_with_those_known() -> None:
    with pytest.raises(UnknownNameError, match="one of softmax, cosine, gap, ratio, rank, external"):
        make_score("euclid")
