"""The checkable statements of an answer, with their place in it.

A claim is a sentence, a list item or a table row of the answer. What asserts
nothing (a greeting, "Here is the answer:", a bare heading, punctuation) is no
claim; when in doubt a fragment is one, because a claim too many is judged and
a claim too few is let through.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ragguard.text.sentences import sentence_spans, trimmed
from ragguard.text.words import content_words
from ragguard.types import Claim, Span

_BULLETS = re.compile(r"[ \t]*(?:(?:[-*+•‣▪–]|\(?[a-zA-Z]\)|#{1,6}|>)[ \t]+(?=\S))*+")
_NUMBERED = re.compile(r"\(?(?P<number>\d{1,3})(?P<sign>[.)])[ \t]+(?=\S)")
_NEXT_ITEM = re.compile(r"\s\(?(\d{1,3})\)[ \t]+(?=\S)")
_LAST_UNLISTED = 9
_LONG_LINE = 60
_HEADING = re.compile(r"[ \t]*#{1,6}[ \t]")
_FENCE = re.compile(r"[ \t]*(?:```|~~~)")
_ENDS = re.compile(r"[.!?:;。！？｡।॥؟|…][\"'”’»)\]*_]*\s*$")
_TABLE_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-{2,}[ \t:|-]*$")
_CITATION = re.compile(r"(?:\[\^?\d{1,3}(?:\s*[,;-]\s*\d{1,3})*\]\s*)+[.]?$")
_DECORATION = " \t\r\n*_`~#>\"'“”‘’«»"

_SPARE = r"(?:[^\d,;:—–]*)"
_CONTENTLESS = re.compile(
    r"(?:"
    r"(?:hello|hi|hey|greetings|good (?:morning|afternoon|evening|day))(?: there| again| everyone)?"
    r"|(?:dear (?:user|customer|reader))"
    r"|(?:sure(?: thing)?|certainly|of course|absolutely|gladly|okay|ok|alright|all right|understood|got it)"
    r"(?:,? (?:thing|here (?:it is|you go|is (?:the|your|an) answer)|i can help(?: you)?(?: with that)?))?"
    r"|(?:(?:that(?:'s| is)|what) an? )?(?:good|great|excellent|interesting) question"
    r"|(?:thank you|thanks)(?: (?:so|very) much)?(?: for (?:your question|asking|your patience))?"
    r"|you(?:'re| are) (?:very )?welcome|happy to help|glad to help|my pleasure"
    r"|i(?:'m| am|'d be| would be) (?:happy|glad|here) to (?:help|assist)(?: you)?(?: with (?:that|this))?"
    r"|(?:i )?hope (?:this|that|it) (?:helps|was helpful|is helpful|clarifies|answers your question)"
    + _SPARE
    + r"|(?:please )?(?:let me know|(?:feel free|don't hesitate) to (?:ask|reach out|contact))"
    + _SPARE
    + r"|(?:would you like|do you (?:want|need|have)|can i help|how (?:can|may) i (?:help|assist)|shall i"
    r"|is there anything)" + _SPARE + r"\?"
    r"|here you go|here it is|let me (?:explain|see|think)|let's (?:see|begin|start)"
    r"|(?:in (?:summary|conclusion|short)|to summarize|to sum up|answer|the answer|note|sources?|references?)"
    r")[\s.!:,…]*",
    re.IGNORECASE,
)
_LEAD_IN = re.compile(
    r"(?:(?:sure|certainly|of course|okay|ok)[,!.]? )?"
    r"(?:here(?:'s| is| are)|below (?:is|are)|these are|this is|the following|as follows"
    r"|the (?:answer|answers|steps|options|reasons|results?) (?:is|are)(?: as follows)?"
    r"|(?:based on|according to) the (?:\w+ )?(?:context|passages?|documents?|information))\b[^\d.;]*:\s*",
    re.IGNORECASE,
)
# Possessive: a long unbroken word must not be split into three in every possible way.
_LABEL = re.compile(r"(?:[^\W\d]++[ \t]?+){1,3}:\s*")
_SHORT_TITLE = re.compile(r"(?:[^\W\d]++[ \t]*+){1,3}")


def split_claims(answer: str) -> list[Claim]:
    r"""Return the claims of an answer in order; `answer[c.span.start:c.span.end] == c.text` for each.

    Claims never overlap. An answer without words has none.

    Example:
        >>> [c.text for c in split_claims("Sure! Here is the answer:\n- It sorts. It is stable.\n- Yes.")]
        ['It sorts.', 'It is stable.', 'Yes.']
    """
    claims = []
    numbering = _Numbering()
    for start, end, is_heading in _blocks(answer):
        for first, last in _statements(answer, start, end, numbering):
            text = answer[first:last]
            if not (is_heading and _is_title(text)) and not is_contentless(text):
                claims.append(Claim(text=text, span=Span(start=first, end=last)))
    return claims


def is_contentless(text: str) -> bool:
    """Return whether a fragment asserts nothing: no words, a greeting, an offer, a lead-in, a bare label."""
    bare = text.strip(_DECORATION).replace("’", "'")
    if not any(ch.isalnum() for ch in bare) or _CITATION.fullmatch(bare):
        return True
    return any(pattern.fullmatch(bare) for pattern in (_CONTENTLESS, _LEAD_IN, _LABEL))


def _is_title(text: str) -> bool:
    return _SHORT_TITLE.fullmatch(text.strip(_DECORATION)) is not None


class _Numbering:
    """Tells the number of a list item from a number that is the answer.

    "12. It has rings." begins with a marker only after an item 11: a statement that
    is taken for a marker is not judged, so above 9 the list has to be there.
    """

    def __init__(self) -> None:
        self.last = 0

    def marks(self, number: int) -> bool:
        known = number <= _LAST_UNLISTED or number == self.last + 1
        self.last = number if known else self.last
        return known


def _statements(answer: str, start: int, end: int, numbering: _Numbering) -> Iterator[tuple[int, int]]:
    """Yield the ranges of a block's sentences and of the items listed within one, less their markers."""
    for first, last in sentence_spans(answer[start:end]):
        first, last = start + first, start + last
        numbered = _NUMBERED.match(answer, first, last)
        if numbered is None or not numbering.marks(int(numbered["number"])):
            yield first, last
            continue
        first = _after_bullets(answer, numbered.end(), last)
        if numbered["sign"] == ")":  # "1) sorts 2) is stable"
            for item in _NEXT_ITEM.finditer(answer, first, last):
                if int(item.group(1)) == numbering.last + 1:
                    numbering.last += 1
                    yield trimmed(answer, first, item.start())
                    first = item.end()
        yield first, last


def _after_bullets(answer: str, start: int, end: int) -> int:
    found = _BULLETS.match(answer, start, end)
    return found.end() if found else start


def _blocks(answer: str) -> Iterator[tuple[int, int, bool]]:
    """Yield (start, end, is heading) of what is split on its own: list items, rows, paragraphs."""
    open_block: tuple[int, int] | None = None
    lines = list(_lines(answer))
    for place, (start, end) in enumerate(lines):
        line = answer[start:end]
        body = _after_bullets(answer, start, end)
        marked = line[: body - start].strip() or _NUMBERED.match(answer, body, end)
        starts_anew = marked or not line.strip() or _FENCE.match(line)
        if open_block is not None and (starts_anew or not _goes_on(_tail(answer, *open_block), line)):
            yield (*open_block, False)
            open_block = None
        below = answer[slice(*lines[place + 1])] if place + 1 < len(lines) else ""
        if not line.strip() or _FENCE.match(line) or _heads_a_table(line, below):
            continue
        if _HEADING.match(line):
            yield body, end, True
        else:
            open_block = (open_block[0] if open_block else body, end)
    if open_block is not None:
        yield (*open_block, False)


def _heads_a_table(line: str, below: str) -> bool:
    """Whether it only names the columns; with a sentence's end in it, a stream may show it before `below`."""
    ruled = "|" in line and _TABLE_RULE.match(below) is not None
    return ruled and len(sentence_spans(f"{line} X")) == 1


def _goes_on(before: str, line: str) -> bool:
    """Whether a line without a marker continues the one before it, as soft-wrapped prose does."""
    if _ENDS.search(before) or line.lstrip().startswith("|"):
        return False
    last_words = content_words(before.rsplit(None, 1)[-1])  # "... the dose is" cannot end there
    return line[0] in " \t" or line.lstrip()[0].islower() or not last_words or len(before) >= _LONG_LINE


def _tail(answer: str, start: int, end: int) -> str:
    return answer[max(start, end - _LONG_LINE) : end]


def _lines(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for line in text.splitlines(keepends=True):
        yield start, start + len(line.rstrip())
        start += len(line)
