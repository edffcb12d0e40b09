"""A passage made ready to be judged: folded for the rules, and cut into units."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ragguard.text.sentences import sentence_spans, trimmed
from ragguard.trace.confusables import look_alikes
from ragguard.types import Span

_LONGEST_UNIT, _WINDOW = 320, 240
# Where a line surely ends something: the next begins like a sentence, a row or a line of code.
_NEW_LINE = re.compile(r"\n(?=[^\S\n]*[A-Z0-9|\[<{`\"'#>*\u00c0-\uffff-])|(?<=[|{};:,`])\n")
_TAG_BLOCK = 0xE0000


@dataclass(frozen=True, slots=True)
class Folded:
    """Folded text; character i of it comes from raw character `origin[i]`, or i where that is None."""

    text: str
    origin: NDArray[np.int64] | None = None

    def raw(self, span: Span) -> Span:
        """Return where a span of the folded text lies in the raw one."""
        if self.origin is None or span.end <= span.start:
            return span
        return Span(start=int(self.origin[span.start]), end=int(self.origin[span.end - 1]) + 1)


def foldings(text: str) -> list[Folded]:
    """Return the readings of a text that rules are run on.

    The first is in lower case with compatibility forms resolved and invisible
    characters gone. A second, with look-alikes read as Latin, is there only where
    it differs; a third holds what tag characters spell.
    """
    if text.isascii():
        return [Folded(text.lower())]
    plain = _folded(text, _plain)
    found = [plain]
    if not plain.text.isascii():
        latin = _folded(text, _latin)
        if latin.text != plain.text:
            found.append(latin)
    if any(_TAG_BLOCK <= ord(ch) <= _TAG_BLOCK + 0x7F for ch in set(text)):
        found.append(_folded(text, _tagged))
    return found


def units(text: str) -> list[tuple[int, int]]:
    """Return the ranges judged one by one: sentences and lines, and windows of what is longer.

    Every character that is not white space lies in one. No unit is longer than an
    embedder reads, so that nothing hides in the tail of an endless sentence.
    """
    found: list[tuple[int, int]] = []
    for start, end in sentence_spans(text):
        at = start
        for match in _NEW_LINE.finditer(text, start, end):
            found += _windows(text, at, match.start())
            at = match.end()
        found += _windows(text, at, end)
    return found


def _windows(text: str, start: int, end: int) -> list[tuple[int, int]]:
    found = []
    start, end = trimmed(text, start, end)
    while end - start > _LONGEST_UNIT:
        cut = text.rfind(" ", start + _WINDOW // 2, start + _WINDOW)
        cut = start + _WINDOW if cut < 0 else cut
        found.append(trimmed(text, start, cut))
        start = trimmed(text, cut, end)[0]
    return [*found, (start, end)] if end > start else found


def _folded(text: str, one: Callable[[str], str]) -> Folded:
    parts = [one(ch) for ch in text]
    origin = np.repeat(np.arange(len(parts)), [len(p) for p in parts]).astype(np.int64)
    folded = "".join(parts)
    same = len(folded) == len(text) and all(len(p) == 1 for p in parts)
    return Folded(folded, None if same else origin)


@cache
def _plain(char: str) -> str:
    if char.isascii():
        return char.lower()
    if unicodedata.category(char) in ("Cf", "Mn") and not _is_mark_of_a_script(char):
        return ""
    return "".join(
        ch for ch in unicodedata.normalize("NFKC", char).casefold() if ch.isascii() or ch.isprintable()
    )


def _is_mark_of_a_script(char: str) -> bool:
    """A vowel sign is a letter of its script; an accent set on Latin letters, or nothing, is an ornament."""
    return (
        unicodedata.category(char) == "Mn"
        and not 0x0300 <= ord(char) <= 0x036F
        and not 0xFE00 <= ord(char) <= 0xFE0F
    )


@cache
def _latin(char: str) -> str:
    if char.isascii():
        return char.lower()
    bare = "".join(ch for ch in unicodedata.normalize("NFKD", _plain(char)) if not unicodedata.combining(ch))
    return "".join(_look_alikes().get(ch, ch) for ch in bare)


def _tagged(char: str) -> str:
    """What a tag character spells; everything else is a gap, so that words of the page do not run into it."""
    code = ord(char) - _TAG_BLOCK
    return chr(code).lower() if 0x20 <= code <= 0x7E else " "


@cache
def _look_alikes() -> dict[str, str]:
    return dict(look_alikes())
