"""What a symbolic check says: findings with offsets, and features for a learned scorer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Outcome = Literal["agrees", "missing", "conflicts"]


class Finding(NamedTuple):
    """One thing the claim says, and what the source says of it.

    `agrees`: the source says so too. `missing`: the source does not say so.
    `conflicts`: the source says something else in its place. Offsets count
    characters of the two original strings; the source's are None where nothing
    in the source stands for it.
    """

    kind: str
    outcome: Outcome
    claim_start: int
    claim_end: int
    source_start: int | None
    source_end: int | None
    note: str


@dataclass(frozen=True)
class Comparison:
    """All findings of one claim against one source, by place in the claim, and the features.

    Every feature is in [0, 1] and grows with support; it is 1.0 where the claim
    holds nothing of its kind.
    """

    findings: tuple[Finding, ...]
    features: Mapping[str, float]

    @property
    def conflicts(self) -> tuple[Finding, ...]:
        """The findings where the source says something else."""
        return tuple(finding for finding in self.findings if finding.outcome == "conflicts")
