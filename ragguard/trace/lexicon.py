"""Which number a word has, looked up on disk: a sorted table of digests, never read as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Digests = NDArray[np.uint64]
"""Shape [2, n]: 128 bits of each word, in two rows. So long that equal digests mean equal words."""


def digests(words: Sequence[str]) -> Digests:
    """Return the digests of the words, in their order."""
    return _columns(b"".join(map(_digest, words)))


def digests_once(words: Sequence[str]) -> Digests:
    """Return the same, without keeping any for next time: for a whole vocabulary."""
    return _columns(b"".join(map(_digest.__wrapped__, words)))


@lru_cache(maxsize=1 << 15)
def _digest(word: str) -> bytes:
    return hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _columns(content: bytes) -> Digests:
    pairs = np.frombuffer(content, dtype=">u8").reshape(-1, 2)
    return np.ascontiguousarray(pairs.T.astype(np.uint64))


def sorting(table: Digests) -> NDArray[np.int64]:
    """Return the order that sorts the digests."""
    return np.lexsort((table[1], table[0]))


class Lexicon:
    """Numbers of words: the place of each in a sorted table of digests.

    Args:
        table: sorted, all different.
    """

    def __init__(self, table: NDArray[Any]) -> None:
        self._high, self._low = np.asarray(table[0]), np.asarray(table[1])

    def __len__(self) -> int:
        return int(self._high.size)

    def find(self, words: Sequence[str]) -> NDArray[np.int64]:
        """Return the number of each word from 0, or -1 where the table does not have it."""
        return self.find_digests(digests(words))

    def find_digests(self, wanted: Digests) -> NDArray[np.int64]:
        """Return the same, of digests."""
        size = self._high.size
        if not size:
            return np.full(wanted.shape[1], -1, dtype=np.int64)
        at = np.searchsorted(self._high, wanted[0])
        last = size - 1
        while True:  # twice at most: two words of one table rarely share even their first 64 bits
            here = np.minimum(at, last)
            like = (at < size) & (self._high[here] == wanted[0])
            found = like & (self._low[here] == wanted[1])
            if not (like & ~found).any():
                return np.where(found, at, -1)
            at = np.where(like & ~found, at + 1, at)
