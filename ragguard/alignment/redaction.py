"""Cutting claims out of an answer so that the rest still reads."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ragguard.alignment.claims import is_contentless, split_claims
from ragguard.alignment.units import leans_on_another
from ragguard.types import Claim

_MARKER_BEFORE = re.compile(r"(?:^|\n)[ \t]*(?:[-*+•‣▪>]|\(?\d{1,3}[.)]|#{1,6})?[ \t]*$")


def with_dependants(claims: Sequence[Claim], doomed: Sequence[Claim]) -> list[Claim]:
    """Return the doomed claims, and those that lean on one: "It fell." must not speak of what stays.

    Args:
        claims: all claims of the answer, in order.
        doomed: some of them.
    """
    found: list[Claim] = []
    after_doomed = False
    for claim in claims:
        after_doomed = claim in doomed or (after_doomed and leans_on_another(claim.text))
        if after_doomed:
            found.append(claim)
    return found


def without_claims(answer: str, claims: Sequence[Claim]) -> str:
    """Return the answer less every sentence in which one of the claims lies.

    A list item that is left empty goes with its marker, and a lead-in
    ("The reasons are:") that nothing follows goes too. Returns "" when nothing
    checkable is left.
    """
    doomed = [s for s in split_claims(answer) if any(_overlap(s, claim) for claim in claims)]
    left = answer
    for sentence in reversed(doomed):
        left = _cut(left, sentence.span.start, sentence.span.end)
    left = _without_dangling_lead_in(re.sub(r"\n{3,}", "\n\n", left).strip())
    return left if split_claims(left) else ""


def _overlap(sentence: Claim, claim: Claim) -> bool:
    return sentence.span.start < claim.span.end and claim.span.start < sentence.span.end


def _cut(text: str, start: int, end: int) -> str:
    """Remove text[start:end] and the space, marker or line that only it needed."""
    before, after = text[:start], text[end:]
    rest_of_line = after.split("\n", 1)[0]
    marker = _MARKER_BEFORE.search(before)
    if marker is not None and not rest_of_line.strip(" \t\r*_"):
        return before[: marker.start()] + after[len(rest_of_line) :]
    if before[-1:].isspace() or not before:
        after = after.lstrip(" \t")
    return before + after


def _without_dangling_lead_in(text: str) -> str:
    lines = text.split("\n")
    while lines and (
        not lines[-1].strip() or (lines[-1].rstrip().endswith(":") and is_contentless(lines[-1]))
    ):
        lines.pop()
    return "\n".join(lines)
