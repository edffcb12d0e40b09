"""Weights for several objectives such that one step serves them all: the shortest point of a hull.

The convex hull of the objectives' gradients has one point nearest to the origin.
A step against it lowers every objective, unless no such step exists; then it is
the origin itself. Its weights do not depend on the gradients' common scale.

A zero gradient would be that nearest point: one objective already solved would
stop all others. So objectives of negligible gradient are left out, with weight 0;
where all are negligible, all weigh the same.

References:
    Désidéri (2012), Multiple-gradient descent algorithm.
    Sener and Koltun (2018), Multi-task learning as multi-objective optimization, section 3.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ragguard.errors import InvalidValueError

Floats = NDArray[np.float64]

NEGLIGIBLE = 1e-9
"""Of the longest gradient's length: shorter ones are left out, as they move nothing."""
NORMALISATIONS = ("none", "l2")
_EXACT = 3
_TOLERANCE = 1e-10
_MOST_STEPS = 20_000


def weights(gradients: ArrayLike, *, normalise: str = "none", negligible: float = NEGLIGIBLE) -> Floats:
    """Return the weights of the shortest convex combination of the gradients.

    Exact for up to three of them; beyond, within a relative gap of 1e-10 or 20,000
    steps. Gradients are constants here: nothing flows back through the weights.

    Args:
        gradients: shape (objectives, n), finite.
        normalise: "none"; "l2" finds the shortest combination of unit gradients, so
            that a small gradient is not preferred for being small. The weights
            returned still apply to the gradients as they are.
        negligible: a gradient shorter than this share of the longest gets weight 0.

    Returns:
        Shape (objectives,), non-negative, summing to 1.

    Raises:
        InvalidValueError: no gradient, another shape, NaN or infinity, or an unknown normalisation.
    """
    if normalise not in NORMALISATIONS:
        raise InvalidValueError(
            f"unknown normalisation {normalise!r}", hint=f"use one of {', '.join(NORMALISATIONS)}"
        )
    found = _checked(gradients)
    largest = float(np.abs(found).max(initial=0.0))
    if largest == 0.0:
        return np.full(len(found), 1.0 / len(found))
    scaled = found / largest  # before any square: 1e-200 squared is 0
    lengths = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))
    live = np.flatnonzero(lengths > negligible * lengths.max())
    unit = scaled[live] / lengths[live, None] if normalise == "l2" else scaled[live]
    solved = _solve(unit)
    if normalise == "l2":
        solved = solved / lengths[live]
        solved = solved / solved.sum()
    result = np.zeros(len(found))
    result[live] = solved
    return result


def two(first: ArrayLike, second: ArrayLike) -> float:
    """Return the weight of the first of two gradients in their shortest combination.

    Closed form: 1 where the first is already nearest, 0 where the second is, else
    the foot of the perpendicular from the origin.
    """
    g, h = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    product, gg, hh = float(g @ h), float(g @ g), float(h @ h)
    if product >= gg:
        return 1.0
    if product >= hh:
        return 0.0
    return float(h @ (h - g)) / float((g - h) @ (g - h))


def residual(gradients: ArrayLike, found: ArrayLike) -> float:
    """Return by how much the weights miss optimality, relative to the largest squared length.

    At the optimum no gradient's product with the combination is below the
    combination's own square (Karush, Kuhn and Tucker); this is the largest shortfall.
    """
    g, alpha = _checked(gradients), np.asarray(found, dtype=np.float64)
    scale = float(np.abs(g).max(initial=0.0)) or 1.0
    g = g / scale
    point = alpha @ g
    square = float(np.einsum("ij,ij->i", g, g).max(initial=0.0)) or 1.0
    return max(0.0, float(point @ point - (g @ point).min())) / square


def _checked(gradients: ArrayLike) -> Floats:
    found = np.asarray(gradients, dtype=np.float64)
    if found.ndim != 2 or len(found) == 0:
        raise InvalidValueError(
            f"gradients have shape {found.shape}", hint="give one row an objective, (objectives, n)"
        )
    if not np.isfinite(found).all():
        bad = [int(row) for row in np.flatnonzero(~np.isfinite(found).all(axis=1))]
        raise InvalidValueError(
            f"the gradients of objectives {bad} hold NaN or infinity", hint="lower the learning rate"
        )
    return found


def _solve(g: Floats) -> Floats:
    return _by_faces(g) if len(g) <= _EXACT else _frank_wolfe(g)


def _by_faces(g: Floats) -> Floats:
    """The shortest of the nearest points of all faces that have theirs inside: one is the hull's own."""
    best, shortest = np.zeros(len(g)), np.inf
    for alpha in _candidates(g):
        point = alpha @ g
        square = float(point @ point)
        if square < shortest:
            best, shortest = alpha, square
    return best


def _candidates(g: Floats) -> Iterator[Floats]:
    count = len(g)
    yield from np.eye(count)
    for i, j in itertools.combinations(range(count), 2):
        alpha = np.zeros(count)
        alpha[i] = two(g[i], g[j])
        alpha[j] = 1.0 - alpha[i]
        yield alpha
    if count == _EXACT:
        yield from _inside_triangle(g)


def _inside_triangle(g: Floats) -> Iterator[Floats]:
    """The foot of the perpendicular on the plane through three points, where it lies between them.

    From differences, not products of gradients: of nearly equal gradients the
    products agree in all their digits. A degenerate triangle needs none: its edges hold its nearest point.
    """
    a, b = g[0] - g[2], g[1] - g[2]
    aa, bb, ab = float(a @ a), float(b @ b), float(a @ b)
    determinant = aa * bb - ab * ab
    if determinant <= 1e-14 * aa * bb:
        return
    u, v = -float(a @ g[2]), -float(b @ g[2])
    alpha = np.array([(u * bb - v * ab) / determinant, (v * aa - u * ab) / determinant, 0.0])
    alpha[2] = 1.0 - alpha[0] - alpha[1]
    if (alpha >= 0.0).all():
        yield alpha


def _frank_wolfe(g: Floats) -> Floats:
    """Frank-Wolfe with away steps and exact line search, which does not zigzag towards a face.

    References:
        Guélat and Marcotte (1986), Some comments on Wolfe's away step.
    """
    products = g @ g.T
    scale = float(np.trace(products)) / len(g)
    alpha = np.zeros(len(g))
    alpha[int(np.argmin(np.diag(products)))] = 1.0
    for _ in range(_MOST_STEPS):
        slope = products @ alpha
        square = float(alpha @ slope)
        towards = int(np.argmin(slope))
        if square - slope[towards] <= _TOLERANCE * (square + _TOLERANCE * scale):
            break
        held = np.flatnonzero(alpha > 0.0)
        away = int(held[np.argmax(slope[held])])
        step = -alpha.copy()
        longest = 1.0
        if square - slope[towards] >= slope[away] - square:
            step[towards] += 1.0
        else:
            step, longest = -step, float(alpha[away] / (1.0 - alpha[away]))
            step[away] -= 1.0
        curve = float(step @ products @ step)
        length = longest if curve <= 0.0 else min(longest, -float(slope @ step) / curve)
        alpha = np.maximum(alpha + length * step, 0.0)
        if length == longest and longest != 1.0:
            alpha[away] = 0.0
        alpha /= alpha.sum()
    return alpha
