"""Writing segments: documents are read once, one after the other; then the suffixes are sorted."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragguard.errors import IndexFileError
from ragguard.trace import suffix_array
from ragguard.trace.documents import TraceDocument
from ragguard.trace.infini import engine_class, write_engine_files
from ragguard.trace.lexicon import digests_once, sorting
from ragguard.trace.sealed import seal, written_aside
from ragguard.trace.segment import (
    SCHEMA_VERSION,
    Engine,
    Segment,
    content_sum,
    document_hash,
    name_of,
    text_array,
)
from ragguard.trace.tokens import VERSION, pieces


def write_segments(
    folder: Path, documents: Iterable[TraceDocument], *, engine: Engine, shard_tokens: int
) -> tuple[str, ...]:
    """Write the documents as segments below `folder` and return their names; none for no documents.

    A name is made of the content. Where a segment of that name is already there and
    whole, as after a build that was interrupted, it is taken as it is.

    Args:
        folder: where segments lie.
        documents: of different ids; taken one at a time, so that they need not be in memory.
        engine: what sorts the suffixes.
        shard_tokens: a segment is closed with the document that brings it to this many tokens; building
            takes some 40 bytes of memory for each.

    Raises:
        MissingDependencyError: the engine is not installed.
    """
    if engine == "infini-gram":
        engine_class()
    names: list[str] = []
    stream = iter(documents)
    for first in stream:
        with written_aside(folder) as aside:
            text = _Reader(aside, engine)
            text.read(chain([first], stream), shard_tokens)
            names.append(name_of(text.fingerprint()))
            if not _is_whole(folder / names[-1]):
                text.write()
                seal(aside, folder / names[-1], text.facts())
    return tuple(names)


def _is_whole(folder: Path) -> bool:
    try:
        Segment(folder)
    except IndexFileError:
        return False
    return True


class _Reader:
    """What is gathered while the documents pass by."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self._engine = engine
        self.hashes: list[str] = []
        self._folder = folder
        self._names: list[str] = []
        self._begins: list[tuple[int, int, int]] = [(0, 0, 0)]
        # A word's number is given by looking it up: the next one free, for a new word.
        self._numbers: defaultdict[str, int] = defaultdict()
        self._numbers.default_factory = lambda: len(self._numbers) + 1
        self._tokens: list[NDArray[np.int32]] = []
        self._starts: list[NDArray[Any]] = []
        self._ends: list[NDArray[Any]] = []

    def read(self, documents: Iterable[TraceDocument], enough: int) -> None:
        with (
            (self._folder / "texts.bin").open("wb") as texts,
            (self._folder / "names.bin").open("wb") as names,
        ):
            for document in documents:
                tokens = self._take(document)
                size = texts.write(document.text.encode("utf-8", "surrogatepass"))
                length = names.write(document.id.encode("utf-8", "surrogatepass"))
                token, byte, letter = self._begins[-1]
                self._begins.append((token + tokens, byte + size, letter + length))
                if token + tokens >= enough:
                    return

    def _take(self, document: TraceDocument) -> int:
        self.hashes.append(document_hash(document))
        self._names.append(document.id)
        count = 1
        for piece in pieces(document.text):
            numbers = map(self._numbers.__getitem__, piece.words)
            self._tokens.append(np.fromiter(numbers, dtype=np.int32, count=len(piece.words)))
            self._starts.append(text_array(piece.starts))
            self._ends.append(text_array(piece.ends))
            count += len(piece.words)
        separator = np.zeros(1, dtype=np.int32)
        for column in (self._tokens, self._starts, self._ends):
            column.append(separator)
        return count

    def fingerprint(self) -> str:
        return hashlib.sha256(
            f"{SCHEMA_VERSION} {VERSION} {self._engine} {' '.join(self.hashes)}".encode()
        ).hexdigest()

    def facts(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "tokeniser": VERSION,
            "engine": self._engine,
            "documents": len(self.hashes),
            "tokens": self._begins[-1][0] - len(self.hashes),
            "words": len(self._numbers),
            "fingerprint": self.fingerprint(),
            "content": content_sum(self.hashes),
        }

    def write(self) -> None:
        self._save("starts", np.concatenate(self._starts))
        self._save("ends", np.concatenate(self._ends))
        self._starts, self._ends = [], []
        given = np.concatenate(self._tokens)
        self._tokens = []
        table = digests_once(list(self._numbers))
        order = sorting(table)
        self._save("lexicon", np.ascontiguousarray(table[:, order]))
        self._save("counts", np.bincount(given, minlength=len(self._numbers) + 1)[1:][order])
        rank = np.zeros(order.size + 1, dtype=suffix_array.token_type(order.size))
        rank[order + 1] = np.arange(1, order.size + 1)
        tokens = rank[given]
        del given
        if self._engine == "infini-gram":
            write_engine_files(self._folder, tokens)
        else:
            self._save("tokens", suffix_array.padded(tokens))
            self._save("suffixes", suffix_array.build(tokens))
        self._save("documents", np.array(self._begins, dtype=np.int64))
        names = digests_once(self._names)
        by_name = sorting(names)
        self._save("by_name", np.ascontiguousarray(names[:, by_name]))
        self._save("by_name_order", by_name)

    def _save(self, name: str, array: NDArray[Any]) -> None:
        np.save(self._folder / f"{name}.npy", array, allow_pickle=False)
