"""In which company a pair is scored: only pairs of its own padded length, in batches of few sizes.

The length depends on the pair alone. Rows are a power of two, so that no row is
ever filler and every (rows, length) comes back: new shapes make the CPU compile
and keep kernels, and a long-lived process grow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragguard.models.backends.protocol import IntArray
from ragguard.models.batches import padded_length
from ragguard.models.pair_tokens import EncodedPair

SCHEME = "own length, steps of 32"
"""What of the batching a score depends on; in fingerprints."""
_MOST_ROWS = 64
_KEY_BYTES = 16


@dataclass(frozen=True, eq=False, slots=True)
class BucketedPair:
    """One pair's ids and segment ids, the length it is padded to, and what tells it from others."""

    key: bytes
    ids: NDArray[np.int32]
    types: NDArray[np.int8]
    length: int


def bucketed(pair: EncodedPair, *, max_tokens: int) -> BucketedPair:
    """Return the pair in its bucket; pairs of equal ids and segments, and no others, share a key."""
    ids = np.array(pair.ids, dtype=np.int32)
    types = np.array(pair.types, dtype=np.int8)
    # 128 bits of a cryptographic hash: a text cannot be built to be served another's score.
    digest = hashlib.blake2b(ids.tobytes() + types.tobytes(), digest_size=_KEY_BYTES)
    digest.update(len(ids).to_bytes(4, "little"))
    return BucketedPair(digest.digest(), ids, types, padded_length(len(ids), max_tokens=max_tokens))


def most_rows(length: int, *, batch_tokens: int) -> int:
    """Return the largest batch of a length: the power of two that `batch_tokens` holds, at most 64."""
    return row_count(max(1, batch_tokens // length), _MOST_ROWS)


def row_count(left: int, most: int) -> int:
    """Return the largest power of two that is above neither; both are at least 1."""
    return 1 << (min(left, most).bit_length() - 1)


def arrays_of(pairs: Sequence[BucketedPair], *, pad_id: int) -> tuple[IntArray, IntArray, IntArray]:
    """Return ids, mask and segment ids, each (len(pairs), length), of pairs of one bucket."""
    shape = len(pairs), pairs[0].length
    ids = np.full(shape, pad_id, dtype=np.int64)
    mask, types = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for row, pair in enumerate(pairs):
        ids[row, : len(pair.ids)] = pair.ids
        types[row, : len(pair.ids)] = pair.types
        mask[row, : len(pair.ids)] = 1
    return ids, mask, types
