"""From a claim's reading and score to its evidence: an outcome, the places it rests on, what fails.

The outcome explains and can only take away: a claim above the threshold that a
passage plainly contradicts is `conflicting`, and is not released.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ragguard.alignment.checks import Finding
from ragguard.alignment.reading import Reading
from ragguard.alignment.selection import Sentence, SentenceIndex
from ragguard.text.words import content_words
from ragguard.types import Claim, Evidence, Passage, Quotation, Span

_CERTAIN = 2.2
"""Log-odds of contradiction (P = .9) from which another passage speaks against a supported claim."""
_LIKELY = 0.0
"""Log-odds of contradiction (P = .5) that make an unsupported claim a contradicted one."""
_SAME_SUBJECT = 0.6
"""Share of a claim's words that a sentence must hold before it can contradict a supported claim."""
_AS_GOOD = 0.1
_MOST_QUOTATIONS = 3
_BOUNDS = {"lower": "a lower", "upper": "an upper"}


@dataclass(frozen=True)
class Judged:
    """A claim, its reading and its score.

    Attributes:
        threshold: the score above which it is supported.
    """

    claim: Claim
    reading: Reading
    score: float
    threshold: float


def evidence_of(judged: Judged, passages: Sequence[Passage], index: SentenceIndex) -> Evidence:
    """Return the evidence of one claim."""
    claim = judged.claim
    if not content_words(judged.reading.unit.text) and not any(ch.isdigit() for ch in claim.text):
        return Evidence(claim=claim, score=0.0, outcome="unverifiable", note="no word of content to compare")
    outcome = _outcome(judged, index)
    quotations = tuple(
        Quotation(passage_id=passages[s.passage].id, span=s.span, score=score)
        for s, score in _places(judged, index)
    )
    finding = None if outcome == "supported" else _finding(judged)
    return Evidence(
        claim=claim,
        passage_id=quotations[0].passage_id if quotations else None,
        span=quotations[0].span if quotations else None,
        score=judged.score,
        outcome=outcome,
        note=_note(judged, outcome, finding),
        quotations=quotations,
        failing=_failing(claim, finding),
    )


def nothing_to_read(claim: Claim) -> Evidence:
    """Return the evidence of a claim for which there is no passage with text."""
    return Evidence(claim=claim, score=0.0, outcome="not_found", note="no passage to compare with")


def _outcome(judged: Judged, index: SentenceIndex) -> str:
    seen = judged.reading.observation
    if judged.score > judged.threshold:
        return "conflicting" if _opposed(judged, index) else "supported"
    against = max([float(seen.contradicted[seen.together]), *map(float, seen.contradicted[seen.alone][:1])])
    entailed = float(seen.entailed[seen.together])
    if judged.reading.comparison.conflicts or (against > _LIKELY and against > entailed):
        return "contradicted"
    return "not_found"


def _opposed(judged: Judged, index: SentenceIndex) -> bool:
    """Whether a sentence of another passage than the supporting one contradicts the claim for certain."""
    reading, seen = judged.reading, judged.reading.observation
    alone = [index.sentences[i] for i in reading.inquiry.alone]
    if not alone:
        return False
    entailed, contradicted = seen.entailed[seen.alone], seen.contradicted[seen.alone]
    supporting = alone[int(np.argmax(entailed))].passage
    wanted = content_words(reading.unit.claim.text)
    return any(
        contradicted[i] > _CERTAIN
        and sentence.passage != supporting
        and len(wanted & sentence.stems) >= _SAME_SUBJECT * max(1, len(wanted))
        for i, sentence in enumerate(alone)
    )


def _places(judged: Judged, index: SentenceIndex) -> list[tuple[Sentence, float | None]]:
    """The sentence that supports best, or where several are needed, those that do together; best first."""
    reading, seen = judged.reading, judged.reading.observation
    supported = judged.score > judged.threshold
    chances = map(_probability, seen.entailed[seen.alone])
    alone = [(index.sentences[i], p) for i, p in zip(reading.inquiry.alone, chances, strict=True)]
    ranked = sorted(alone, key=lambda item: -item[1]) if supported else alone
    if not ranked:
        return []
    together = _probability(seen.entailed[seen.together]) if len(reading.inquiry.together) > 1 else 0.0
    if supported and together > ranked[0][1] + _AS_GOOD:
        by_place = dict(zip(reading.inquiry.alone, (p for _, p in alone), strict=True))
        several = [(index.sentences[i], by_place.get(i)) for i in reading.inquiry.together]
        return sorted(several, key=lambda item: -(item[1] or 0.0))[:_MOST_QUOTATIONS]
    first, *rest = ranked
    others = [item for item in rest if supported and item[1] > max(0.5, first[1] - _AS_GOOD)]
    return [first, *others][:_MOST_QUOTATIONS]


def _finding(judged: Judged) -> Finding | None:
    """What the checks hold against the claim, the gravest and then the first."""
    findings = [f for f in judged.reading.comparison.findings if f.outcome != "agrees"]
    return min(findings, key=lambda f: (f.outcome != "conflicts", f.claim_start), default=None)


def _failing(claim: Claim, finding: Finding | None) -> Span | None:
    if finding is None or finding.claim_end <= finding.claim_start:
        return None
    start = claim.span.start
    return Span(start=start + finding.claim_start, end=min(claim.span.end, start + finding.claim_end))


def _note(judged: Judged, outcome: str, finding: Finding | None) -> str:
    if outcome == "conflicting":
        note = "one passage supports it and another contradicts it"
    elif finding is not None:
        note = finding.note
    elif outcome == "contradicted":
        note = "the nearest sentences say otherwise"
    else:
        note = "" if outcome == "supported" else "no sentence says so"
    remarks = [note] if note else []
    if judged.reading.observation.bound:
        remarks.append(f"the score is {_BOUNDS[judged.reading.observation.bound]} bound")
    if not judged.reading.unit.calibrated:
        remarks.append("scores were fitted on English")
    return "; ".join(remarks)


def _probability(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-float(log_odds)))
