"""Answers in which the model says that it does not know, and what they still assert.

Each sentence is cut into segments where a new statement can begin ("but",
"other than", ";", ", which"). A segment is an abstention only when it *begins*
like one, so that a quoted or negated "I don't know" is not; every segment that
is not an abstention and carries content remains, and is judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ragguard.alignment.claims import is_contentless, split_claims
from ragguard.alignment.phrases import (
    ASKS,
    BREAK,
    CORE,
    FACTIVE,
    IS_SUBJECT,
    JOINS_A_LIST,
    NO_OBJECT,
    OPENER,
    RUN_ON,
    STOPS,
    VERB_OR_FIGURE,
)
from ragguard.text.words import content_words
from ragguard.types import Claim, Span


def find_abstentions(answer: str) -> list[Span]:
    """Return the places in which the answer says that it does not know, in order."""
    return [Span(start=s, end=e) for s, e, kind in _segments(answer) if kind == "abstention"]


def is_abstention(answer: str) -> bool:
    """Return whether the answer abstains and asserts nothing else.

    Example:
        >>> is_abstention("I'm sorry, the passages do not mention Paris.")
        True
        >>> is_abstention("I don't know, but the dose is 5 mg.")
        False
    """
    return bool(find_abstentions(answer)) and not remaining_claims(answer)


def remaining_claims(answer: str) -> list[Claim]:
    """Return what is left to judge: every claim, less the parts of it that abstain.

    A sentence without an abstention is returned whole; of a mixed one, only the
    segments that assert something. Spans are of the answer given.
    """
    left = []
    for claim in split_claims(answer):
        segments = list(_sentence_segments(claim))
        if all(kind != "abstention" for _, _, kind in segments):
            left.append(claim)
            continue
        for start, end, kind in segments:
            if kind == "statement":
                left.append(Claim(text=answer[start:end], span=Span(start=start, end=end)))
    return left


def _segments(answer: str) -> Iterator[tuple[int, int, str]]:
    for claim in split_claims(answer):
        yield from _sentence_segments(claim)


def _sentence_segments(claim: Claim) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, kind) of a sentence's parts; kind is abstention, statement or filler."""
    text = claim.text.replace("’", "'")  # same length: offsets stay true
    abstained = lists_on = False
    for start, joint, end in _cut(text):
        first = start + len(text[start:end]) - len(text[start:end].lstrip())
        last = len(text[:end].rstrip(STOPS))
        if first >= last:
            continue
        part, offset = text[first:last], claim.span.start
        core = _abstains(part)
        if core is not None:
            abstained, lists_on = True, NO_OBJECT.fullmatch(part, core.end()) is None
            yield offset + first, offset + last, "abstention"
            presupposed = _presupposed(part, core)
            if presupposed is not None:
                yield offset + first + presupposed, offset + last, "statement"
        elif _is_filler(part, abstained=abstained) or (lists_on and _continues_topic(part, joint)):
            yield offset + first, offset + last, "filler"
        else:
            yield offset + first, offset + last, "statement"


def _cut(text: str) -> Iterator[tuple[int, str, int]]:
    """Yield (start, the joint before it, end) of the parts between breaks."""
    start, joint = 0, ""
    for found in BREAK.finditer(text):
        if found.start() - start < 120 and OPENER.fullmatch(text[start : found.start()].strip() + ", "):
            continue  # "Based on the passages, ..." belongs to what follows
        yield start, joint, found.start()
        start, joint = found.end(), found.group()
    yield start, joint, len(text)


def _abstains(part: str) -> re.Match[str] | None:
    """Return the match of the abstaining words a part begins with, or None."""
    opener = OPENER.match(part)
    for begin in (opener.end() if opener else 0, 0):
        core = CORE.match(part, begin)
        if core is not None and not IS_SUBJECT.match(part, core.end()):
            return core
    return None


def _presupposed(part: str, core: re.Match[str]) -> int | None:
    """Where "I don't know why it fell in 1987", or "I don't know it fell", begins to assert; or None."""
    if re.match(r"(?:i|we|one)\b", core.group(), re.IGNORECASE) is None:
        return None
    factive = FACTIVE.match(part, core.end())
    if factive is not None and re.search(r"\d", factive.group()):
        return factive.start() + 1
    run_on = RUN_ON.match(part, core.end()) if core.group().lower().endswith("know") else None
    return run_on.start("statement") if run_on is not None else None


def _is_filler(part: str, *, abstained: bool) -> bool:
    opener = OPENER.match(part)
    if is_contentless(part) or (opener is not None and opener.end() >= len(part)):
        return True
    return abstained and not content_words(part)


def _continues_topic(part: str, joint: str) -> bool:
    """Whether it only goes on naming what is not known: "... Paris, London and Rome"."""
    if JOINS_A_LIST.fullmatch(joint) is None:
        return False
    asks = ASKS.match(part) is not None and re.search(r"\d", part) is None
    return asks or VERB_OR_FIGURE.search(part) is None
