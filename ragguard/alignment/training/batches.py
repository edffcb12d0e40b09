"""Encoded examples in batches of few shapes: each new shape costs the CPU a compilation and memory."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ragguard.alignment.training.examples import Example
from ragguard.models.pair_tokens import PairTokens

_STEP = 32
_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of every example end to end, and their labels."""

    ids: np.ndarray
    types: np.ndarray
    starts: np.ndarray
    binary: np.ndarray
    three_way: np.ndarray
    similarity: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def lengths(self) -> np.ndarray:
        """Return the tokens of every example, shape (n,)."""
        return np.diff(self.starts)


@dataclass(frozen=True, slots=True)
class Batch:
    """Tensors of one step: ids, mask and segments (rows, length), labels (rows,)."""

    ids: Tensor
    mask: Tensor
    types: Tensor
    binary: Tensor
    three_way: Tensor
    similarity: Tensor


def encode(examples: Sequence[Example], tokens: PairTokens) -> Encoded:
    """Return the examples as token ids."""
    ids: list[np.ndarray] = [np.zeros(0, dtype=np.int32)]
    types: list[np.ndarray] = [np.zeros(0, dtype=np.int8)]
    for start in range(0, len(examples), _CHUNK):
        part = examples[start : start + _CHUNK]
        for one in tokens.encode([(e.source, e.claim) for e in part]):
            ids.append(np.asarray(one.ids, dtype=np.int32))
            types.append(np.asarray(one.types, dtype=np.int8))
    starts = np.concatenate([[0], np.cumsum([len(one) for one in ids[1:]], dtype=np.int64)])
    return Encoded(
        np.concatenate(ids),
        np.concatenate(types),
        starts,
        np.asarray([e.binary for e in examples], dtype=np.int64),
        np.asarray([e.three_way for e in examples], dtype=np.int64),
        np.asarray([np.nan if e.similarity is None else e.similarity for e in examples], dtype=np.float32),
    )


def plan(data: Encoded, *, batch_tokens: int, seed: int) -> list[np.ndarray]:
    """Return the rows of every batch of one epoch, in an order drawn by the seed.

    All rows of a batch have the same padded length, and every batch of a length has
    the same number of rows: what is left over of a length moves to the next longer.
    """
    rng = random.Random(seed)
    padded = -(-data.lengths() // _STEP) * _STEP
    batches: list[np.ndarray] = []
    left: list[int] = []
    for length in sorted(set(padded.tolist())):
        rows = [*left, *np.flatnonzero(padded == length).tolist()]
        rng.shuffle(rows)
        size = max(1, batch_tokens // length)
        whole = len(rows) // size * size
        batches += [np.asarray(rows[i : i + size]) for i in range(0, whole, size)]
        left = rows[whole:]
    rng.shuffle(batches)
    return batches


def collate(data: Encoded, rows: np.ndarray, *, pad: int) -> Batch:
    """Return the tensors of a batch."""
    longest = int(data.lengths()[rows].max())
    length = -(-longest // _STEP) * _STEP
    ids = np.full((len(rows), length), pad, dtype=np.int64)
    mask = np.zeros((len(rows), length), dtype=np.int64)
    types = np.zeros((len(rows), length), dtype=np.int64)
    for i, row in enumerate(rows):
        start, end = data.starts[row], data.starts[row + 1]
        ids[i, : end - start] = data.ids[start:end]
        types[i, : end - start] = data.types[start:end]
        mask[i, : end - start] = 1
    arrays = (ids, mask, types, data.binary[rows], data.three_way[rows], data.similarity[rows])
    return Batch(*(torch.from_numpy(array) for array in arrays))


def batches_of(data: Encoded, plans: Sequence[np.ndarray], *, pad: int) -> Iterator[Batch]:
    """Yield the tensors of the planned batches."""
    for rows in plans:
        yield collate(data, rows, pad=pad)
