"""A note in the turn that its passages were reranked, so that checking it again does not do it twice.

What a passage's metadata says is not trusted for this: it may come from the corpus,
which others write.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from ragguard.judgement import RERANKED
from ragguard.types import Turn


def marked(turn: Turn, name: str, ids: Sequence[str]) -> dict[str, Any]:
    """Return the turn's metadata with the note that reranker `name` scored these passages for its question."""
    return {**turn.metadata, RERANKED: {"for": _identity(turn, name), "passages": list(ids)}}


def reranked_before(turn: Turn, name: str) -> bool:
    """Return whether every passage of the turn was scored by reranker `name` for this very question."""
    mark = turn.metadata.get(RERANKED)
    if not isinstance(mark, dict) or mark.get("for") != _identity(turn, name):
        return False
    known = mark.get("passages")
    return isinstance(known, list | tuple) and {p.id for p in turn.passages or ()} <= set(known)


def _identity(turn: Turn, name: str) -> str:
    content = "\0".join([name, turn.query])
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:32]
