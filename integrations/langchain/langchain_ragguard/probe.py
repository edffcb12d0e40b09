"""The self-probe of a vector store: which way its scores point, and whether they are what its metric says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

from langchain_core.documents import Document

from ragguard.conformal.orientation import check_orientation
from ragguard.errors import ConfigurationError, ScoreOrientationError

Hits: TypeAlias = Sequence[tuple[Document, float]]
Metric: TypeAlias = Literal[
    "cosine_similarity", "dot_product", "cosine_distance", "euclidean_distance", "squared_euclidean_distance"
]
"""What a store's score is, where its owner knows."""

_RANGE: dict[str, tuple[float, float]] = {
    "cosine_similarity": (-1.0, 1.0),
    "dot_product": (-math.inf, math.inf),
    "cosine_distance": (0.0, 2.0),
    "euclidean_distance": (0.0, math.inf),
    "squared_euclidean_distance": (0.0, math.inf),
}
_ROUNDING = 1e-3


def check_metric(metric: Metric | None, *, higher_is_better: bool) -> None:
    """Return only if a declared metric and a declared direction can both be true.

    Raises:
        ConfigurationError: a similarity is declared as a distance, or the reverse.
    """
    if metric is not None and metric.endswith("distance") is higher_is_better:
        raise ConfigurationError(
            f"metric {metric!r} and higher_is_better={higher_is_better} contradict each other",
            hint="similarities are higher_is_better=True, distances False",
        )


def check_probes(
    probes: Sequence[tuple[Document, Hits]], *, higher_is_better: bool, metric: Metric | None = None
) -> None:
    """Return only if the documents' own texts score at the declared best end, as consistently as a store should.

    Args:
        probes: stored documents, each with what a search for its own text found.
        higher_is_better: as declared.
        metric: as declared.

    Raises:
        ScoreOrientationError: see `check_orientation`; or results are not in the order of
            their scores, or a score lies outside what the metric allows.
    """
    by_text = [(d.page_content, [(hit.page_content, score) for hit, score in hits]) for d, hits in probes]
    check_orientation(by_text, higher_is_better=higher_is_better)
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
