"""Passages and their vectors in a folder: built once, searched, kept up to date.

Every change is written as a new version that takes effect at one moment
(`manifest`); what is in memory changes only after it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ragguard.corpus.changes import plan, unique
from ragguard.corpus.manifest import REBUILD, read_manifest, write_version
from ragguard.corpus.shards import Shards, embed_checked
from ragguard.corpus.state import State, canonical_json
from ragguard.corpus.store import encode, write_lines
from ragguard.corpus.vectors import Kind, Vectors, full_settings
from ragguard.errors import CalibrationMismatchError, EmptyCorpusError, UnknownPassageError
from ragguard.protocols import Embedder, FloatArray, Progress
from ragguard.types import Passage


class PassageIndex:
    """A searchable set of passages; make one with `build` or `open`.

    Passages of the same text, white space aside, have one vector: the first is
    canonical and searched, the others are in `duplicates`. Several threads may
    search while one changes it; two processes must not change one folder at once.
    """

    def __init__(self, path: Path, embedder: Embedder, state: State) -> None:
        self._path, self._embedder, self._state = path, embedder, state
        self._changing = threading.Lock()

    @classmethod
    def build(
        cls,
        path: str | Path,
        passages: Sequence[Passage],
        embedder: Embedder,
        *,
        kind: Kind = "flat",
        settings: Mapping[str, Any] | None = None,
        chunking: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
        resume: bool = True,
    ) -> PassageIndex:
        """Embed and index passages into a folder, replacing the index there at the very end.

        Killed and called again it embeds only what it had not: finished vectors
        wait in `<path>.partial`, 2,048 passages a file, until the index stands.

        Args:
            path: the folder.
            passages: with unique ids.
            embedder: the one that will serve.
            kind: "flat" is exact. "hnsw" and "ivf" are faster on millions and lose
                neighbours: calibrate through the index that will serve.
            settings: flat: screen; hnsw: m, ef_construction, ef_search; ivf: lists, probes.
            chunking: how the passages were cut; recorded in the fingerprint.
            progress: told ("embedding", done, total).
            resume: False forgets an earlier attempt.

        Raises:
            EmptyCorpusError: there are no passages.
            DuplicateIdError: two passages have one id.
            InvalidValueError: a passage holds no text, or a setting is out of range.
            InvalidVectorError: the embedder returned NaN, a wrong shape or no unit vectors.
        """
        path = Path(path)
        settings = full_settings(kind, settings)
        if not passages:
            raise EmptyCorpusError("there are no passages to index", hint="check what was loaded")
        chosen, duplicates = unique(passages)
        shards = Shards(path.with_name(path.name + ".partial"), chosen, embedder=embedder, progress=progress)
        if not resume:
            shards.remove()
        shards.embed()
        vectors = Vectors.build(
            shards, dimension=embedder.dimension, count=len(chosen), kind=kind, settings=settings
        )
        lines = chain(map(encode, chosen), (encode(p, duplicate_of=of) for p, of in duplicates))
        _write(path, vectors, lines, dead=(), embedder=embedder.fingerprint(), chunking=chunking)
        shards.remove()
        return cls.open(path, embedder)

    @classmethod
    def open(cls, path: str | Path, embedder: Embedder) -> PassageIndex:
        """Open the index of a folder; every file is checked against its recorded sha256.

        Raises:
            IndexFileError: none is there, or a file is missing, truncated, altered or foreign.
            CalibrationMismatchError: it was built with another embedder.
        """
        path = Path(path)
        manifest = read_manifest(path)
        _require_embedder(path, manifest["embedder"], embedder.fingerprint())
        return cls(path, embedder, State.load(path, manifest))

    def __len__(self) -> int:
        """Passages searched, duplicates apart."""
        return len(self._state.rows)

    @property
    def version(self) -> object:
        """An object that stands for the passages as they are; another one after every change."""
        return self._state

    @property
    def path(self) -> Path:
        """The folder."""
        return self._path

    @property
    def passages(self) -> Sequence[Passage]:
        """The passages searched, in order, each read from disk when looked at."""
        return _PassageView(self._state)

    @property
    def ids(self) -> list[str]:
        """Their ids, in order."""
        return [self._state.store.ids[row] for row in self._state.rows]

    @property
    def duplicates(self) -> Mapping[str, str]:
        """The id of each passage left out for its text, and the canonical id that stands for it."""
        return dict(self._state.canonical)

    def __contains__(self, name: object) -> bool:
        return name in self._state.lines

    def get(self, name: str, /) -> Passage:
        """Return a passage by id; a duplicate is returned as itself.

        Raises:
            UnknownPassageError: there is none of that id.
        """
        state = self._state
        if name not in state.lines:
            raise UnknownPassageError(f"the index has no passage {name!r}", hint="check the id")
        return state.passage(state.lines[name])

    def search(self, query_vectors: FloatArray, k: int) -> tuple[list[list[str]], FloatArray]:
        """Return the ids of the k best passages of each query, best first, and their similarities.

        Args:
            query_vectors: (q, d).
            k: at least 1; more than there are means all.

        Returns:
            q lists of ids, and float32 (q, longest list), -inf where a list is shorter.

        Raises:
            InvalidVectorError: NaN, infinity, or another dimension.
            InvalidValueError: k is below 1.
        """
        state = self._state
        hits = state.vectors.top_k(query_vectors, k, state.alive)
        similarities = np.full(
            (len(hits), max((len(rows) for rows, _ in hits), default=0)), -np.inf, dtype=np.float32
        )
        for row, (_, scores) in zip(similarities, hits, strict=True):
            row[: len(scores)] = scores
        return [state.names(rows) for rows, _ in hits], similarities

    def above(self, query_vectors: FloatArray, thresholds: ArrayLike) -> list[tuple[list[str], FloatArray]]:
        """Return (ids, similarities) at or above each query's threshold, best first.

        A flat index returns all of them, a passage exactly at the threshold
        included; "hnsw" and "ivf" those they reach.

        Raises:
            InvalidVectorError: NaN, infinity, or another dimension.
            InvalidValueError: a threshold is NaN, or their number is not 1 or q.
        """
        state = self._state
        hits = state.vectors.above(query_vectors, thresholds, state.alive)
        return [(state.names(rows), scores) for rows, scores in hits]

    def similarities(self, query_vector: FloatArray, ids: Sequence[str]) -> FloatArray:
        """Return the exact similarity of one query (d,) with passages, as any search would give it.

        Raises:
            UnknownPassageError: there is none of that id.
        """
        state = self._state
        unknown = [name for name in ids if name not in state.lines]
        if unknown:
            raise UnknownPassageError(f"the index has no passage {unknown[0]!r}", hint="check the id")
        rows = [state.lines[state.canonical.get(name, name)] for name in ids]
        return state.vectors.similarities(np.asarray(rows, dtype=np.int64), np.asarray(query_vector))

    def add(self, passages: Sequence[Passage]) -> None:
        """Add passages.

        Raises:
            DuplicateIdError: an id is taken.
            InvalidValueError: a passage holds no text.
        """
        self._change((), passages)

    def replace(self, passages: Sequence[Passage]) -> None:
        """Put these passages in the place of those with the same ids, in one step.

        Raises:
            UnknownPassageError: an id is not there.
            InvalidValueError: a passage holds no text.
        """
        self._change([passage.id for passage in passages], passages)

    def delete(self, ids: Iterable[str]) -> None:
        """Remove passages. A duplicate takes over from a canonical passage that goes.

        Raises:
            UnknownPassageError: an id is not there; nothing is removed then.
        """
        self._change(list(ids), ())

    def content_hashes(self) -> NDArray[np.uint64]:
        """Return a sorted hash of id and text of each passage searched, to tell how far a corpus changed.

        The first 8 bytes, big-endian, of sha256(id, a zero byte, text).
        """
        state = self._state
        return np.sort(np.asarray([_hash(state.passage(row)) for row in state.rows], dtype=np.uint64))

    def fingerprint(self) -> dict[str, Any]:
        """Return what determines a search's result, the passages apart (`content_hashes`)."""
        manifest = self._state.manifest
        return {key: manifest[key] for key in ("embedder", "chunking", "kind", "settings", "metric")}

    def _change(self, removed: Sequence[str], added: Sequence[Passage]) -> None:
        with self._changing:
            state = self._state
            change = plan(state, removed, added)
            texts = [passage.text for passage in change.embed]
            new = embed_checked(self._embedder, texts) if texts else _none(state.vectors.dimension)
            vectors = state.vectors.extended(change.keep, new, compact=change.compact)
            known = {key: state.manifest[key] for key in ("embedder", "chunking")}
            _write(self._path, vectors, change.lines, dead=change.dead, **known)
            self._state = State.load(self._path, read_manifest(self._path), vectors=vectors)


class _PassageView(Sequence[Passage]):
    def __init__(self, state: State) -> None:
        self._state = state

    def __len__(self) -> int:
        return len(self._state.rows)

    @overload
    def __getitem__(self, index: int) -> Passage: ...
    @overload
    def __getitem__(self, index: slice) -> list[Passage]: ...
    def __getitem__(self, index: int | slice) -> Passage | list[Passage]:
        rows = self._state.rows[index]
        return (
            [self._state.passage(row) for row in rows]
            if isinstance(rows, list)
            else self._state.passage(rows)
        )

    def __iter__(self) -> Iterator[Passage]:
        return (self._state.passage(row) for row in self._state.rows)


def _write(
    path: Path,
    vectors: Vectors,
    lines: Iterable[bytes],
    *,
    dead: Sequence[int],
    embedder: Mapping[str, Any],
    chunking: Mapping[str, Any] | None,
) -> None:
    import faiss

    writers = {
        "vectors": lambda file: faiss.write_index(vectors.index, str(file)),
        "passages": lambda file: write_lines(file, lines),
    }
    facts = {
        "kind": vectors.kind,
        "settings": vectors.settings,
        "metric": "inner_product",
        "dimension": vectors.dimension,
        "embedder": canonical_json(embedder),
        "chunking": canonical_json(chunking) if chunking is not None else None,
        "rows": len(vectors),
        "dead": list(dead),
    }
    write_version(path, writers, facts)


def _require_embedder(path: Path, built: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    given = canonical_json(given)
    if built == given:
        return
    differing = sorted(k for k in {*built, *given} if built.get(k) != given.get(k))
    raise CalibrationMismatchError(
        f"index {path.name!r} was built with embedder {built.get('name')!r}, not {given.get('name')!r}: "
        + ", ".join(f"{key} {built.get(key)!r} is now {given.get(key)!r}" for key in differing),
        hint=f"open it with that embedder, or {REBUILD}",
        details={"differing": differing},
    )


def _hash(passage: Passage) -> int:
    content = f"{passage.id}\0{passage.text}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big")


def _none(dimension: int) -> FloatArray:
    return np.empty((0, dimension), dtype=np.float32)
