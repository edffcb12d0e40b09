"""From a claim's reading and score to its evidence: an outcome, the places it rests on, what fails.

The outcome explains and can only take away: a claim above the threshold that a
passage plainly contradicts is `conflicting`, and is not released.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ragguard.alignment.checks import Finding
from ragguard.alignment.reading import BETWEEN_PASSAGES, Reading
from ragguard.alignment.selection import Sentence, stems_of
from ragguard.alignment.subject import may_contradict
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
_ANSWERS_ONLY = stems_of("yes yeah yep nope true false correct incorrect right wrong indeed")
_BOUNDS = {"lower": "a lower", "upper": "an upper"}


_Place: TypeAlias = "tuple[Sentence, float | None]"
"""A sentence, and the chance that it alone supports the claim, where it was read alone."""


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


def evidence_of(judged: Judged, passages: Sequence[Passage]) -> Evidence:
    """Return the evidence of one claim."""
    claim, unit = judged.claim, judged.reading.unit
    if not judged.reading.inquiry.texts:
        return _unverifiable(claim, "too long to be read beside a passage")
    if not any(ch.isalnum() for ch in claim.text) or not stems_of(unit.text) - _ANSWERS_ONLY:
        return _unverifiable(claim, "no word of content to compare")
    outcome = _outcome(judged)
    finding = None if outcome == "supported" else _finding(judged)
    quotations = tuple(
        Quotation(passage_id=passages[s.passage].id, span=s.span, score=score)
        for s, score in _places(judged, finding, passages)
    )
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
    return _unverifiable(claim, "no passage to compare with")


def _unverifiable(claim: Claim, note: str) -> Evidence:
    return Evidence(claim=claim, score=0.0, outcome="unverifiable", note=note)


def _outcome(judged: Judged) -> str:
    seen = judged.reading.observation
    if judged.score > judged.threshold:
        return "supported" if _opposing(judged) is None else "conflicting"
    against = max([float(seen.contradicted[seen.together]), *map(float, seen.contradicted[seen.alone][:1])])
    entailed = float(seen.entailed[seen.together])
    if judged.reading.comparison.conflicts or (against > _LIKELY and against > entailed):
        return "contradicted"
    return "not_found"


def _alone(judged: Judged) -> list[_Place]:
    """The sentences read one by one, each with its chance to support the claim; the nearest by words first."""
    reading, seen = judged.reading, judged.reading.observation
    sentences = reading.source.index.sentences
    chances = map(_probability, seen.entailed[seen.alone])
    return [(sentences[i], p) for i, p in zip(reading.inquiry.alone, chances, strict=True)]


def _opposing(judged: Judged) -> _Place | None:
    """The sentence of another passage than the supporting one that contradicts the claim for certain."""
    alone, seen = _alone(judged), judged.reading.observation
    if not alone:
        return None
    supporting = alone[int(np.argmax(seen.entailed[seen.alone]))][0].passage
    wanted = stems_of(judged.claim.text)
    against = zip(alone, seen.contradicted[seen.alone], strict=True)
    found = [
        (float(contradicted), place)
        for place, contradicted in against
        if contradicted > _CERTAIN
        and place[0].passage != supporting
        and len(wanted & place[0].stems) >= _SAME_SUBJECT * max(1, len(wanted))
        and may_contradict(judged.claim.text, place[0].text)
    ]
    return max(found, key=lambda one: one[0])[1] if found else None


def _places(judged: Judged, finding: Finding | None, passages: Sequence[Passage]) -> list[_Place]:
    """What the claim rests on, or fails at: one to three sentences, best first."""
    if judged.score > judged.threshold:
        found, opposing = _supporting(judged), _opposing(judged)
        return found if opposing is None else [*found[: _MOST_QUOTATIONS - 1], opposing]
    alone = _alone(judged)
    place = _place_of(judged, finding, passages)
    if place is None:
        return alone[:1]
    return [next((one for one in alone if one[0] == place), (place, None))]


def _supporting(judged: Judged) -> list[_Place]:
    """The sentence that supports best, or where several are needed, those that do together; best first."""
    inquiry, seen = judged.reading.inquiry, judged.reading.observation
    alone = _alone(judged)
    if not alone:
        return [_best_chunk(judged)]
    first, *rest = sorted(alone, key=_chance, reverse=True)
    together = _probability(seen.entailed[seen.together]) if len(inquiry.together) > 1 else 0.0
    if together > _chance(first) + _AS_GOOD:
        known = dict(zip(inquiry.alone, alone, strict=True))
        sentences = judged.reading.source.index.sentences
        several = [known.get(i, (sentences[i], None)) for i in inquiry.together]
        return sorted(several, key=_chance, reverse=True)[:_MOST_QUOTATIONS]
    others = [one for one in rest if _chance(one) > max(0.5, _chance(first) - _AS_GOOD)]
    return ([first, *others] if others else [first, *_completing(judged, first[0])])[:_MOST_QUOTATIONS]


def _completing(judged: Judged, first: Sentence) -> list[_Place]:
    """The sentences that hold what the claim says beyond the first: its other half in another passage."""
    sentences = judged.reading.source.index.sentences
    left = content_words(judged.claim.text) - first.stems
    found: list[_Place] = []
    for sentence in (sentences[i] for i in judged.reading.inquiry.together):
        if sentence != first and left & sentence.stems:
            found.append((sentence, None))
            left -= sentence.stems
    return found


def _best_chunk(judged: Judged) -> _Place:
    """What was read where no sentence shares a word with the claim: a paraphrase is quoted by its chunk."""
    reading, seen = judged.reading, judged.reading.observation
    best = int(np.argmax(seen.entailed[: seen.chunks]))
    number = reading.inquiry.chunks[best]
    chunk = reading.source.chunks[number]
    span = chunk.source_span(0, len(chunk.text))
    sentence = Sentence(number, chunk.passage, chunk.text, span, frozenset())
    return sentence, _probability(seen.entailed[best])


def _chance(place: _Place) -> float:
    return 0.0 if place[1] is None else place[1]


def _place_of(judged: Judged, finding: Finding | None, passages: Sequence[Passage]) -> Sentence | None:
    """The sentence with which a finding conflicts; the checks read the passages as one text."""
    if finding is None or finding.source_start is None:
        return None
    offset, index = finding.source_start, judged.reading.source.index
    for place, passage in enumerate(passages):
        if offset < len(passage.text):
            at = index.at(place, offset)
            return None if at is None else index.sentences[at]
        offset -= len(passage.text) + len(BETWEEN_PASSAGES)
    return None


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
        remarks.append("uncalibrated: scores were fitted on English")
    return "; ".join(remarks)


def _probability(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-float(log_odds)))
