"""Unit vectors of sentences, kept in a file by text, so that no sentence is embedded twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ragguard.models.embedders import SentenceTransformerEmbedder
from ragguard.protocols import FloatArray, Progress

_BATCH = 1024


class SentenceVectors:
    """An embedder that remembers.

    Args:
        model: what embeds; passages and claims alike, for sentence similarity is symmetric.
        folder: of the cache, one file a model; created when missing.
        progress: called as progress(what, done, total).
    """

    def __init__(self, model: SentenceTransformerEmbedder, folder: Path, progress: Progress) -> None:
        self.model, self._progress = model, progress
        settings = json.dumps(model.fingerprint(), sort_keys=True)
        self._path = folder / f"sentences-{hashlib.sha256(settings.encode()).hexdigest()[:16]}.npz"
        self._rows: dict[bytes, int] = {}
        self._vectors: FloatArray = np.zeros((0, model.dimension), dtype=np.float32)
        if self._path.exists():
            with np.load(self._path, allow_pickle=False) as kept:
                self._rows = {bytes(key): row for row, key in enumerate(kept["keys"])}
                self._vectors = kept["vectors"].astype(np.float32)

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        """Return float32 unit vectors (len(texts), d), in order."""
        keys = [hashlib.sha256(text.encode()).digest() for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._rows}
        if new:
            self._add(new)
        return self._vectors[[self._rows[key] for key in keys]]

    def _add(self, new: dict[bytes, str]) -> None:
        missing, parts = list(new.values()), [self._vectors]
        for first in range(0, len(missing), _BATCH):
            self._progress("embedding sentences", first, len(missing))
            found = self.model.embed_passages(missing[first : first + _BATCH])
            parts.append(found.astype(np.float16).astype(np.float32))  # as they will be read back
        self._vectors = np.concatenate(parts)
        for key in new:
            self._rows[key] = len(self._rows)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".tmp.npz")
        # Raw bytes in a byte array: an "S32" array would drop the zeros at a digest's end.
        keys = np.frombuffer(b"".join(self._rows), dtype=np.uint8).reshape(len(self._rows), -1)
        np.savez(temporary, keys=keys, vectors=self._vectors.astype(np.float16))
        temporary.replace(self._path)
