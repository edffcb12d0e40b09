"""One version of an index in memory; never changed, only replaced."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragguard.corpus.manifest import REBUILD
from ragguard.corpus.store import PassageStore
from ragguard.corpus.vectors import Vectors
from ragguard.errors import IndexFileError

_PASSAGES_KEPT = 4096


class State:
    """Passages, vectors and which of them live.

    The first lines of the store are the rows of the vectors, in order; then come
    the duplicates, which have none.

    Attributes:
        rows: the living rows.
        alive: a mask over all rows, or None when all live.
        lines: the line of every living id, duplicates included.
        canonical: the canonical id of every duplicate.
    """

    def __init__(self, manifest: dict[str, Any], store: PassageStore, vectors: Vectors) -> None:
        self.manifest, self.store, self.vectors = manifest, store, vectors
        dead = set(manifest["dead"])
        self.rows = [row for row in range(len(vectors)) if row not in dead]
        self.alive = _mask(len(vectors), dead)
        self.lines = {name: i for i, name in enumerate(store.ids) if i not in dead}
        self.canonical = {store.ids[line]: of for line, of in store.duplicates.items()}
        # A retriever asks for the same near passages again and again.
        self.passage = lru_cache(_PASSAGES_KEPT)(store.passage)

    @classmethod
    def load(cls, folder: Path, manifest: dict[str, Any], *, vectors: Vectors | None = None) -> State:
        """Read the files of a checked manifest; `vectors` are those it names, where they are at hand.

        Raises:
            IndexFileError: the files do not belong together.
        """
        files = manifest["files"]
        if vectors is None:
            vectors = _read_vectors(folder / files["vectors"]["name"], manifest)
        store = PassageStore(folder / files["passages"]["name"])
        if len(vectors) != manifest["rows"] or len(store) - len(store.duplicates) != len(vectors):
            raise IndexFileError(
                f"{folder.name}: {len(vectors)} vectors for {len(store) - len(store.duplicates)} passages",
                hint=REBUILD,
            )
        return cls(manifest, store, vectors)

    def names(self, rows: NDArray[np.int64]) -> list[str]:
        """Return the ids of rows."""
        ids = self.store.ids
        return [ids[row] for row in rows.tolist()]


def canonical_json(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mapping as JSON would give it back: tuples as lists, keys as strings."""
    return dict(json.loads(json.dumps(dict(value), sort_keys=True)))


def _mask(count: int, dead: set[int]) -> NDArray[np.bool_] | None:
    if not dead:
        return None
    alive = np.ones(count, dtype=np.bool_)
    alive[sorted(dead)] = False
    return alive


def _read_vectors(path: Path, manifest: Mapping[str, Any]) -> Vectors:
    import faiss

    try:
        index = faiss.read_index(str(path))
    except RuntimeError as error:
        raise IndexFileError(f"{path.name} is not a FAISS index", hint=REBUILD) from error
    return Vectors(index, manifest["kind"], manifest["settings"])
