"""The self-probe: nothing is nearer to a document than its own text, so its score shows the best end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

from langchain_core.documents import Document

from ragguard.errors import ConfigurationError, ScoreOrientationError

Hits: TypeAlias = Sequence[tuple[Document, float]]
Metric: TypeAlias = Literal[
    "cosine_similarity", "dot_product", "cosine_distance", "euclidean_distance", "squared_euclidean_distance"
]
"""What a store's score is, where its owner knows."""

PROBED = 5
QUESTION = "document"
"""Finds some stored documents, no matter which."""

_RANGE: dict[str, tuple[float, float]] = {
    "cosine_similarity": (-1.0, 1.0),
    "dot_product": (-math.inf, math.inf),
    "cosine_distance": (0.0, 2.0),
    "euclidean_distance": (0.0, math.inf),
    "squared_euclidean_distance": (0.0, math.inf),
}
_ROUNDING = 1e-3
_HINT = "declare higher_is_better as the store has it: similarities True, distances False"


def check_metric(metric: Metric | None, *, higher_is_better: bool) -> None:
    """Return only if a declared metric and a declared direction can both be true.

    Raises:
        ConfigurationError: a similarity is declared as a distance, or the reverse.
    """
    if metric is not None and metric.endswith("distance") is higher_is_better:
        raise ConfigurationError(
            f"metric {metric!r} and higher_is_better={higher_is_better} contradict each other", hint=_HINT
        )


def check_orientation(
    probes: Sequence[tuple[Document, Hits]], *, higher_is_better: bool, metric: Metric | None = None
) -> None:
    """Return only if the documents' own texts score at the declared best end, as consistently as a store should.

    Args:
        probes: stored documents, each with what a search for its own text found.
        higher_is_better: as declared.
        metric: as declared.

    Raises:
        ScoreOrientationError: they score at the other end; none tells the ends apart; some
            say this and some that; results are not in the order of their scores; or a
            score lies outside what the metric allows.
    """
    sides = [_side(document, hits, higher_is_better=higher_is_better) for document, hits in probes]
    if sum(sides) < 0:
        raise ScoreOrientationError("a stored document's own text scores at the worse end", hint=_HINT)
    if not any(sides):
        raise ScoreOrientationError(
            "the direction of the store's scores cannot be told",
            hint="it needs at least two documents that score differently; probe=False skips the check",
            details={"probed": len(probes)},
        )
    if -1 in sides:
        raise ScoreOrientationError(
            "the store's scores point one way for some texts and the other way for others",
            hint="one score must mean one thing; pass embedder=... to have its documents scored instead",
            details={"better": sides.count(1), "worse": sides.count(-1)},
        )
    for _, hits in probes:
        _check_hits([score for _, score in hits], higher_is_better=higher_is_better, metric=metric)


def check_repeated(first: Hits, second: Hits) -> None:
    """Return only if one question asked twice has the same scores.

    Raises:
        ScoreOrientationError: they differ by more than rounding.
    """
    pairs = list(zip(first, second, strict=False))
    if len(first) != len(second) or any(not _near(one, other) for (_, one), (_, other) in pairs):
        raise ScoreOrientationError(
            "the store gives other scores when it is asked the same again",
            hint="a threshold needs scores that repeat; serve from a store that is not being written to",
        )


def _check_hits(scores: Sequence[float], *, higher_is_better: bool, metric: Metric | None) -> None:
    signed = [score if higher_is_better else -score for score in scores]
    if any(later > earlier and not _near(later, earlier) for earlier, later in pairwise(signed)):
        raise ScoreOrientationError(
            "the store returns its results in another order than that of their scores",
            hint="a search that reorders (MMR, a reranker) has no threshold; pass embedder=... instead",
        )
    least, most = _RANGE[metric] if metric else (-math.inf, math.inf)
    outside = next((s for s in scores if not least - _ROUNDING <= s <= most + _ROUNDING), None)
    if outside is not None:
        raise ScoreOrientationError(
            f"a score of {outside:g} is no {metric}", hint="declare the store's own metric"
        )


def _near(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_ROUNDING, abs_tol=_ROUNDING)


def _side(document: Document, hits: Hits, *, higher_is_better: bool) -> int:
    """1 when the document's own score lies in the better half of the range found, -1 in the worse, 0 unknown."""
    signed = [(found, score if higher_is_better else -score) for found, score in hits]
    own = [score for found, score in signed if found.page_content == document.page_content]
    scores = [score for _, score in signed]
    if not own or max(scores) <= min(scores):
        return 0
    return 1 if own[0] > (max(scores) + min(scores)) / 2 else -1
