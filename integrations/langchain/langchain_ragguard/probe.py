"""The self-probe: nothing is nearer to a document than its own text, so its score shows the best end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from langchain_core.documents import Document

from ragguard.errors import ScoreOrientationError

Hits: TypeAlias = Sequence[tuple[Document, float]]

PROBED = 5
QUESTION = "document"
"""Finds some stored documents, no matter which."""

_HINT = "declare higher_is_better as the store has it: similarities True, distances False"


def check_orientation(probes: Sequence[tuple[Document, Hits]], *, higher_is_better: bool) -> None:
    """Return only if the documents' own texts score at the declared best end.

    Args:
        probes: stored documents, each with what a search for its own text found.
        higher_is_better: as declared.

    Raises:
        ScoreOrientationError: most score at the other end, or none tells the ends apart.
    """
    sides = [
        side
        for document, hits in probes
        if (side := _side(document, hits, higher_is_better=higher_is_better))
    ]
    if sum(sides) < 0:
        raise ScoreOrientationError("a stored document's own text scores at the worse end", hint=_HINT)
    if sum(sides) == 0:
        raise ScoreOrientationError(
            "the direction of the store's scores cannot be told",
            hint="it needs at least two documents that score differently; probe=False skips the check",
            details={"probed": len(probes)},
        )


def _side(document: Document, hits: Hits, *, higher_is_better: bool) -> int:
    """1 when the document's own score lies in the better half of the range found, -1 in the worse, 0 unknown."""
    signed = [(found, score if higher_is_better else -score) for found, score in hits]
    own = [score for found, score in signed if found.page_content == document.page_content]
    scores = [score for _, score in signed]
    if not own or max(scores) <= min(scores):
        return 0
    return 1 if own[0] > (max(scores) + min(scores)) / 2 else -1
