"""Doubles for tests and examples: embedders without a model."""

from __future__ import annotations

import dataclasses

from haystack import component
from haystack.dataclasses import Document

from ragguard.testing import HashEmbedder


@component
class HashTextEmbedder:
    """Embeds a question without weights; texts that share words are near.

    Args:
        dimension: numbers in a vector.
    """

    def __init__(self, dimension: int = 256) -> None:
        self.dimension = dimension
        self._embedder = HashEmbedder(dimension)

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, list[float]]:
        """Return {"embedding"}, a unit vector."""
        return {"embedding": [float(v) for v in self._embedder.embed_queries([text])[0]]}


@component
class HashDocumentEmbedder:
    """Embeds documents as `HashTextEmbedder` does questions.

    Args:
        dimension: numbers in a vector.
    """

    def __init__(self, dimension: int = 256) -> None:
        self.dimension = dimension
        self._embedder = HashEmbedder(dimension)

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, list[Document]]:
        """Return {"documents"}, copies with unit vectors."""
        vectors = self._embedder.embed_passages([d.content or "" for d in documents])
        embedded = zip(documents, vectors, strict=True)
        return {"documents": [dataclasses.replace(d, embedding=[float(x) for x in v]) for d, v in embedded]}
