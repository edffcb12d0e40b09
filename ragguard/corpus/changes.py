"""What a change does to an index: which rows stay, which passages are embedded, what is written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragguard.corpus.state import State
from ragguard.corpus.store import encode, redirected
from ragguard.errors import DuplicateIdError, InvalidValueError, UnknownPassageError
from ragguard.types import Passage

MOST_DEAD = 0.2
"""The share of dead rows beyond which an approximate index is built anew."""


@dataclass(frozen=True)
class Change:
    """A change worked out and not yet made.

    Attributes:
        keep: living rows that stay, ascending.
        dead: rows of the new index that are not searched.
        compact: whether dead rows are dropped and the others renumbered.
        embed: passages that become new rows, in order.
        lines: the whole passages file.
    """

    keep: NDArray[np.int64]
    dead: list[int]
    compact: bool
    embed: list[Passage]
    lines: list[bytes]


def unique(passages: Sequence[Passage]) -> tuple[list[Passage], list[tuple[Passage, str]]]:
    """Return the first passage of each text, and the others with the id of their first.

    Raises:
        DuplicateIdError: two have one id.
        InvalidValueError: one holds no text, or metadata that is not JSON.
    """
    return _split(passages, {}, set())


def plan(state: State, removed: Sequence[str], added: Sequence[Passage]) -> Change:
    """Work out the removal of ids and the addition of passages, as one change.

    Raises:
        UnknownPassageError: a removed id is not there.
        DuplicateIdError: an added id is taken.
        InvalidValueError: an added passage holds no text.
    """
    gone = set(removed)
    unknown = sorted(gone - state.lines.keys())
    if unknown:
        raise UnknownPassageError(
            f"the index has no passage {', '.join(map(repr, unknown[:10]))}", hint="check the ids"
        )
    heirs = _heirs(state, gone)
    keep = [row for row in state.rows if _holder(state, row, gone, heirs) is not None]
    taken = set(state.lines) - gone
    # Hashing every text is needed only when something might equal it.
    known = (
        {_key(state.passage(row)): _holder(state, row, gone, heirs) or "" for row in keep} if added else {}
    )
    new, repeated = _split(added, known, taken)
    dead_rows = len(state.vectors) - len(keep)
    compact = state.vectors.kind == "flat" or dead_rows > MOST_DEAD * (len(state.vectors) + len(new))
    living = set(keep)
    rows = keep if compact else list(range(len(state.vectors)))
    lines = [_row_line(state, row, gone, heirs) if row in living else state.store.line(row) for row in rows]
    lines += [encode(passage) for passage in new]
    lines += _duplicate_lines(state, gone, heirs)
    lines += [encode(passage, duplicate_of=of) for passage, of in repeated]
    dead = [] if compact else [row for row in rows if row not in living]
    return Change(np.asarray(keep, dtype=np.int64), dead, compact, new, lines)


def _split(
    passages: Sequence[Passage], known: dict[bytes, str], taken: set[str]
) -> tuple[list[Passage], list[tuple[Passage, str]]]:
    known, taken = dict(known), set(taken)
    chosen: list[Passage] = []
    repeated: list[tuple[Passage, str]] = []
    for passage in passages:
        if passage.id in taken:
            raise DuplicateIdError(f"two passages have the id {passage.id!r}", hint="rename one")
        if not passage.text.strip():
            raise InvalidValueError(f"passage {passage.id!r} holds no text", hint="leave it out")
        if passage.metadata:  # what cannot be written is found before hours of embedding, not after
            encode(passage)
        taken.add(passage.id)
        first = known.setdefault(_key(passage), passage.id)
        if first == passage.id:
            chosen.append(passage)
        else:
            repeated.append((passage, first))
    return chosen, repeated


def _key(passage: Passage) -> bytes:
    normal = " ".join(passage.text.split())
    return hashlib.sha256(normal.encode("utf-8", "surrogatepass")).digest()[:16]


def _heirs(state: State, gone: set[str]) -> dict[str, str]:
    """For each canonical id that goes and leaves duplicates, the first of those that stays."""
    heirs: dict[str, str] = {}
    for name, of in state.canonical.items():
        if of in gone and name not in gone:
            heirs.setdefault(of, name)
    return heirs


def _holder(state: State, row: int, gone: set[str], heirs: dict[str, str]) -> str | None:
    """The id that the row stands for after the change, or None when it goes."""
    name = state.store.ids[row]
    return heirs.get(name) if name in gone else name


def _row_line(state: State, row: int, gone: set[str], heirs: dict[str, str]) -> bytes:
    name = state.store.ids[row]
    if name not in gone:
        return state.store.line(row)
    return redirected(state.store.line(state.lines[heirs[name]]), None)


def _duplicate_lines(state: State, gone: set[str], heirs: dict[str, str]) -> Iterator[bytes]:
    inherited = set(heirs.values())
    for name, of in state.canonical.items():
        if name in gone or name in inherited:
            continue
        line = state.store.line(state.lines[name])
        yield redirected(line, heirs[of]) if of in heirs else line
