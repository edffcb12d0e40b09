"""A passage longer than a model reads, in overlapping windows, and the best score of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_OVERLAP = 0.25
_SLACK = 2
"""Tokens left free: a window that begins within a word may be read as one token more."""


def windows(text: str, spans: Sequence[tuple[int, int]], *, room: int, most: int) -> list[str]:
    """Return the parts of a text that fit, from its beginning on; the text itself where it fits.

    Neighbours share a quarter of their tokens, so that a sentence on a border stands whole in one
    of them; the last one ends with the text.

    Args:
        text: the passage.
        spans: character ranges of its tokens.
        room: tokens that fit, more than 2.
        most: windows at most, at least 1.
    """
    if len(spans) <= room:
        return [text]
    room -= _SLACK
    step = max(1, round(room * (1 - _OVERLAP)))
    firsts = [*range(0, len(spans) - room, step), len(spans) - room][:most]
    return [text[spans[first][0] : spans[first + room - 1][1]] for first in firsts]


def best_of(scores: NDArray[np.float64], counts: Sequence[int]) -> NDArray[np.float64]:
    """Return the largest score of each group of neighbours; every count is at least 1.

    Args:
        scores: shape (sum of counts,); NaN wins over any number, as a spoilt score must be seen.
        counts: scores of each group.
    """
    if not len(counts):
        return np.zeros(0)
    firsts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    found: NDArray[np.float64] = np.maximum.reduceat(scores, firsts)
    return found
