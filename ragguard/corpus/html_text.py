"""The visible text of an HTML page, and where each character of it stands in the page."""

from __future__ import annotations

import html
import re
from collections import Counter
from html.parser import HTMLParser

Segment = list[int]
"""[text start, raw start, characters of text, characters of the page]."""

_UNSEEN = frozenset("script style template noscript head title svg math object iframe".split())
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())
_BLOCK = frozenset(
    """
    address article aside blockquote body br caption dd details dialog div dl dt fieldset figcaption figure
    footer form h1 h2 h3 h4 h5 h6 header hr html legend li main menu nav ol option p pre search section
    select summary table tbody td tfoot th thead tr ul
    """.split()
)
_CLOSED_BY_ITSELF = frozenset("li dt dd tr td th option".split())
_CLOSES_PARAGRAPH = _BLOCK - {"br", "option"}
_HIDING_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_SURROGATE = re.compile("[\ud800-\udfff]")
_RUN = re.compile(r"\s+|\S+")


def html_text(page: str) -> tuple[str, list[Segment], str]:
    """Return (text, segments, title) of a page.

    Scripts, styles, comments and hidden elements are left out, entities decoded,
    white space collapsed but in <pre>, and a line break put at block tags. The
    segments are in order and cover every character of the text but those breaks.
    """
    reader = _Reader(page)
    reader.feed(page)
    reader.close()
    text = "".join(reader.parts)
    return text, reader.segments, " ".join("".join(reader.title).split())


class _Reader(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=False)
        self.parts: list[str] = []
        self.segments: list[Segment] = []
        self.title: list[str] = []
        self._page = page
        # The parser counts lines by "\n" alone.
        self._lines = [0, *(m.end() for m in re.finditer("\n", page))]
        self._length = 0
        self._last = "\n"
        self._open: list[tuple[str, bool]] = []
        self._names: Counter[str] = Counter()
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._close_implied(tag)
        if tag in _BLOCK:
            self._break()
        if tag in _VOID:
            return
        unseen = tag in _UNSEEN or _hides(attrs)
        self._open.append((tag, unseen))
        self._names[tag] += 1
        self._unseen += unseen

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # Browsers take "<div/>" as an opening tag; only void elements close themselves.
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if self._names[tag]:
            while self._pop() != tag:
                pass
        if tag in _BLOCK:
            self._break()

    def handle_data(self, data: str) -> None:
        start = self._raw_position()
        if self._names["title"] and not self._names["svg"]:
            self.title.append(data)
        if self._unseen:
            return
        if self._names["pre"]:
            self._keep(data, start, len(data))
            return
        for run in _RUN.finditer(data):
            if not run.group()[0].isspace():
                self._keep(run.group(), start + run.start(), len(run.group()))
            elif not self._last.isspace():
                self._keep(" ", start + run.start(), len(run.group()))

    def handle_entityref(self, name: str) -> None:
        self._entity(f"&{name}")

    def handle_charref(self, name: str) -> None:
        self._entity(f"&#{name}")

    def parse_marked_section(self, i: int, report: int = 1) -> int:
        """Read "<![...]>" as a comment; the base class raises on keywords it does not know."""
        return self.parse_bogus_comment(i)

    def _entity(self, source: str) -> None:
        start = self._raw_position()
        if self._page.startswith(";", start + len(source)):
            source += ";"
        decoded = _SURROGATE.sub("\ufffd", html.unescape(source))
        if self._names["title"]:
            self.title.append(decoded)
        if not self._unseen and decoded:
            self._keep(decoded, start, len(source))

    def _raw_position(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def _keep(self, text: str, raw_start: int, raw_length: int) -> None:
        last = self.segments[-1] if self.segments else None
        plain = len(text) == raw_length
        joins = last is not None and last[2] == last[3] and last[0] + last[2] == self._length
        if last is not None and plain and joins and last[1] + last[3] == raw_start:
            last[2] += len(text)
            last[3] += raw_length
        else:
            self.segments.append([self._length, raw_start, len(text), raw_length])
        self._append(text)

    def _break(self) -> None:
        if self._last != "\n" and not self._unseen:
            self._append("\n")

    def _append(self, text: str) -> None:
        self.parts.append(text)
        self._length += len(text)
        self._last = text[-1]

    def _close_implied(self, tag: str) -> None:
        top = self._open[-1][0] if self._open else ""
        if (top == tag and tag in _CLOSED_BY_ITSELF) or (top == "p" and tag in _CLOSES_PARAGRAPH):
            self._pop()
        elif tag == "body" and self._names["head"]:
            self.handle_endtag("head")

    def _pop(self) -> str:
        tag, unseen = self._open.pop()
        self._names[tag] -= 1
        self._unseen -= unseen
        return tag


def _hides(attrs: list[tuple[str, str | None]]) -> bool:
    return any(n == "hidden" or (n == "style" and v and _HIDING_STYLE.search(v)) for n, v in attrs)
