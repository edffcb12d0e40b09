"""The self-probe: nothing is nearer to a text than itself, so its score shows which end of the scores is the best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from ragguard.errors import ScoreOrientationError

Hits: TypeAlias = Sequence[tuple[str, float]]
"""What one search found: a name of each text, and its score as the retriever gave it."""

PROBED = 5
"""Texts that are enough to tell."""
QUESTION = "document"
"""Finds some stored texts, no matter which."""


def check_orientation(probes: Sequence[tuple[str, Hits]], *, higher_is_better: bool) -> None:
    """Return only if texts score at the declared best end when they are searched for by themselves.

    Args:
        probes: the name of a stored text, with what a search for that very text found.
        higher_is_better: as declared.

    Raises:
        ScoreOrientationError: they score at the other end, none tells the ends apart, or
            some say this and some that.
    """
    sides = [_side(name, hits, 1.0 if higher_is_better else -1.0) for name, hits in probes]
    if sum(sides) < 0:
        raise ScoreOrientationError(
            "a stored text's own score lies at the worse end",
            hint="declare higher_is_better as the store has it: similarities True, distances False",
        )
    if not any(sides):
        raise ScoreOrientationError(
            "the direction of the scores cannot be told",
            hint="it needs at least two texts that score differently; probe=False skips the check",
            details={"probed": len(probes)},
        )
    if -1 in sides:
        raise ScoreOrientationError(
            "the scores point one way for some texts and the other way for others",
            hint="one score must mean one thing; have the texts scored by an embedder instead",
            details={"better": sides.count(1), "worse": sides.count(-1)},
        )


def _side(name: str, hits: Hits, sign: float) -> int:
    """1 when the text's own score lies in the better half of the range found, -1 in the worse, 0 unknown."""
    scores = [sign * score for _, score in hits]
    own = [sign * score for found, score in hits if found == name]
    if not own or max(scores) <= min(scores):
        return 0
    return 1 if max(own) > (max(scores) + min(scores)) / 2 else -1
