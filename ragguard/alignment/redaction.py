"""Cutting claims out of an answer so that the rest still reads."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ragguard.alignment.claims import is_contentless, split_claims
from ragguard.alignment.units import leans_on_another
from ragguard.types import Claim

_MARKER_BEFORE = re.compile(r"(?:^|\n)[ \t]*(?:[-*+•‣▪>]|\(?\d{1,3}[.)]|#{1,6})?[ \t]*$")

_NUMBER = re.compile(r"\(?\d{1,3}[.)][ \t]")
_NUMBER_BEFORE = re.compile(r"(?:^|(?<=\s))\(?\d{1,3}[.)][ \t]+$")
_HEADING = re.compile(r"(#{1,6})\s")
_RULE = re.compile(r"[\s|:-]*-{2,}[\s|:-]*")


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

    A list item that is left empty goes with its marker; a lead-in ("The reasons
    are:"), a heading and the head of a table go too where nothing follows any more.
    Returns "" when nothing checkable is left.
    """
    doomed = [s for s in split_claims(answer) if any(_overlap(s, claim) for claim in claims)]
    left = answer
    for sentence in reversed(doomed):
        left = _cut(left, sentence.span.start, sentence.span.end)
    left = re.sub(r"\n{3,}", "\n\n", _without_dangling(left)).strip()
    return left if split_claims(left) else ""


def _overlap(sentence: Claim, claim: Claim) -> bool:
    return sentence.span.start < claim.span.end and claim.span.start < sentence.span.end


def _cut(text: str, start: int, end: int) -> str:
    """Remove text[start:end] and the space, marker or line that only it needed."""
    before, after = text[:start], text[end:]
    rest_of_line = after.split("\n", 1)[0]
    marker, follows = _MARKER_BEFORE.search(before), rest_of_line.strip(" \t\r*_")
    if marker is not None and not follows:
        return before[: marker.start()] + after[len(rest_of_line) :]
    numbered = _NUMBER_BEFORE.search(before)
    if numbered is not None and (not follows or _NUMBER.match(follows)):
        before = before[: numbered.start()]
    if before[-1:].isspace() or not before:
        after = after.lstrip(" \t")
    return before + after


def _without_dangling(text: str) -> str:
    """The text less the lines that announce what is not there any more; read upwards, as what follows decides."""
    kept: list[str] = []
    below = ""
    headless = False
    for line in reversed(text.split("\n")):
        bare = line.strip()
        if not bare:
            kept.append(line)
        elif headless and bare.startswith("|"):
            headless = False
        elif _RULE.fullmatch(bare) and "|" in bare and not below.startswith("|"):
            headless = True
        elif not _announces(bare, below):
            kept.append(line)
            below, headless = bare, False
    return "\n".join(reversed(kept))


def _announces(line: str, below: str) -> bool:
    """Whether it only says what follows, and `below` is not that."""
    if line.endswith(":") and is_contentless(line):
        return not below
    heading, next_heading = _HEADING.match(line), _HEADING.match(below)
    if heading is None or split_claims(line):
        return False
    return not below or (next_heading is not None and len(next_heading[1]) <= len(heading[1]))
