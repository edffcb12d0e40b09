"""The pairs of a step in one batch, and the order of the steps.

A step is a few questions: each with passages it was read with, and with passages
of the other questions as negatives. All pairs go through the encoder together, so
their padded length is the longest's; rows and lengths are rounded up, since each
new shape costs the CPU a compilation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ragguard.models.cpu import has_bfloat16
from ragguard.preference.bases import Base, Encoded
from ragguard.preference.groups import Group, Member
from ragguard.preference.objective import Rows
from ragguard.preference.recipe import Settings

_LENGTHS = 32
_ROWS = 8
_SCORED_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class StepPairs:
    """One step: pairs of texts, and what is known of each."""

    pairs: tuple[tuple[str, str], ...]
    query: tuple[int, ...]
    members: tuple[Member | None, ...]


def teaches(group: Group, settings: Settings) -> bool:
    """Whether an objective has anything to learn from the question."""
    labelled = "point" in settings.objectives and any(member.tier for member in group.members)
    return labelled or group.informative(eps=settings.tie)


def steps_of(
    groups: Sequence[Group], clusters: Mapping[str, str], *, settings: Settings, epoch: int
) -> list[StepPairs]:
    """Return the steps of an epoch, drawn by the seed and the epoch alone."""
    rng = np.random.default_rng([settings.seed, epoch])
    order = [groups[i] for i in rng.permutation(len(groups))]
    parts = [order[i : i + settings.questions] for i in range(0, len(order), settings.questions)]
    return [_step(part, clusters, settings=settings, rng=rng) for part in parts]


def _step(
    part: Sequence[Group], clusters: Mapping[str, str], *, settings: Settings, rng: np.random.Generator
) -> StepPairs:
    pairs: list[tuple[str, str]] = []
    query: list[int] = []
    members: list[Member | None] = []
    for place, group in enumerate(part):
        own = _drawn(group.members, settings.passages, rng)
        mine = {member.passage for member in group.members}
        foreign = sorted(
            {
                member.passage
                for other in part
                if clusters[other.query_id] != clusters[group.query_id]
                for member in other.members
            }
            - mine
        )
        count = min(settings.borrowed, len(foreign)) if "contrastive" in settings.objectives else 0
        borrowed = [foreign[i] for i in rng.choice(len(foreign), count, replace=False)] if count else []
        pairs += [(group.query, member.passage) for member in own] + [(group.query, p) for p in borrowed]
        query += [place] * (len(own) + len(borrowed))
        members += [*own, *[None] * len(borrowed)]
    return StepPairs(tuple(pairs), tuple(query), tuple(members))


def _drawn(members: Sequence[Member], most: int, rng: np.random.Generator) -> list[Member]:
    """At most so many, those with a label first: without one, a passage is only what others are compared to."""
    if len(members) <= most:
        return list(members)
    places = sorted(rng.permutation(len(members)), key=lambda i: members[i].tier == 0)
    return [members[i] for i in sorted(places[:most])]


def rows_of(step: StepPairs, *, count: int) -> Rows:
    """Return what the losses read, filled up to `count` rows."""
    fill = count - len(step.pairs)
    known = [*step.members, *[None] * fill]
    return Rows(
        query=torch.tensor([*step.query, *[-1] * fill]),
        gains=torch.tensor([0.0 if m is None else m.gain for m in known]),
        tiers=torch.tensor([0 if m is None else m.tier for m in known]),
        weights=torch.tensor([1.0 if m is None else m.weight for m in known]),
        borrowed=torch.tensor([m is None for m in known]),
    )


def tensors(
    encoded: Sequence[Encoded], *, pad: int, max_tokens: int, rows: int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ids, mask and segments of one batch, each (rows, length).

    The length is rounded up to a multiple of 32; filler rows repeat the first pair.
    """
    longest = max(len(ids) for ids, _ in encoded)
    length = max(longest, min(max_tokens, -(-longest // _LENGTHS) * _LENGTHS))
    count = -(-len(encoded) // _ROWS) * _ROWS if rows is None else rows
    ids = np.full((count, length), pad, dtype=np.int64)
    mask, types = np.zeros((count, length), dtype=np.int64), np.zeros((count, length), dtype=np.int64)
    for row in range(count):
        one, kinds = encoded[row if row < len(encoded) else 0]
        ids[row, : len(one)], types[row, : len(one)], mask[row, : len(one)] = one, kinds, 1
    return torch.from_numpy(ids), torch.from_numpy(mask), torch.from_numpy(types)


def represented(base: Base, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return Z of a batch: in bfloat16 where the CPU has it, handed on in float32."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=has_bfloat16()):
        return base.represent(*batch)


@torch.inference_mode()
def vectors(base: Base, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
    """Return Z of every pair, in order, shape (len(pairs), width)."""
    found: dict[int, NDArray[np.float64]] = {}
    for places, encoded in _by_length(base, pairs):
        z = represented(base, tensors(encoded, pad=base.pad_id, max_tokens=base.max_tokens))
        found |= dict(zip(places, z.double().numpy(), strict=False))
    return np.stack([found[i] for i in range(len(pairs))])


@torch.inference_mode()
def scores_of(base: Base, groups: Sequence[Group]) -> list[NDArray[np.float64]]:
    """Return the scores of every group's passages, in order."""
    pairs = [(group.query, member.passage) for group in groups for member in group.members]
    if not pairs:
        return []
    z = torch.from_numpy(vectors(base, pairs)).float()
    flat = base.score(z).double().numpy()
    ends = np.cumsum([len(group.members) for group in groups])
    return [np.asarray(part) for part in np.split(flat, ends[:-1])]


def _by_length(base: Base, pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[list[int], list[Encoded]]]:
    """Batches of pairs of nearly one length; each pair once."""
    encoded = base.encode(pairs)
    order = sorted(range(len(pairs)), key=lambda i: len(encoded[i][0]))
    start = 0
    while start < len(order):
        longest, end = 0, start
        while end < len(order):
            longest = -(-len(encoded[order[end]][0]) // _LENGTHS) * _LENGTHS
            if end > start and longest * (end + 1 - start) > _SCORED_TOKENS:
                break
            end += 1
        places = order[start:end]
        yield places, [encoded[i] for i in places]
        start = end
