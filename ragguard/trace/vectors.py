"""The vectors of a corpus' units, beside the index; made once for each embedder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from ragguard.errors import IndexFileError, InvalidVectorError
from ragguard.protocols import Embedder, FloatArray, Progress
from ragguard.trace.corpus import Label, Occurrence
from ragguard.trace.index import TraceIndex
from ragguard.trace.sealed import open_array, read_seal, seal, verify, written_aside
from ragguard.trace.units import VERSION, text_units
from ragguard.types import Span

_BATCH = 2048  # units embedded at a time
_BLOCK = 1 << 16  # vectors compared at a time


class CorpusVectors:
    """Units of a corpus with their vectors, mapped from a sealed folder.

    Args:
        folder: as `corpus_vectors` wrote it.

    Raises:
        IndexFileError: it is missing, truncated, altered or foreign.
    """

    def __init__(self, folder: Path) -> None:
        # The search reads every vector anyhow: an altered one must not hide a passage.
        verify(folder)
        facts = read_seal(folder)
        names = facts.get("documents")
        self._places = open_array(folder / "places.npy", "i", 2)
        self._vectors = open_array(folder / "vectors.npy", "f", 2)
        if not isinstance(names, list) or len(self._places) != len(self._vectors):
            raise IndexFileError(f"{folder.name} does not hold one vector a unit", hint="remove the folder")
        self._names: list[str] = names

    def __len__(self) -> int:
        return len(self._vectors)

    def nearest(
        self, queries: FloatArray, *, without: Collection[str] = ()
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the similarity of the nearest unit to each query, and which it is; -1 and -1 where there is none.

        Args:
            queries: unit vectors, shape [q, d].
            without: ids of documents to leave out.
        """
        best = np.full(len(queries), -1.0)
        at = np.full(len(queries), -1, dtype=np.int64)
        left_out = [number for number, name in enumerate(self._names) if name in without] if without else []
        for begin in range(0, len(self), _BLOCK):
            block = np.asarray(self._vectors[begin : begin + _BLOCK])
            similar = np.asarray(queries @ block.T, dtype=np.float64)
            if left_out:
                similar[:, np.isin(self._places[begin : begin + _BLOCK, 0], left_out)] = -1.0
            top = similar.argmax(axis=1)
            value = similar[np.arange(len(queries)), top]
            better = value > best
            best, at = np.where(better, value, best), np.where(better, top + begin, at)
        return best, at

    def place(self, unit: int) -> Occurrence:
        """Return where a unit stands."""
        document, start, end = (int(number) for number in self._places[unit])
        return Occurrence(document=self._names[document], span=Span(start=start, end=end))


def corpus_vectors(
    index: TraceIndex, label: Label, embedder: Embedder, *, progress: Progress | None = None
) -> CorpusVectors | None:
    """Return the vectors of a corpus, embedding it where that has not been done yet; None where it is empty.

    Args:
        index: they are written into its folder, under the fingerprints of corpus and embedder.
        label: the corpus.
        embedder: of `embed_passages`.
        progress: called as progress(what, done, total) while embedding.

    Raises:
        IndexFileError: they cannot be written or read.
        InvalidVectorError: the embedder's vectors have another shape than it says.
    """
    content = index.fingerprint()["corpora"][label]
    if not content["documents"]:
        return None
    made_of = {"content": content, "embedder": embedder.fingerprint(), "units": VERSION}
    key = hashlib.sha256(json.dumps(made_of, sort_keys=True, default=list).encode()).hexdigest()[:16]
    folder = index.folder / f"vectors-{label}-{key}"
    if not folder.exists():
        try:
            _write(folder, index, label, embedder, progress)
        except OSError as error:
            raise IndexFileError(
                f"the vectors of {label} cannot be written ({error.strerror})",
                hint="prepare the index once where its folder can be written",
            ) from error
        for old in index.folder.glob(f"vectors-{label}-*"):
            if old != folder:
                with contextlib.suppress(OSError):
                    shutil.rmtree(old)
    return CorpusVectors(folder)


def _write(
    folder: Path, index: TraceIndex, label: Label, embedder: Embedder, progress: Progress | None
) -> None:
    names: list[str] = []
    places: list[tuple[int, int, int]] = []
    texts: list[str] = []
    for number, document in enumerate(index.corpora[label].documents()):
        names.append(document.id)
        seen: set[tuple[int, int]] = set()
        for unit in text_units(document.text):
            start, end = unit.read.start, unit.read.end
            if (start, end) not in seen:
                seen.add((start, end))
                places.append((number, start, end))
                texts.append(document.text[start:end])
    with written_aside(folder.parent) as aside:
        np.save(aside / "places.npy", np.array(places, dtype=np.int64).reshape(-1, 3))
        shape = (len(texts), embedder.dimension)
        if texts:
            stored = open_memmap(aside / "vectors.npy", mode="w+", dtype=np.float32, shape=shape)
            for begin in range(0, len(texts), _BATCH):
                vectors = embedder.embed_passages(texts[begin : begin + _BATCH])
                if vectors.shape[1:] != shape[1:]:
                    raise InvalidVectorError(f"the embedder's vectors have shape {vectors.shape}")
                stored[begin : begin + len(vectors)] = vectors
                if progress is not None:
                    progress(f"{label} vectors", min(begin + _BATCH, len(texts)), len(texts))
            stored.flush()
            del stored
        else:
            np.save(aside / "vectors.npy", np.zeros(shape, dtype=np.float32))
        seal(aside, folder, {"documents": names})
