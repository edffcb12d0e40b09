"""What `ragguard align` says of an item: one JSON-ready object, in both profiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ragguard.cli.align_items import Asked, Group, asked, each_or_error
from ragguard.cli.output import failed
from ragguard.errors import DataError
from ragguard.types import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable

    from ragguard.alignment.aligner import AlignmentAligner
    from ragguard.alignment.compat import PublishedScore, PublishedScorer

    Judge = Callable[[Sequence[Asked]], list[dict[str, Any]]]

GRAVEST_FIRST = ("contradicted", "conflicting", "not_found", "unverifiable", "supported")


def scored(group: Group, judge: Judge) -> Iterator[dict[str, Any]]:
    """Yield one line an item of a group, in order; a failed item becomes an error line."""
    found = [_asked(where, item) for where, item in group]
    ready = [one for one in found if isinstance(one, Asked)]
    judged = iter(each_or_error(judge, ready))
    for (where, item), one in zip(group, found, strict=True):
        identity = item.get("id", where) if isinstance(item, Mapping) else where
        outcome = next(judged) if isinstance(one, Asked) else one
        yield failed(identity, outcome) if isinstance(outcome, Exception) else {"id": identity, **outcome}


def strict(aligner: AlignmentAligner) -> Judge:
    """Return the judge that reads claim by claim; the least supported claim is the answer's score."""

    def judge(items: Sequence[Asked]) -> list[dict[str, Any]]:
        readable = [item for item in items if not item.unread]
        readings = iter(
            aligner.read_many([(item.claims, item.passages, item.question) for item in readable])
            if readable
            else []
        )
        return [
            nothing(item.unread)
            if item.unread
            else answer_line(item, aligner.judge(next(readings), item.claims, item.passages), aligner)
            for item in items
        ]

    return judge


def published(scorer: PublishedScorer) -> Judge:
    """Return the judge of the published profile."""

    def judge(items: Sequence[Asked]) -> list[dict[str, Any]]:
        found = scorer.judge([item.context for item in items], [item.text for item in items])
        return [_published_line(one) for one in found]

    return judge


def nothing(outcome: str) -> dict[str, Any]:
    """Return what is said of an answer that cannot be scored."""
    figures = dict.fromkeys(("mean", "share_supported", "p_all_supported"))
    return {"score": None, "outcome": outcome, **figures, "claims": []}


def answer_line(item: Asked, evidence: Sequence[Evidence], aligner: AlignmentAligner) -> dict[str, Any]:
    """Return what the evidence of an answer's claims says of them and of the answer."""
    claims = [claim_line(item, one) for one in evidence]
    outcome = min((one["outcome"] for one in claims), key=GRAVEST_FIRST.index)
    scores = [one["score"] for one in claims if one["score"] is not None]
    whole = len(scores) == len(claims)
    return {
        "score": min(scores) if outcome != "unverifiable" and scores else None,
        "outcome": outcome,
        "mean": float(np.mean(scores)) if scores else None,
        "share_supported": sum(one["outcome"] == "supported" for one in claims) / len(claims),
        "p_all_supported": aligner.combiner.all_supported(scores) if whole else None,
        "claims": claims,
    }


def claim_line(item: Asked, evidence: Evidence) -> dict[str, Any]:
    """Return what is said of one claim; a claim that cannot be verified has no score."""
    claim, failing = evidence.claim, evidence.failing
    if claim is None:
        raise DataError("an evidence names no claim")
    return {
        "text": claim.text,
        "start": claim.span.start,
        "end": claim.span.end,
        "score": None if evidence.outcome == "unverifiable" else evidence.score,
        "outcome": evidence.outcome,
        "note": evidence.note,
        "failing": None if failing is None else {"start": failing.start, "end": failing.end},
        "evidence": list(_quotations(item, evidence)),
    }


def _quotations(item: Asked, evidence: Evidence) -> Iterator[dict[str, Any]]:
    places = {passage.id: place for place, passage in enumerate(item.passages)}
    for one in evidence.quotations:
        place = places[one.passage_id]
        start, end = one.span.start, one.span.end
        text = item.passages[place].text[start:end]
        yield {"passage": place, "start": start, "end": end, "text": text, "score": one.score}


def _published_line(one: PublishedScore) -> dict[str, Any]:
    counts = {"cut_pairs": one.cut_pairs, "cut_tokens": one.cut_tokens}
    return {"score": one.score, "outcome": one.outcome, "sentences": list(one.sentences), **counts}


def _asked(where: str, item: dict[str, Any] | DataError) -> Asked | DataError:
    if isinstance(item, DataError):
        return item
    try:
        return asked(item, where)
    except DataError as error:
        return error
