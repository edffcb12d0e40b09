from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ragguard.errors import InvalidValueError
from ragguard.preference.mgda import residual, two, weights

SCALES = (1e-6, 1e-4, 1e-2, 1.0, 1e3, 1e6)


def random_gradients(tasks: int, seed: int, *, n: int = 7) -> np.ndarray:
    """Rows of very different lengths, correlated, as objectives of one model are."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(tasks, n)) + rng.normal(size=n)
    return rows * np.exp(rng.normal(size=(tasks, 1)))


def test_one_objective_gets_all_the_weight() -> None:
    assert weights([[3.0, -4.0]]) == pytest.approx([1.0])


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1.0, 0.0], [2.0, 1.0], 1.0),  # the first is nearest already
        ([2.0, 1.0], [1.0, 0.0], 0.0),  # the second is
        ([1.0, 0.0], [0.0, 2.0], 0.8),  # the foot of the perpendicular
        ([1.0, 1.0], [1.0, 1.0], 1.0),  # the same twice: any weight would do
    ],
)
def test_two_objectives_follow_the_closed_form(
    first: list[float], second: list[float], expected: float
) -> None:
    assert two(first, second) == pytest.approx(expected)
    assert weights([first, second]) == pytest.approx([expected, 1 - expected])


def test_opposed_equal_gradients_weigh_half_each_and_cancel() -> None:
    gradients = np.array([[1.0, -2.0], [-1.0, 2.0]])
    found = weights(gradients)
    assert found == pytest.approx([0.5, 0.5])
    assert found @ gradients == pytest.approx([0.0, 0.0])


@pytest.mark.parametrize("tasks", [2, 3, 4, 6])
@pytest.mark.parametrize("seed", range(40))
def test_the_weights_are_on_the_simplex_and_optimal(tasks: int, seed: int) -> None:
    gradients = random_gradients(tasks, seed)
    found = weights(gradients)
    assert found.sum() == pytest.approx(1.0, abs=1e-12)
    assert (found >= 0).all()
    assert residual(gradients, found) < 1e-9


@pytest.mark.parametrize("seed", range(30))
def test_no_other_combination_is_shorter(seed: int) -> None:
    gradients = random_gradients(3, seed, n=4)
    shortest = np.linalg.norm(weights(gradients) @ gradients)
    others = np.random.default_rng(seed).dirichlet(np.full(3, 0.5), size=4000) @ gradients
    assert shortest <= np.linalg.norm(others, axis=1).min() + 1e-12


def test_a_vertex_that_looks_good_is_left_for_an_edge() -> None:
    """The nearest single gradient is the third; the optimum mixes it with the first and not with the second."""
    gradients = np.array([[-2.0, 1.0, 0.0], [5.0, 5.0, 5.0], [0.7, 0.5, 0.0]])
    found = weights(gradients)
    assert found[1] == 0.0
    assert 0.05 < found[0] < 0.5
    assert residual(gradients, found) < 1e-12


def test_three_gradients_around_the_origin_use_all_three() -> None:
    angles = np.deg2rad([90.0, 210.0, 330.0])
    gradients = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert weights(gradients) == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("seed", range(20))
def test_the_iteration_agrees_with_the_enumeration_of_faces(seed: int) -> None:
    gradients = random_gradients(3, seed)
    far = gradients.sum(axis=0) * 100  # a fourth that no optimum uses
    found = weights(np.vstack([gradients, far]))
    assert found[:3] == pytest.approx(weights(gradients), abs=1e-6)


@pytest.mark.parametrize("normalise", ["none", "l2"])
@pytest.mark.parametrize("tasks", [2, 3, 5])
@pytest.mark.parametrize("scale", SCALES)
def test_the_weights_do_not_depend_on_the_scale(tasks: int, scale: float, normalise: str) -> None:
    for seed in range(10):
        gradients = random_gradients(tasks, seed)
        assert weights(scale * gradients, normalise=normalise) == pytest.approx(
            weights(gradients, normalise=normalise), abs=1e-6
        )


def test_scales_at_the_edge_of_floats_do_no_harm() -> None:
    gradients = random_gradients(3, 5)
    for scale in (1e-250, 1e250):
        assert weights(scale * gradients) == pytest.approx(weights(gradients), abs=1e-9)


@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_a_solved_objective_does_not_freeze_the_others(tasks: int) -> None:
    gradients = random_gradients(tasks, 1)
    gradients[0] = 0.0
    found = weights(gradients)
    assert found[0] == 0.0
    assert found[1:] == pytest.approx(weights(gradients[1:]), abs=1e-6)
    assert np.linalg.norm(found @ gradients) > 0


def test_where_nothing_is_left_to_learn_all_weigh_the_same() -> None:
    assert weights(np.zeros((3, 4))) == pytest.approx([1 / 3] * 3)


def test_l2_does_not_prefer_the_smallest_gradient() -> None:
    gradients = np.array([[1.0, 0.0], [0.0, 1e-3]])
    assert weights(gradients)[1] > 0.999
    found = weights(gradients, normalise="l2")
    steps = found[:, None] * gradients
    assert np.linalg.norm(steps[0]) == pytest.approx(np.linalg.norm(steps[1]))


@given(
    npst.arrays(
        np.float64,
        st.tuples(st.integers(1, 3), st.integers(1, 4)),
        elements=st.floats(-5, 5, allow_subnormal=False).map(lambda x: round(x, 3)),
    )
)
def test_any_gradients_give_optimal_weights_among_those_not_zero(gradients: np.ndarray) -> None:
    found = weights(gradients)
    assert found.sum() == pytest.approx(1.0)
    assert (found >= 0).all()
    live = np.linalg.norm(gradients, axis=1) > 0
    if live.any():
        assert residual(gradients[live], found[live]) < 1e-9


@pytest.mark.parametrize(
    "gradients", [np.zeros((0, 3)), np.zeros(3), [[np.nan, 1.0]], [[np.inf, 1.0], [0.0, 1.0]]]
)
def test_what_is_no_gradient_is_refused_by_name(gradients: object) -> None:
    with pytest.raises(InvalidValueError, match="gradients"):
        weights(gradients)  # type: ignore[arg-type]


def test_an_unknown_normalisation_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="'loss'"):
        weights([[1.0]], normalise="loss")
