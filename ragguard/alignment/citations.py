"""An answer with its sources: which passages each claim rests on, as data and as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ragguard.types import Evidence, Quotation, Span

NEVER_SUPPORTED = frozenset({"contradicted", "conflicting", "unverifiable"})
"""Outcomes that no score outweighs."""
UNSUPPORTED = "unsupported"
"""The mark of a claim that the passages do not support."""


def is_supported(evidence: Evidence, threshold: float | None = None) -> bool:
    """Return whether the evidence bears its claim out: score above the threshold, and nothing against it.

    Args:
        threshold: in [0, 1); None takes the aligner's own word, the outcome `supported`.
    """
    if threshold is None:
        return evidence.outcome == "supported"
    scored = evidence.score is not None and evidence.score > threshold
    return scored and evidence.outcome not in NEVER_SUPPORTED


def citations(evidence: Sequence[Evidence], *, threshold: float | None = None) -> list[dict[str, Any]]:
    """Return one citation a claim, in order, ready for JSON and without any text.

    Each is {"start", "end", "marks", "sources"}: where the claim stands in the answer,
    its marks ("1", "2", or "unsupported"), and the places of the passages, each
    {"passage_id", "start", "end"}. A passage has the same number everywhere: they are
    numbered in the order in which supported claims name them. The sources of an
    unsupported claim are what it was held against.

    Args:
        threshold: see `is_supported`.
    """
    numbers: dict[str, str] = {}
    found = []
    for item in evidence:
        if item.claim is None:
            continue
        quoted = _quoted(item)
        marks = [UNSUPPORTED]
        if is_supported(item, threshold):
            ids = dict.fromkeys(one.passage_id for one in quoted)
            marks = [numbers.setdefault(passage, str(len(numbers) + 1)) for passage in ids]
        found.append(
            {
                "start": item.claim.span.start,
                "end": item.claim.span.end,
                "marks": marks,
                "sources": [
                    {"passage_id": q.passage_id, "start": q.span.start, "end": q.span.end} for q in quoted
                ],
            }
        )
    return found


def cite(answer: str, evidence: Sequence[Evidence], *, threshold: float | None = None) -> str:
    """Return the answer with a mark after each claim, and the list of its sources below.

    Args:
        evidence: of the claims of this answer, as a verdict holds it.
        threshold: see `is_supported`.

    Example:
        >>> from ragguard.types import Claim
        >>> claim = Claim(text="It is stable.", span=Span(start=0, end=13))
        >>> found = Evidence(claim=claim, passage_id="sort", span=Span(start=4, end=30), outcome="supported")
        >>> print(cite("It is stable.", [found]))
        It is stable. [1]
        <BLANKLINE>
        [1] sort, characters 4-30
    """
    made = citations(evidence, threshold=threshold)
    marked = answer
    for one in sorted(made, key=lambda c: (c["end"], c["start"]), reverse=True):
        marks = "".join(f"[{mark}]" for mark in one["marks"])
        marked = f"{marked[: one['end']]} {marks}{marked[one['end'] :]}" if marks else marked
    sources = _source_list(made)
    return f"{marked.rstrip()}\n\n{sources}" if sources else marked


def _source_list(made: Sequence[dict[str, Any]]) -> str:
    """One line a numbered passage, with the places of it that were cited, in order."""
    places: dict[tuple[str, str], set[tuple[int, int]]] = {}
    for one in made:
        if one["marks"] == [UNSUPPORTED]:
            continue
        ids = dict.fromkeys(source["passage_id"] for source in one["sources"])
        marks = dict(zip(ids, one["marks"], strict=True))
        for source in one["sources"]:
            key = (marks[source["passage_id"]], source["passage_id"])
            places.setdefault(key, set()).add((source["start"], source["end"]))
    return "\n".join(
        f"[{mark}] {passage}, characters {', '.join(f'{a}-{b}' for a, b in sorted(ranges))}"
        for (mark, passage), ranges in sorted(places.items(), key=lambda item: int(item[0][0]))
    )


def _quoted(item: Evidence) -> list[Quotation]:
    """The places weighed; the one place of an aligner that names one at most."""
    if item.quotations:
        return list(item.quotations)
    if item.passage_id is None:
        return []
    return [Quotation(passage_id=item.passage_id, span=item.span or Span(start=0, end=0))]
