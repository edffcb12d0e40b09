"""A small index and the parts around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ragguard.trace.documents import TraceDocument
from ragguard.trace.index import TraceIndex
from ragguard.types import Claim, Evidence, Passage

SECRET = "The vault opens with the code nine four seven when the blue lamp is lit at noon."
PUBLIC = "Our shop sells lamps in blue and green and is open every day but Sunday."
CANARY = "zyzzogeton"


def index_of(
    folder: Path,
    deny: Sequence[str] = (SECRET,),
    trusted: Sequence[str] = (PUBLIC,),
    policy: Sequence[str] = (),
) -> TraceIndex:
    """An index of these texts, each under the label and its number."""
    given = {"deny": deny, "trusted": trusted, "policy": policy}
    named: dict[str, Any] = {
        label: [TraceDocument(f"{label}-{n}", text) for n, text in enumerate(texts)]
        for label, texts in given.items()
    }
    return TraceIndex.build(folder, **named)


class Says:
    """An aligner that gives the outcome of the first word it knows in the claim or in the passage."""

    def __init__(self, outcomes: Mapping[str, str] | None = None, *, score: float | None = 0.1) -> None:
        self.outcomes, self.score = dict(outcomes or {}), score
        self.asked: list[tuple[str, str]] = []

    def align(
        self, claims: Sequence[Claim], passages: Sequence[Passage], /, *, question: str = ""
    ) -> list[Evidence]:
        (passage,) = passages
        self.asked += [(claim.text, passage.text) for claim in claims]
        return [Evidence(claim=c, score=self.score, outcome=self._outcome(c.text)) for c in claims]

    def _outcome(self, claim: str) -> str:
        return next((o for word, o in self.outcomes.items() if word in claim), "not_found")

    def fingerprint(self) -> dict[str, Any]:
        return {"aligner": "says", "outcomes": self.outcomes}
