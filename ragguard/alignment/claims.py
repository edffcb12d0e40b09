"""The checkable statements of an answer, with their place in it.

A claim is a sentence, a list item or a table row of the answer. What asserts
nothing (a greeting, "Here is the answer:", a bare heading, punctuation) is no
claim; when in doubt a fragment is one, because a claim too many is judged and
a claim too few is let through.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ragguard.text.sentences import sentence_spans
from ragguard.text.words import content_words
from ragguard.types import Claim, Span

_MARKER = re.compile(r"[ \t]*(?:(?:[-*+•‣▪–]|\(?\d{1,3}[.)]|\(?[a-zA-Z]\)|#{1,6}|>)[ \t]+)+(?=\S)")
_HEADING = re.compile(r"[ \t]*#{1,6}[ \t]")
_FENCE = re.compile(r"[ \t]*(?:```|~~~)")
_ENDS = re.compile(r"[.!?:;。！？｡।॥؟|…][\"'”’»)\]*_]*\s*$")
_BARE_MARKER = re.compile(r"\(?(?:\d{1,3}|[a-zA-Z])[.)]$")
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
    for start, end, is_heading in _blocks(answer):
        spans = _trimmed_sentences(answer, start, end)
        for place, (first, last) in enumerate(spans):
            text = answer[first:last]
            is_last = place == len(spans) - 1
            only_leads = _is_marker_or_heading(text, is_last=is_last, is_heading=is_heading)
            if not only_leads and not is_contentless(text):
                claims.append(Claim(text=text, span=Span(start=first, end=last)))
    return claims


def is_contentless(text: str) -> bool:
    """Return whether a fragment asserts nothing: no words, a greeting, an offer, a lead-in, a bare label."""
    bare = text.strip(_DECORATION).replace("’", "'")
    if not any(ch.isalnum() for ch in bare) or _CITATION.fullmatch(bare):
        return True
    return any(pattern.fullmatch(bare) for pattern in (_CONTENTLESS, _LEAD_IN, _LABEL))


def _is_marker_or_heading(text: str, *, is_last: bool, is_heading: bool) -> bool:
    """Whether it only numbers what follows ("2." alone at the end may be the whole answer), or is a title."""
    if _BARE_MARKER.fullmatch(text) and not is_last:
        return True
    return is_heading and _SHORT_TITLE.fullmatch(text.strip(_DECORATION)) is not None


def _trimmed_sentences(answer: str, start: int, end: int) -> list[tuple[int, int]]:
    spans = []
    for first, last in sentence_spans(answer[start:end]):
        text = answer[start + first : start + last]
        left = len(text) - len(text.lstrip())
        if text.strip():
            spans.append((start + first + left, start + first + left + len(text.strip())))
    return spans


def _blocks(answer: str) -> Iterator[tuple[int, int, bool]]:
    """Yield (start, end, is heading) of what is split on its own: list items, rows, paragraphs."""
    open_block: tuple[int, int] | None = None
    for start, end in _lines(answer):
        line = answer[start:end]
        marker = _MARKER.match(line)
        starts_anew = marker is not None or not line.strip() or _FENCE.match(line) is not None
        if open_block is not None and (starts_anew or not _goes_on(answer[slice(*open_block)], line)):
            yield (*open_block, False)
            open_block = None
        if not line.strip() or _FENCE.match(line):
            continue
        body = start + (marker.end() if marker else 0)
        if _HEADING.match(line):
            yield body, end, True
        else:
            open_block = (open_block[0] if open_block else body, end)
    if open_block is not None:
        yield (*open_block, False)


def _goes_on(before: str, line: str) -> bool:
    """Whether a line without a marker continues the one before it, as soft-wrapped prose does."""
    if _ENDS.search(before) or line.lstrip().startswith("|"):
        return False
    last_words = content_words(before.rsplit(None, 1)[-1])  # "... the dose is" cannot end there
    return line[0] in " \t" or line.lstrip()[0].islower() or not last_words or len(before) >= 60


def _lines(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for line in text.splitlines(keepends=True):
        yield start, start + len(line.rstrip("\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029"))
        start += len(line)
