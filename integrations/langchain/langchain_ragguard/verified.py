"""A guard held against the path it is to serve: the retriever, who scores it, and who rewrote the question."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langchain_core.retrievers import RetrieverLike

from langchain_ragguard.scores import STORE, ByEmbedder, FromMetadata, Scoring, as_embedder
from langchain_ragguard.source import DocumentSource
from langchain_ragguard.vectorstores import ScoredVectorStoreRetriever
from ragguard.adapting import cutting, require_path
from ragguard.conformal.calibration import Calibration
from ragguard.errors import ConfigurationError
from ragguard.guard import Guard, rewriter_fingerprint


def source_of(
    base: RetrieverLike,
    score_key: str | None,
    higher_is_better: bool,  # noqa: FBT001 - named at each call
    embedder: Any,
    id_key: str | None,
    identity: str | None,
) -> DocumentSource:
    """Return the base as ragguard's retriever, with where its scores come from.

    Raises:
        ConfigurationError: there is no source of scores, or several.
    """
    stored = isinstance(base, ScoredVectorStoreRetriever)
    if stored + (score_key is not None) + (embedder is not None) != 1:
        raise ConfigurationError(
            "a guarded retriever needs exactly one source of scores",
            hint="from_vectorstore(...), score_key=... or embedder=...",
        )
    if isinstance(base, ScoredVectorStoreRetriever):
        scoring = FromMetadata(STORE, base.higher_is_better)
        return DocumentSource(base, scoring, id_key=id_key, identity=identity, depth=base.k)
    return DocumentSource(
        base, scoring_of(score_key, higher_is_better, embedder), id_key=id_key, identity=identity
    )


def scoring_of(
    score_key: str | None,
    higher_is_better: bool,  # noqa: FBT001 - named at each call
    embedder: Any,
) -> Scoring:
    """Return where scores come from: a metadata key, an embedder, or where a store's are written."""
    if embedder is not None:
        return ByEmbedder(as_embedder(embedder))
    return FromMetadata(STORE if score_key is None else (score_key,), higher_is_better)


def verified(
    guard: Guard | Calibration | Path | str, source: DocumentSource, *, rewriter: Any = None
) -> tuple[Guard, Calibration, str]:
    """Return the guard, its calibration and the name of its cut, known to be made for this path and rewriter.

    Raises:
        ConfigurationError: the guard has no calibration.
        CalibrationMismatchError: it was calibrated on another path.
    """
    found, calibration, cut = cutting(guard, retriever=source, rewriter=rewriter)
    require_path(calibration, {**source.fingerprint(), "rewriter": rewriter_fingerprint(rewriter)})
    return found, calibration, cut
