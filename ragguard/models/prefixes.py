"""Prompts that begin alike, grouped so that what they share is read by the model once.

Probing asks many questions of the same passages. With the passage first, most of
a prompt is what other prompts begin with too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_LEAST_SHARED = 32


@dataclass(frozen=True, slots=True)
class Shared:
    """Prompts with a common beginning.

    Attributes:
        places: of the prompts in the list they came from.
        length: tokens that they share; shorter than each of them.
    """

    places: tuple[int, ...]
    length: int


def shared_beginnings(prompts: Sequence[Sequence[int]]) -> list[Shared]:
    """Return groups that cover every prompt once, each as long as sharing pays.

    A prompt joins a group where that shortens what is shared by less than half:
    a chat template that all prompts begin with is no reason to group them.

    Args:
        prompts: token ids, at least one each.
    """
    groups: list[Shared] = []
    places: list[int] = []
    length = 0
    for place in sorted(range(len(prompts)), key=lambda i: list(prompts[i])):
        if places:
            common = min(length, _common(prompts[places[-1]], prompts[place]), len(prompts[place]) - 1)
            if common >= _LEAST_SHARED and 2 * common >= len(prompts[place]):
                places.append(place)
                length = common
                continue
            groups.append(Shared(tuple(places), length))
        places, length = [place], len(prompts[place]) - 1
    return [*groups, Shared(tuple(places), length)] if places else groups


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count


def batches(groups: Sequence[Shared], *, rows: int) -> Iterator[list[Shared]]:
    """Yield groups of similar length together, at most `rows` prompts a batch; a larger group is cut.

    Longest first, so that a machine with too little memory fails at once.
    """
    batch: list[Shared] = []
    held = 0
    for group in sorted(groups, key=lambda g: -g.length):
        for first in range(0, len(group.places), rows):
            part = Shared(group.places[first : first + rows], group.length)
            if batch and held + len(part.places) > rows:
                yield batch
                batch, held = [], 0
            batch.append(part)
            held += len(part.places)
    if batch:
        yield batch
