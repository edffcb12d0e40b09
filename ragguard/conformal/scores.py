"""Nonconformity: how strange a passage is as an answer to a question, larger is stranger.

Every score here is a function of one question's similarities alone and never
decreases down the ranking, so keeping `score <= threshold` keeps a prefix of it.
`cosine` is CONFLARE's; the query-relative ones (gap, ratio, softmax, rank) reach
the same coverage with fewer passages, but they compare a passage with the others
returned and keep the best one however poor it is (softmax, unless it does not stand
out), so "no evidence" must come from the novelty test instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from ragguard.errors import InvalidValueError, UnknownNameError

Array: TypeAlias = NDArray[np.float64]

DEFAULT_TEMPERATURE = 0.03
RERANKER = "reranker"
"""Name of the score that needs a reranker before the cut."""
TEMPERED = ("softmax", RERANKER)
"""Scores with a temperature."""
_LARGEST = np.finfo(np.float64).max


@dataclass(frozen=True)
class Score:
    """A named nonconformity score with its parameters.

    Attributes:
        name: as on the command line.
        function: similarities (m,), descending -> nonconformities (m,), non-decreasing.
        relative: True when it depends on how a passage stands among those returned.
        parameters: numbers that change the score; part of the artifact.
    """

    name: str
    function: Callable[[Array], Array]
    relative: bool
    parameters: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, similarities: Array) -> Array:
        """Return one finite nonconformity a passage; an empty list gives an empty array."""
        if not len(similarities):
            return np.empty(0)
        # Infinity is kept for what was not returned: an overflow must not look like it.
        with np.errstate(over="ignore"):
            return np.minimum(self.function(similarities), _LARGEST)


def make_score(name: str, *, temperature: float | None = None) -> Score:
    """Return the score of that name.

    Args:
        name: softmax, cosine, gap, ratio, rank, external, or "reranker": softmax of the
            scores that a reranker before the cut gave.
        temperature: of softmax and reranker, > 0, in units of similarity; others ignore it.

    Raises:
        UnknownNameError: no such score.
        InvalidValueError: the temperature is not a positive number.
    """
    if name in TEMPERED:
        return softmax(DEFAULT_TEMPERATURE if temperature is None else temperature, name=name)
    if name not in _FIXED:
        known = ", ".join((*SCORES, RERANKER))
        raise UnknownNameError(f"no nonconformity score named {name!r}", hint=f"one of {known}")
    return _FIXED[name]


def softmax(temperature: float, *, name: str = "softmax") -> Score:
    """-log of the softmax of the similarities: the surprisal of the passage among those retrieved."""
    if not (np.isfinite(temperature) and temperature > 0):
        raise InvalidValueError(
            f"temperature must be a positive number, got {temperature!r}", hint="e.g. 0.03"
        )

    def surprisal(similarities: Array) -> Array:
        # Shifted first, so that a tiny temperature overflows to "infinitely worse than the best" and not to NaN.
        scaled = (similarities - similarities[0]) / temperature
        return np.asarray(logsumexp(scaled) - scaled, dtype=np.float64)

    return Score(name, surprisal, relative=True, parameters={"temperature": float(temperature)})


def _cosine(similarities: Array) -> Array:
    return np.asarray(1.0 - similarities)


def _gap(similarities: Array) -> Array:
    return np.asarray(similarities[0] - similarities)


def _ratio(similarities: Array) -> Array:
    # Dividing by |best| keeps the order where the best similarity is negative;
    # for a positive best it is 1 - similarity / best.
    return _gap(similarities) / max(abs(float(similarities[0])), 1e-12)


def _rank(similarities: Array) -> Array:
    return np.arange(1, len(similarities) + 1, dtype=np.float64)


def _external(similarities: Array) -> Array:
    return -similarities


_FIXED: Mapping[str, Score] = {
    "cosine": Score("cosine", _cosine, relative=False),
    "gap": Score("gap", _gap, relative=True),
    "ratio": Score("ratio", _ratio, relative=True),
    "rank": Score("rank", _rank, relative=True),
    "external": Score("external", _external, relative=False),
}
SCORES: tuple[str, ...] = ("softmax", *_FIXED)
