"""Doubles for tests, of this library and of what is built on it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ragguard.protocols import FloatArray, Progress

_TOKEN = re.compile(r"\w+|[^\w\s]")


class HashEmbedder:
    """A deterministic embedder without weights: a text is the sum of its tokens' random directions.

    Texts that share words are near. Every text embedded is counted in `embedded`.

    Args:
        dimension: numbers in a vector.
        max_tokens: declared, two of them for special tokens; more are cut.
        name: part of the fingerprint.
    """

    def __init__(self, dimension: int = 32, *, max_tokens: int = 256, name: str = "hash") -> None:
        self._dimension, self._max_tokens, self._name = dimension, max_tokens, name
        self._directions: dict[str, FloatArray] = {}
        self.embedded = 0

    @property
    def dimension(self) -> int:
        """As given."""
        return self._dimension

    @property
    def max_tokens(self) -> int:
        """As given."""
        return self._max_tokens

    def embed_passages(self, texts: Sequence[str], /, *, progress: Progress | None = None) -> FloatArray:
        """Return unit vectors (len(texts), dimension)."""
        vectors = np.zeros((len(texts), self._dimension), dtype=np.float32)
        for i, text in enumerate(texts):
            vectors[i] = self._embed(text)
            if progress is not None:
                progress("embedding", i + 1, len(texts))
        self.embedded += len(texts)
        return vectors

    def embed_queries(self, texts: Sequence[str], /) -> FloatArray:
        """Return unit vectors (len(texts), dimension)."""
        return self.embed_passages(texts)

    def token_spans(self, text: str, /) -> list[tuple[int, int]]:
        """Return the ranges of words and of single signs."""
        return [match.span() for match in _TOKEN.finditer(text)]

    def fingerprint(self) -> dict[str, Any]:
        """Return name, dimension and length."""
        return {"name": self._name, "dimension": self._dimension, "max_tokens": self._max_tokens}

    def _embed(self, text: str) -> FloatArray:
        tokens = _TOKEN.findall(text.lower())[: self._max_tokens - 2] or [""]
        vector = np.sum([self._direction(token) for token in tokens], axis=0)
        unit: FloatArray = (vector / np.linalg.norm(vector)).astype(np.float32)
        return unit

    def _direction(self, token: str) -> FloatArray:
        if token not in self._directions:
            digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
            rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
            self._directions[token] = rng.standard_normal(self._dimension).astype(np.float32)
        return self._directions[token]
