"""Items of `ragguard align`: what a line asks, and how many lines are read together."""

from __future__ import annotations

import os
import select
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from ragguard.alignment.abstention import remaining_claims
from ragguard.cli.output import Items, items_of, read_items
from ragguard.errors import DataError
from ragguard.types import Claim, Passage

T = TypeVar("T")
U = TypeVar("U")

MOST_ITEMS = 64
MOST_CHARACTERS = 500_000
_BLOCK = 1 << 16
_SHAPE = '{"id","claim","question"?} and either "context" or "passages": [texts]'

Group = list[tuple[str, "dict[str, Any] | DataError"]]
"""(where, object or why there is none) of lines that are scored together."""


@dataclass(frozen=True)
class Asked:
    """What one line asks.

    Attributes:
        text: the claim as it was given.
        passages: their ids are their places.
        question: what the claim answers, or "".
    """

    text: str
    passages: tuple[Passage, ...]
    question: str = ""

    @cached_property
    def claims(self) -> list[Claim]:
        """The checkable statements of the text."""
        return remaining_claims(self.text)

    @property
    def context(self) -> str:
        """All passages as one text, with blank lines between them."""
        return "\n\n".join(passage.text for passage in self.passages)

    @cached_property
    def unread(self) -> str:
        """Why nothing can be scored: `nothing_to_check`, `unverifiable` (no passage says anything), or ""."""
        if not self.claims:
            return "nothing_to_check"
        return "" if any(_says_something(p.text) for p in self.passages) else "unverifiable"


def asked(item: Mapping[str, Any], where: str) -> Asked:
    """Return what a line asks.

    Raises:
        DataError: it has no claim, not one of context and passages, or one of them is no text.
    """
    question = item.get("question")
    if not isinstance(item.get("claim"), str):
        raise DataError(f"{where}: no claim", hint=f"each line is {_SHAPE}")
    if not isinstance(question, str | None):
        raise DataError(f"{where}: the question is no text", hint=f"each line is {_SHAPE}")
    return Asked(item["claim"], tuple(_passages(item, where)), question or "")


def _passages(item: Mapping[str, Any], where: str) -> Iterator[Passage]:
    if ("context" in item) == ("passages" in item):
        found = "both context and passages" if "context" in item else "no context and no passages"
        raise DataError(f"{where}: {found}", hint=f"each line is {_SHAPE}")
    texts = [item["context"]] if "context" in item else item["passages"]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{where}: a passage is no text", hint=f"each line is {_SHAPE}")
    return (Passage(id=str(place), text=text) for place, text in enumerate(texts))


def groups(source: str) -> Iterator[Group]:
    """Yield the lines of a JSONL file, or of stdin for "-", in order and in groups to be scored together.

    A group is small enough for memory; from a pipe it never waits for a line that has
    not been written yet.

    Raises:
        UnreadableFileError: the file is missing, or not UTF-8.
    """
    lines = Arriving.of_stdin() if source == "-" else None
    items = read_items(source) if lines is None else items_of("stdin", lines)
    return _grouped(items, (lambda: False) if lines is None else lambda: lines.idle)


def _grouped(items: Items, idle: Callable[[], bool]) -> Iterator[Group]:
    group: Group = []
    size = 0
    for where, item in items:
        group.append((where, item))
        size += _characters(item)
        if len(group) >= MOST_ITEMS or size >= MOST_CHARACTERS or idle():
            yield group
            group, size = [], 0
    if group:
        yield group


def each_or_error(function: Callable[[Sequence[T]], Sequence[U]], values: Sequence[T]) -> list[U | Exception]:
    """Return what the function makes of the values together; where that fails, of each alone, or why not."""
    try:
        return list(function(values)) if values else []
    except Exception as error:  # noqa: BLE001 - one bad item must not stop the others
        if len(values) == 1:
            return [error]
        return [found for value in values for found in each_or_error(function, [value])]


class Arriving:
    """Lines of a pipe as they are written; `idle` while the next one is not there yet.

    Args:
        descriptor: of the open pipe or file, to be read to its end.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque()

    @classmethod
    def of_stdin(cls) -> Arriving | None:
        """Return the lines of stdin; None where it cannot be asked whether it has more."""
        try:
            found = cls(sys.stdin.fileno())
            found._more_is_there()
        except (OSError, ValueError):
            return None
        return found

    @property
    def idle(self) -> bool:
        """Whether reading on would wait."""
        return not any(line.strip() for line in self._lines) and not self._more_is_there()

    def __iter__(self) -> Iterator[bytes]:
        begun: list[bytes] = []
        while block := os.read(self._descriptor, _BLOCK):
            first, *others = block.split(b"\n")
            begun.append(first)
            if others:
                self._lines.extend((b"".join(begun), *others[:-1]))
                begun = others[-1:]
            while self._lines:
                yield self._lines.popleft()
        yield b"".join(begun)

    def _more_is_there(self) -> bool:
        return bool(select.select([self._descriptor], [], [], 0)[0])


def line_count(source: str) -> int | None:
    """Return how many lines of a file are not blank; None for stdin."""
    if source == "-":
        return None
    with Path(source).open("rb") as file:
        return sum(1 for line in file if line.strip())


def _characters(item: dict[str, Any] | DataError) -> int:
    if isinstance(item, DataError):
        return 0
    passages = item.get("passages")
    texts = [item.get("claim"), item.get("context"), *(passages if isinstance(passages, list) else ())]
    return sum(len(text) for text in texts if isinstance(text, str))


def _says_something(text: str) -> bool:
    return any(sign.isalnum() for sign in text)
