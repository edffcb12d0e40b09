"""Preferences as what training and measuring work on: one group of passages a question.

All passages of a group were read by one reader with one question. The neutral
tier (no difference made) stays in: under hard labels a question has passages that
helped or passages that harmed, rarely both, so without it no order is left to learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragguard.errors import PreferenceSetError
from ragguard.preference.records import PreferenceExample, of_one_reader

ALIGNED, NEUTRAL, UNALIGNED = 1, 0, -1
_NAMED = 5
_TIERS = {"aligned": ALIGNED, "unaligned": UNALIGNED}


@dataclass(frozen=True, slots=True)
class Member:
    """One passage of a group.

    Attributes:
        passage_id: of the passage.
        passage: its text.
        gain: in [-1, 1].
        tier: 1 aligned, 0 neutral, -1 unaligned.
        weight: above 0.
        rank: in the retriever's order, from 1; after all ranked ones where it has none.
        retriever_score: or None.
    """

    passage_id: str
    passage: str
    gain: float
    tier: int
    weight: float
    rank: int
    retriever_score: float | None


@dataclass(frozen=True, slots=True)
class Group:
    """One question and its passages, in the retriever's order, then by id.

    Attributes:
        query_id: of the question.
        query: its text.
        members: at least one.
        cluster: declared by the examples, or None.
        split: declared, or None.
    """

    query_id: str
    query: str
    members: tuple[Member, ...]
    cluster: str | None = None
    split: str | None = None

    @property
    def gains(self) -> NDArray[np.float64]:
        """Of the passages, in order."""
        return np.array([member.gain for member in self.members])

    @property
    def ranks(self) -> NDArray[np.int64]:
        """Of the passages, in order: they settle ties of scores."""
        return np.array([member.rank for member in self.members])

    def informative(self, *, eps: float = 0.0) -> bool:
        """Whether some passage did more for the reader than another."""
        return bool(len(self.members) > 1 and np.ptp(self.gains) > eps)


def groups_of(examples: Sequence[PreferenceExample], *, reader: str | None = None) -> list[Group]:
    """Return one group a question, ordered by question id; the order of the examples changes nothing.

    Repeated measurements of one passage are averaged, weighted by samples and
    weight: none has the last word.

    Args:
        examples: of one reader, unless one is chosen.
        reader: whose examples to use.

    Raises:
        InvalidValueError: several readers, and none is chosen.
        UnknownNameError: no example is of that reader.
        PreferenceSetError: there is no example; one id names two questions or two
            texts of a passage; or a passage is both aligned and unaligned for a question.
    """
    mine = of_one_reader(examples, reader)
    if not mine:
        raise PreferenceSetError("there is no preference", hint="probe the reader first")
    by_query: dict[str, list[PreferenceExample]] = {}
    for example in mine:
        by_query.setdefault(example.query_id, []).append(example)
    _require_one_text_each(mine)
    _require_no_contradiction(by_query)
    return [_group(query_id, by_query[query_id]) for query_id in sorted(by_query)]


def _group(query_id: str, rows: Sequence[PreferenceExample]) -> Group:
    members: dict[str, list[PreferenceExample]] = {}
    for row in rows:
        members.setdefault(row.passage_id, []).append(row)
    last = 1 + max((row.rank or 0 for row in rows), default=0)
    found = [_member(passage_id, same, last=last) for passage_id, same in members.items()]
    ordered = sorted(found, key=lambda member: (member.rank, member.passage_id))
    return Group(
        query_id,
        rows[0].query,
        tuple(ordered),
        _only(rows, "cluster", query_id),
        _only(rows, "split", query_id),
    )


def _member(passage_id: str, same: Sequence[PreferenceExample], *, last: int) -> Member:
    counts = np.array([row.n * row.weight for row in same])
    gain = float(counts @ np.array([row.gain for row in same]) / counts.sum())
    tiers = {_TIERS.get(row.category, NEUTRAL) for row in same} - {NEUTRAL}
    scores = [row.retriever_score for row in same if row.retriever_score is not None]
    return Member(
        passage_id=passage_id,
        passage=same[0].passage,
        gain=gain,
        tier=tiers.pop() if tiers else NEUTRAL,
        weight=float(max(row.weight for row in same)),
        rank=min((row.rank for row in same if row.rank is not None), default=last),
        retriever_score=max(scores, default=None),
    )


def _only(rows: Sequence[PreferenceExample], name: str, query_id: str) -> str | None:
    found = {getattr(row, name) for row in rows}
    if len(found) > 1:
        raise PreferenceSetError(
            f"question {query_id!r} has {len(found)} different values of `{name}`", hint="give all rows one"
        )
    value: str | None = found.pop()
    return value


def _require_one_text_each(examples: Sequence[PreferenceExample]) -> None:
    for what, key, text in (("question", "query_id", "query"), ("passage", "passage_id", "passage")):
        seen: dict[str, str] = {}
        mixed = sorted(
            {
                getattr(e, key)
                for e in examples
                if seen.setdefault(getattr(e, key), getattr(e, text)) != getattr(e, text)
            }
        )
        if mixed:
            raise PreferenceSetError(
                f"{len(mixed)} {what} ids stand for several texts: {', '.join(mixed[:_NAMED])}",
                hint=f"rows of another {what} were joined in; give every {what} its own id",
                details={key: mixed},
            )


def _require_no_contradiction(by_query: dict[str, list[PreferenceExample]]) -> None:
    bad = sorted(query_id for query_id, rows in by_query.items() if _contradicts(rows))
    if bad:
        raise PreferenceSetError(
            f"a passage is both aligned and unaligned for {len(bad)} questions: {', '.join(bad[:_NAMED])}",
            hint="probe these again with more samples, or leave them out",
            details={"query_id": bad},
        )


def _contradicts(rows: Sequence[PreferenceExample]) -> bool:
    """By text, not by id: a passage indexed twice is the same passage."""
    tiers: dict[str, set[str]] = {}
    for row in rows:
        tiers.setdefault(" ".join(row.passage.split()), set()).add(row.category)
    return any({"aligned", "unaligned"} <= found for found in tiers.values())
