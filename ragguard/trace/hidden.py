"""Text that a reader of the page does not see and a model does.

Invisible characters, markup that is not rendered, and text pushed out of sight.
What stands there is not judged here: most comments are harmless. `Finding.weight`
says how seldom such a place is innocent; what an instruction in it adds is for
`ragguard.trace.injection` to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ragguard.types import Span


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a text that speaks against it, by rule; never the text itself.

    Attributes:
        rule: a stable identifier, e.g. "hidden.zero_width".
        span: raw characters of the text.
        weight: how much it says alone, in [0, 1].
    """

    rule: str
    span: Span
    weight: float


_INVISIBLE = "\u200b\u200c\u200d\u2060-\u2064\ufeff\u180e\u115f\u1160\u3164\uffa0"
# A joiner between emoji, or between letters of a script that joins, is spelling; a run of them is not.
_ZERO_WIDTH_RUN = re.compile(rf"[{_INVISIBLE}\u200e\u200f]{{4,}}")
_SPLIT_WORD = re.compile(rf"[A-Za-z][{_INVISIBLE}\u00ad]+(?=[A-Za-z])")
_SPLIT_WORDS_LEAST = 3
_TAGS = re.compile("[\U000e0000-\U000e007f]+")
_FLAG = "\U0001f3f4"
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{4,}")
_OVERRIDE = re.compile("[\u202d\u202e][^\u202c\n]+")
_CONTROL = re.compile(r"\x08+|\x1b\[[0-9;]{0,12}m|[\x00-\x07\x0e-\x1a]+")
# Begun at a run's first character only, and possessive: a page of line breaks is read once.
_WHITESPACE = re.compile(r"(?<!\s)\s{41,}+(?=\S)")
_BLANK, _BREAKS = 200, 40
_MARKDOWN_COMMENT = re.compile(
    r"^\[[^\]\n]{1,40}\]:[ \t]{0,8}(?:#|<>)[ \t]{0,8}[(\"'][^\n]{1,4000}", re.MULTILINE
)
_LINK_TITLE = re.compile(r"\]\([^()\s]{1,400}[ \t]{1,8}\"[^\"\n]{60,4000}\"\)")
_DATA_URI = re.compile(r"data:[a-z]{2,20}/[a-z0-9.+-]{2,40}(?:;[a-z0-9=-]{1,40}){0,3},[A-Za-z0-9+/%=_-]{24,}")
_TAG = re.compile(r"<([a-zA-Z][a-zA-Z0-9]{0,15})(\s[^<>]{0,2000})?>")
_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())
_UNSEEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|opacity\s*:\s*0?\.?0+(?![.\d])"
    r"|font-size\s*:\s*0*(?:\.\d+|[01](?:\.\d+)?)?\s*(?:px|pt|em|rem|%)?\s*(?=[;\"'!}]|$)"
    r"|(?:left|top|right|text-indent|margin-left)\s*:\s*-\d{3,}"
    r"|(?:width|height|max-height)\s*:\s*0(?:px)?\s*;[^\"']{0,80}overflow\s*:\s*hidden"
    r"|clip\s*:\s*rect\(0|color\s*:\s*transparent|(?:^|\s)hidden(?=\s|=|/|$)",
    re.IGNORECASE,
)
_COLOUR = re.compile(
    r"(background(?:-color)?|(?<![-\w])color)\s*[:=]\s*[\"']?\s*(#[0-9a-f]{3,8}|rgb\([\d, ]{5,13}\)|[a-z]+)",
    re.I,
)
_WHITE = frozenset(("white", "#fff", "#ffff", "#ffffff", "#fefefe", "#fdfdfd", "rgb(255,255,255)"))


def find_hidden(text: str) -> list[Finding]:
    """Return what is hidden in the text, in order of place; time grows with its length alone."""
    found = [finding for look in _LOOKS for finding in look(text)]
    return sorted(found, key=lambda f: (f.span.start, f.span.end, f.rule))


def _each(rule: str, weight: float, pattern: re.Pattern[str]) -> Callable[[str], Iterator[Finding]]:
    def look(text: str) -> Iterator[Finding]:
        for match in pattern.finditer(text):
            yield Finding(rule, Span(start=match.start(), end=match.end()), weight)

    return look


def _split_words(text: str) -> Iterator[Finding]:
    """Letters held apart by nothing: one is a leftover of a web page, several are meant."""
    found = list(_SPLIT_WORD.finditer(text))
    if len(found) >= _SPLIT_WORDS_LEAST:
        # Soft hyphens alone are typesetting, however many.
        if any("\u00ad" not in match.group() for match in found):
            for match in found:
                yield Finding("hidden.split_word", Span(start=match.start(), end=match.end()), 0.5)


def _whitespace(text: str) -> Iterator[Finding]:
    """Space enough to push what follows off the page."""
    for match in _WHITESPACE.finditer(text):
        lines = match.group().split("\n")
        if len(lines) > _BREAKS or max(map(len, lines)) >= _BLANK:
            yield Finding("hidden.whitespace", Span(start=match.start(), end=match.end()), 0.4)


def _tags(text: str) -> Iterator[Finding]:
    """Characters of the tag block: invisible ASCII, used by three flags and by nobody else."""
    for match in _TAGS.finditer(text):
        flag = match.start() > 0 and text[match.start() - 1] == _FLAG and len(match.group()) <= 7
        if not flag:
            yield Finding("hidden.tag_characters", Span(start=match.start(), end=match.end()), 0.95)


def _comments(text: str) -> Iterator[Finding]:
    """HTML comments that hold words; one that never ends hides all that follows."""
    at = text.find("<!--")
    while at >= 0:
        close = text.find("-->", at + 4)
        end = len(text) if close < 0 else close + 3
        if len(re.findall(r"[^\W\d_]{2,}", text[at + 4 : min(end, at + 400)])) >= 3:
            yield Finding("hidden.html_comment", Span(start=at, end=end), 0.3)
        at = text.find("<!--", end)


def _elements(text: str) -> Iterator[Finding]:
    """Elements that a browser does not show, with what they hold."""
    lower, after, unclosed = text.lower() if "<" in text else "", 0, set[str]()
    if len(lower) != len(text):  # a letter whose lower case is longer: offsets would shift
        lower = text
    for match in _TAG.finditer(text):
        name, attributes = match.group(1).lower(), match.group(2) or ""
        if match.start() < after or not attributes or name in _VOID or not _is_unseen(attributes):
            continue
        close = -1 if name in unclosed else lower.find(f"</{name}", match.end())
        if close < 0:
            unclosed.add(name)  # looked for once: a page of such tags must not cost its square
        end = len(text) if close < 0 else close
        after = end
        if re.search(r"\w", text[match.end() : min(end, match.end() + 4000)]):
            yield Finding("hidden.css", Span(start=match.start(), end=end), 0.6)


def _is_unseen(attributes: str) -> bool:
    if _UNSEEN.search(attributes):
        return True
    colours = {
        m.group(1)[:5].lower(): m.group(2).lower().replace(" ", "") for m in _COLOUR.finditer(attributes)
    }
    ink, ground = colours.get("color"), colours.get("backg")
    if ink is None:
        return False
    return ink == ground or (ground is None and ink in _WHITE)


_LOOKS: tuple[Callable[[str], Iterator[Finding]], ...] = (
    _each("hidden.zero_width", 0.8, _ZERO_WIDTH_RUN),
    _split_words,
    _tags,
    _each("hidden.variation_selectors", 0.9, _SELECTORS),
    _each("hidden.bidi_override", 0.6, _OVERRIDE),
    _each("hidden.control_characters", 0.4, _CONTROL),
    _whitespace,
    _each("hidden.markdown_comment", 0.4, _MARKDOWN_COMMENT),
    _each("hidden.link_title", 0.3, _LINK_TITLE),
    _each("hidden.data_uri", 0.4, _DATA_URI),
    _comments,
    _elements,
)
