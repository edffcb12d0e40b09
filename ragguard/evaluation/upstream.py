"""The guards before the cut: what identifies them, and how to make them again when serving."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ragguard import protocols, registry
from ragguard.conformal.calibrate import Settings as Promise
from ragguard.conformal.scores import RERANKER
from ragguard.corpus.retrievers import RescoringRetriever
from ragguard.pipeline import Step
from ragguard.types import Mode, Stage

DEFAULT_DEPTH = 50
"""Candidates that a reranker reads where nothing else is said: a second or so on two cores."""


def upstream_fingerprints(guards: Sequence[protocols.TurnGuard]) -> dict[str, Any]:
    """Return {"upstream": what identifies each guard that says so}, or {} where none does."""
    found = {g.name: dict(own()) for g in guards if callable(own := getattr(g, "fingerprint", None))}
    return {"upstream": found} if found else {}


def recipes_of(guards: Sequence[protocols.TurnGuard]) -> dict[str, Any]:
    """Return {"guards": how to make each guard that can be named in a file}, or {} where none can."""
    made = {g.name: own() for g in guards if callable(own := getattr(g, "recipe", None))}
    named = {name: dict(recipe) for name, recipe in made.items() if recipe is not None}
    return {"guards": named} if named else {}


def with_reranker(
    promise: Promise, retriever: Any, guards: Sequence[protocols.TurnGuard | Step] | None
) -> Sequence[protocols.TurnGuard | Step] | None:
    """Return the guards, with the bundled reranker first where the promise is about its score and none is given."""
    if promise.score != RERANKER or isinstance(retriever, RescoringRetriever):
        return guards
    steps = [g if isinstance(g, Step) else Step(g) for g in guards or ()]
    if any(Stage.PASSAGES in s.guard.stages and s.mode is Mode.ENFORCE and _reranks(s.guard) for s in steps):
        return guards
    return [registry.create("ragguard.guards", "rerank", depth=DEFAULT_DEPTH), *steps]


def _reranks(guard: protocols.TurnGuard) -> bool:
    return bool(getattr(guard, "reranks", False))
