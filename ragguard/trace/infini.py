"""The same look-ups by infini-gram, an engine that searches suffix arrays on disk.

For corpora larger than memory, on Linux, with the extra `infini-gram`. An index
built with `TraceIndex.build(..., engine="infini-gram")` is cut into shards, each a
segment that holds the engine's files in place of our own suffix array; documents,
offsets, word statistics, additions and compaction are the same.

The engine also offers matching statistics of its own (`creativity`). They are not
used: in version 2.6 they come out too short for some texts, where its counts, on
which the search here rests, are exact.

References:
    Liu, Min, Zettlemoyer, Choi, Hajishirzi 2024: infini-gram. Liu et al. 2025:
    OLMoTrace, which traces answers with it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragguard.errors import IndexFileError, MissingDependencyError
from ragguard.trace.sealed import REBUILD, broken
from ragguard.trace.suffix_array import SEPARATOR, UNKNOWN, Places, sorted_suffixes

_NEVER = 1
"""Added to the largest number in use: a word that no document has."""


def engine_class() -> Any:
    """Return the engine's class.

    Raises:
        MissingDependencyError: the extra is not installed.
    """
    try:
        from infini_gram.engine import InfiniGramEngine
    except ImportError as error:
        raise MissingDependencyError(
            "infini-gram is not installed", hint='pip install "ragguard[infini-gram]" (Linux)'
        ) from error
    return InfiniGramEngine


def write_engine_files(folder: Path, tokens: NDArray[Any]) -> None:
    """Write the three files of one shard that the engine reads.

    Its texts begin with their separator where ours end with it, so that its place p
    is our p - 1; its numbers have the least significant byte first, and sort so.

    Args:
        folder: of the segment.
        tokens: shape [n], of `token_type`, a separator after each document.
    """
    separator = np.iinfo(tokens.dtype).max
    theirs = np.empty(tokens.size, dtype=tokens.dtype.newbyteorder("<"))
    theirs[0] = separator
    theirs[1:] = np.where(tokens[:-1] == SEPARATOR, separator, tokens[:-1])
    width = theirs.dtype.itemsize
    theirs.tofile(folder / "tokenized.0")
    (np.flatnonzero(theirs == separator) * width).astype("<u8").tofile(folder / "offset.0")
    places = sorted_suffixes(theirs.view(np.uint8), width)
    with (folder / "table.0").open("wb") as file:
        bytes_each = _pointer_bytes(theirs.nbytes)
        for begin in range(0, places.size, 1 << 22):
            pointers = places[begin : begin + (1 << 22)].astype("<u8") * width
            file.write(pointers.view(np.uint8).reshape(-1, 8)[:, :bytes_each].tobytes())


class EngineArray:
    """One shard of the engine, with the look-ups of `SuffixArray`.

    Args:
        folder: where its files lie.
        tokens: how many, separators included.
        words: how many different ones.
        width: bytes of one.

    Raises:
        MissingDependencyError: the extra is not installed.
        IndexFileError: the files are not those of such a shard.
    """

    def __init__(self, folder: Path, *, tokens: int, words: int, width: int) -> None:
        self.size = tokens
        self._width = width
        self._absent = words + _NEVER
        self._bytes_each = _pointer_bytes(tokens * width)
        expected = {"tokenized.0": tokens * width, "table.0": tokens * self._bytes_each}
        for name, size in expected.items():
            # The engine would end the process over files that do not fit one another.
            if not (folder / name).is_file() or (folder / name).stat().st_size != size:
                raise broken(folder / name, "does not fit the other files")
        self._table = np.memmap(folder / "table.0", dtype=np.uint8, mode="r").view(np.ndarray)
        self._engine = engine_class()(
            index_dir=[str(folder)],
            eos_token_id=0,
            vocab_size=words + 2 * _NEVER + 1,
            token_dtype=f"u{8 * width}",
        )

    def longest(self, query: Places, least: int = 1) -> Places:
        """Return the matching statistics, as `SuffixArray.longest` does; below `least` they may be too small.

        From one maximal match to the next: the first place from which some end beyond the
        last one is reached is sought by halving, how far the text goes on from there by doubling.
        """
        ids = self._ids(query)
        ends = np.arange(len(ids))
        start = end = 0
        while start + least <= len(ids) and end < len(ids):
            # A match that is long enough, begins at `start` or later and lies in no earlier one reaches this far.
            target = max(end + 1, start + least)
            first = self._first_reaching(ids, start, target)
            if target - first < least:
                start = first
            else:
                end = self._furthest(ids, first, target)
                ends[first] = end
                start = first + 1
        return np.maximum.accumulate(ends) - np.arange(len(ids))

    def reaching_end(self, query: Places) -> int:
        """Return the first place from which the query occurs to its end; its length where none does."""
        return self._first_reaching(self._ids(query), 0, query.size)

    def intervals(self, query: Places, starts: Places, ends: Places) -> tuple[Places, Places]:
        """Return the ranges of suffixes that begin with each `query[start:end]`."""
        ids = self._ids(query)
        found = [self._find(ids[a:b]) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
        low, high = np.array(found, dtype=np.int64).reshape(-1, 2).T
        return low, high

    def begins(self, low: int, high: int) -> Places:
        """Return where the suffixes low to high begin, as places of our tokens."""
        content = self._table[low * self._bytes_each : high * self._bytes_each]
        pointers = np.zeros((high - low, 8), dtype=np.uint8)
        pointers[:, : self._bytes_each] = content.reshape(-1, self._bytes_each)
        return pointers.view("<u8").reshape(-1).astype(np.int64) // self._width - 1

    def _furthest(self, ids: list[int], start: int, end: int) -> int:
        """Largest place up to which ids[start:...] occurs, from `end` on, where it does."""
        step, reached, beyond = 1, end, len(ids) + 1
        while reached < len(ids) and reached + 1 < beyond:
            ahead = min(reached + step, len(ids), beyond - 1)
            if self._occurs(ids[start:ahead]):
                reached, step = ahead, 2 * step
            else:
                beyond, step = ahead, max(1, (ahead - reached) // 2)
        return reached

    def _first_reaching(self, ids: list[int], start: int, end: int) -> int:
        """First place from `start` on such that ids[place:end] occurs, or `end` where none does."""
        low, high = start, end
        while low < high:
            middle = (low + high) // 2
            if self._occurs(ids[middle:end]):
                high = middle
            else:
                low = middle + 1
        return low

    def _ids(self, query: Places) -> list[int]:
        ids: list[int] = np.where(query == UNKNOWN, self._absent, query).tolist()
        return ids

    def _occurs(self, ids: list[int]) -> bool:
        low, high = self._find(ids)
        return low < high

    def _find(self, ids: list[int]) -> tuple[int, int]:
        answer = self._engine.find(input_ids=ids)
        if "error" in answer:
            raise IndexFileError("infini-gram refused the look-up", hint=REBUILD)
        ((low, high),) = answer["segment_by_shard"]
        return low, high


def _pointer_bytes(size: int) -> int:
    """Bytes of one pointer into a file of that size, as the engine works it out."""
    return max(1, math.ceil(math.log2(size) / 8)) if size > 1 else 1
