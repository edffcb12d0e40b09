"""One question as retrieval saw it: the similarities it got, and where its relevant passages stood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from ragguard.conformal.scores import Array, Score
from ragguard.errors import InvalidScoreError, UnknownNameError

Target: TypeAlias = Literal["any", "all", "recall"]
TARGETS: tuple[str, ...] = get_args(Target)


def check_target(name: str) -> Target:
    """Return the target if there is one of that name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in TARGETS:
        raise UnknownNameError(f"no target named {name!r}", hint=f"one of {', '.join(TARGETS)}")
    return name  # type: ignore[return-value]


def ranked(ids: Sequence[str], similarities: Sequence[float] | Array) -> tuple[list[str], Array]:
    """Return ids and similarities best first, each id once (its best), ties in the order given.

    Raises:
        InvalidScoreError: a similarity is NaN or infinite.
    """
    values = np.asarray(similarities, dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise InvalidScoreError(
            f"retrieval score of passage {ids[bad[0]]!r} is {values[bad[0]]}",
            hint="every result needs a finite score, higher is nearer",
        )
    order = np.argsort(-values, kind="stable")
    seen: dict[str, int] = {}
    for position in order:
        seen.setdefault(ids[position], int(position))
    return list(seen), values[list(seen.values())]


@dataclass(frozen=True)
class Observation:
    """One calibration or evaluation question, after retrieval.

    Attributes:
        id: of the question.
        similarities: (m,), descending: what the retriever returned.
        positions: 0-based places of the relevant passages among them; -1 where a
            relevant passage was not returned. Empty for an unanswerable question.
        group: Mondrian group, or None.
        cluster: what questions are not independent within (article, user), or None.
        provenance: "human" or "synthetic".
        weight: likelihood ratio of serving to calibration traffic.
        tokens: (m,), tokens of each passage, or None when unknown.
    """

    id: str
    similarities: Array
    positions: tuple[int, ...]
    group: str | None = None
    cluster: str | None = None
    provenance: str = "human"
    weight: float = 1.0
    tokens: Array | None = None

    @property
    def answerable(self) -> bool:
        """True when some passage is relevant."""
        return bool(self.positions)

    @property
    def top(self) -> float:
        """The best similarity; -inf when nothing was returned."""
        return float(self.similarities[0]) if len(self.similarities) else -np.inf

    def nonconformity(self, score: Score) -> Array:
        """Return one nonconformity a passage returned, non-decreasing."""
        return score(self.similarities)

    def relevant_scores(self, score: Score, *, cap: int | None = None) -> Array:
        """Return one score a relevant passage; +inf where it was not returned or stands beyond the cap."""
        scores = self.nonconformity(score)
        limit = len(scores) if cap is None else min(cap, len(scores))
        return np.array([scores[p] if 0 <= p < limit else np.inf for p in self.positions])

    def kept(self, score: Score, threshold: float, *, cap: int | None = None) -> int:
        """Return how many passages score <= the threshold, at most the cap."""
        count = int(np.searchsorted(self.nonconformity(score), threshold, side="right"))
        return count if cap is None else min(count, cap)


def observe(
    question_id: str,
    ids: Sequence[str],
    similarities: Sequence[float] | Array,
    relevant: Sequence[str],
    *,
    tokens: Mapping[str, int] | None = None,
    group: str | None = None,
    cluster: str | None = None,
    provenance: str = "human",
    weight: float = 1.0,
) -> Observation:
    """Return the observation for one question and the results it got, in any order."""
    names, values = ranked(ids, similarities)
    place = {name: position for position, name in enumerate(names)}
    return Observation(
        id=question_id,
        similarities=values,
        positions=tuple(place.get(r, -1) for r in dict.fromkeys(relevant)),
        group=group,
        cluster=cluster,
        provenance=provenance,
        weight=weight,
        tokens=None if tokens is None else np.array([tokens.get(n, 0) for n in names], dtype=np.float64),
    )


def target_score(relevant_scores: Array, target: Target) -> float:
    """Return S: the smallest threshold at which the question's target is met ("any" or "all")."""
    return float(relevant_scores.min() if target == "any" else relevant_scores.max())
