"""Embeddings without a model."""

from __future__ import annotations

from langchain_core.embeddings import Embeddings

from ragguard.testing import HashEmbedder


class HashEmbeddings(Embeddings):
    """Deterministic embeddings without weights; texts that share words are near.

    Args:
        dimension: numbers in a vector.
    """

    def __init__(self, dimension: int = 256) -> None:
        self.model = f"hash-{dimension}"
        self._embedder = HashEmbedder(dimension)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one unit vector a text."""
        return [[float(v) for v in vector] for vector in self._embedder.embed_passages(texts)]

    def embed_query(self, text: str) -> list[float]:
        """Return a unit vector."""
        return self.embed_documents([text])[0]
