"""Other libraries' embedding objects, made to keep our promises."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from ragguard.errors import InvalidValueError, InvalidVectorError
from ragguard.models.bundled import bundled_folder
from ragguard.models.tokens import Spans, TokenReader
from ragguard.models.vectors import unit_vectors
from ragguard.protocols import FloatArray, Progress


class LangChainEmbedder:
    """Any object with LangChain's `embed_documents` and `embed_query`, made to give unit vectors.

    Args:
        embeddings: the object; LangChain itself is not needed.
        name: recorded in fingerprints; change it when the model behind it changes.
        max_tokens: what the model takes. Counted by the bundled tokenizer, as the
            model's own is out of sight, so leave a margin.
    """

    def __init__(self, embeddings: Any, *, name: str, max_tokens: int = 256) -> None:
        for method in ("embed_documents", "embed_query"):
            if not callable(getattr(embeddings, method, None)):
                raise InvalidValueError(
                    f"{type(embeddings).__name__} has no {method}", hint="give a LangChain Embeddings object"
                )
        if not name:
            raise InvalidValueError("an embedder needs a name", hint="it tells calibrations apart")
        self._embeddings, self._name, self._max_tokens = embeddings, name, max_tokens
        self._lock = threading.Lock()
        self._reader: TokenReader | None = None
        self._dimension: int | None = None

    @property
    def dimension(self) -> int:
        """Numbers in a vector; the first look asks the model once."""
        if self._dimension is None:
            self._dimension = self.embed_queries(["dimension"]).shape[1]
        return self._dimension

    @property
    def max_tokens(self) -> int:
        """As declared."""
        return self._max_tokens

    def embed_passages(self, texts: Sequence[str], /, *, progress: Progress | None = None) -> FloatArray:
        """Return float32 unit vectors (len(texts), dimension), in order.

        Raises:
            InvalidVectorError: NaN, zeros, or another number or shape of vectors.
        """
        vectors = self._checked(self._embeddings.embed_documents(list(texts)) if texts else [], len(texts))
        if progress is not None:
            progress("embedding", len(texts), len(texts))
        return vectors

    def embed_queries(self, texts: Sequence[str], /) -> FloatArray:
        """Return float32 unit vectors (len(texts), dimension), in order.

        Raises:
            InvalidVectorError: NaN, zeros, or another number or shape of vectors.
        """
        return self._checked([self._embeddings.embed_query(text) for text in texts], len(texts))

    def token_spans(self, text: str, /) -> Spans:
        """Return the character range of every token of the bundled tokenizer."""
        return self.token_spans_batch([text])[0]

    def token_spans_batch(self, texts: Sequence[str], /) -> list[Spans]:
        """Return `token_spans` of every text, tokenised together."""
        with self._lock:
            if self._reader is None:
                self._reader = TokenReader.from_folder(bundled_folder(), max_tokens=self._max_tokens)
        return self._reader.spans(texts)

    def fingerprint(self) -> dict[str, Any]:
        """Return the declared name; the weights are out of sight."""
        return {
            "name": self._name,
            "weights_sha256": None,
            "pooling": "unknown",
            "normalised": True,
            "max_tokens": self._max_tokens,
            "backend": f"langchain-{type(self._embeddings).__name__}",
            "dtype": "float32",
        }

    def _checked(self, vectors: Sequence[Sequence[float]], count: int) -> FloatArray:
        if count == 0:
            return np.zeros((0, self._dimension or 0), dtype=np.float32)
        try:
            array = np.asarray(vectors, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise InvalidVectorError(f"{self._name} returned vectors of different lengths") from error
        if array.ndim != 2 or len(array) != count or self._dimension not in (None, array.shape[1]):
            raise InvalidVectorError(f"{self._name} returned shape {array.shape} for {count} texts")
        self._dimension = array.shape[1]
        return unit_vectors(array, source=self._name)
