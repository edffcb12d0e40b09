"""Where a document's score comes from: its metadata, or an embedder of ours. Never a default."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Protocol

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_ragguard.documents import FACTS
from langchain_ragguard.identity import of_embeddings
from ragguard import protocols
from ragguard.conformal.kept import RETRIEVAL_SCORE
from ragguard.errors import ConfigurationError, InvalidScoreError
from ragguard.models.wrapped import LangChainEmbedder


class Scoring(Protocol):
    """Gives each document of a retrieval its score, as its source has it."""

    @property
    def higher_is_better(self) -> bool: ...

    def __call__(self, question: str, documents: Sequence[Document], names: Sequence[str]) -> list[float]: ...

    def fingerprint(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class FromMetadata:
    """The finite number at a place of the metadata.

    Attributes:
        path: keys, outermost first.
        higher_is_better: as the source declares.
    """

    path: tuple[str, ...]
    higher_is_better: bool = True

    def __call__(self, question: str, documents: Sequence[Document], names: Sequence[str]) -> list[float]:
        """Return the scores in order.

        Raises:
            InvalidScoreError: a document has no such key, or no finite number there.
        """
        return [self._read(d, name) for d, name in zip(documents, names, strict=True)]

    def fingerprint(self) -> dict[str, Any]:
        """The place."""
        return {"metadata": ".".join(self.path)}

    def _read(self, document: Document, name: str) -> float:
        value: Any = document.metadata
        for key in self.path:
            if not isinstance(value, dict) or key not in value:
                raise InvalidScoreError(
                    f"passage {name!r} has no metadata {'.'.join(self.path)!r}",
                    hint="name the key that the retriever writes its score to, or pass embedder=...",
                )
            value = value[key]
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(float(value)):
            raise InvalidScoreError(
                f"metadata {'.'.join(self.path)!r} of passage {name!r} is no finite number",
                hint="every result needs a finite score",
            )
        return float(value)


@dataclass(frozen=True)
class ByEmbedder:
    """Cosine similarity of question and text; a document's score does not depend on its neighbours."""

    embedder: protocols.Embedder
    higher_is_better: bool = True

    def __call__(self, question: str, documents: Sequence[Document], names: Sequence[str]) -> list[float]:
        """Return the similarities in order."""
        if not documents:
            return []
        query = self.embedder.embed_queries([question])[0].astype(np.float64)
        passages = self.embedder.embed_passages([d.page_content for d in documents]).astype(np.float64)
        return [float(s) for s in np.einsum("ij,j->i", passages, query)]

    def fingerprint(self) -> dict[str, Any]:
        """The embedder's."""
        return {"embedder": dict(self.embedder.fingerprint())}


STORE = (FACTS, RETRIEVAL_SCORE)
"""Where `ScoredVectorStoreRetriever` writes the store's raw score."""


def as_embedder(embedder: Any) -> protocols.Embedder:
    """Return one of our embedders as it is, and LangChain embeddings wrapped.

    Raises:
        ConfigurationError: it is neither.
    """
    if isinstance(embedder, Embeddings):
        seen = of_embeddings(embedder) or {}
        return LangChainEmbedder(embedder, name=":".join(str(v) for v in seen.values() if v))
    if callable(getattr(type(embedder), "embed_passages", None)):
        ours: protocols.Embedder = embedder
        return ours
    raise ConfigurationError(
        f"{type(embedder).__name__} is no embedder", hint="pass LangChain Embeddings or a ragguard Embedder"
    )
