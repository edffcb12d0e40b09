"""Embedding many texts so that a killed run loses one shard at most.

Every shard is a file named by the hash of the embedder's fingerprint and its
texts. A shard that is there is read, not embedded again; memory holds one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ragguard.errors import InvalidVectorError
from ragguard.protocols import Embedder, FloatArray, Progress
from ragguard.types import Passage

PASSAGES_A_SHARD = 2048
_UNIT = 1e-3


class Shards:
    """The vectors of passages, made shard by shard in a folder.

    Args:
        folder: where shards are kept; made if missing.
        passages: whose texts are embedded, in order.
        embedder: unit vectors come from it.
        size: passages in a shard.
        progress: told ("embedding", done, total).
    """

    def __init__(
        self,
        folder: Path,
        passages: Sequence[Passage],
        *,
        embedder: Embedder,
        size: int = PASSAGES_A_SHARD,
        progress: Progress | None = None,
    ) -> None:
        self._folder, self._passages, self._embedder = folder, passages, embedder
        self._size, self._progress = size, progress
        self._identity = json.dumps(dict(embedder.fingerprint()), sort_keys=True).encode()

    def embed(self) -> None:
        """Embed what is missing, holding one shard at a time.

        Raises:
            InvalidVectorError: the embedder returned NaN, a wrong shape or no unit vectors.
        """
        for done, vectors in enumerate(self, start=1):
            if self._progress is not None:
                self._progress("embedding", (done - 1) * self._size + len(vectors), len(self._passages))

    def __iter__(self) -> Iterator[FloatArray]:
        """Yield the vectors of each shard, in order."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for first in range(0, len(self._passages), self._size):
            texts = [passage.text for passage in self._passages[first : first + self._size]]
            path = self._folder / f"{self._key(texts)}.npy"
            vectors = self._read(path, len(texts))
            if vectors is None:
                vectors = embed_checked(self._embedder, texts, progress=self._offset(first))
                _write(path, vectors)
            yield vectors

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _key(self, texts: Sequence[str]) -> str:
        digest = hashlib.sha256(self._identity)
        for text in texts:
            encoded = text.encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8, "little"))
            digest.update(encoded)
        return digest.hexdigest()[:32]

    def _read(self, path: Path, count: int) -> FloatArray | None:
        with contextlib.suppress(OSError, ValueError, EOFError):
            vectors: FloatArray = np.load(path, allow_pickle=False)
            if vectors.dtype == np.float32 and vectors.shape == (count, self._embedder.dimension):
                return vectors if _are_unit(vectors) else None
        return None

    def _offset(self, first: int) -> Progress | None:
        progress, total = self._progress, len(self._passages)
        if progress is None:
            return None
        return lambda what, done, _: progress(what, first + done, total)


def embed_checked(
    embedder: Embedder, texts: Sequence[str], *, progress: Progress | None = None
) -> FloatArray:
    """Return the embedder's vectors of the texts, after checking them.

    Raises:
        InvalidVectorError: NaN, infinity, a wrong shape, or a length that is not one.
    """
    vectors = np.asarray(embedder.embed_passages(texts, progress=progress), dtype=np.float32)
    if vectors.shape != (len(texts), embedder.dimension):
        raise InvalidVectorError(
            f"the embedder returned shape {vectors.shape} for {len(texts)} texts",
            hint=f"expected ({len(texts)}, {embedder.dimension})",
        )
    if not _are_unit(vectors):
        raise InvalidVectorError(
            "the embedder returned NaN, infinity or vectors that are not of length one",
            hint="normalise them",
        )
    return vectors


def _are_unit(vectors: FloatArray) -> bool:
    # A NaN makes the comparison False.
    return bool((np.abs(np.linalg.norm(vectors, axis=1) - 1) < _UNIT).all())


def _write(path: Path, vectors: FloatArray) -> None:
    staged = path.with_suffix(f".{os.getpid()}.writing")
    with staged.open("wb") as file:
        np.save(file, vectors, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    staged.replace(path)
