"""Sentence borders by rule, with offsets; no language is assumed.

Meant for cutting passages, where a border too few costs little and a border in
the middle of "e.g. 5 mg" costs the meaning.
"""

from __future__ import annotations

import re

_CLOSING = "\"'\u2019\u201d\u00bb)\\]}\u300d\u300f\uff09\u3011"
# A stop of a script that puts no space after it ends a sentence wherever it stands;
# a Latin stop only before white space. A blank line, or a list item, starts a new one.
# Possessive, and begun at a run's first sign only: "....." of any length is read once.
_BORDER = re.compile(
    rf"(?P<wide>[\u3002\uff01\uff1f\uff61\u0964\u0965\u061f\u06d4]+[{_CLOSING}]*)"
    rf"|(?P<stop>(?<![.!?\u2026])[.!?\u2026]++[{_CLOSING}]*+)(?=\s|$)"
    r"|(?P<blank>\n[^\S\n]*\r?\n\s*)"
    r"|(?P<item>\n)(?=[^\S\n]*(?:[-*+\u2022\u2023]|\(?(?:\d{1,3}|[A-Za-z])[.)])\s)"
)
_LAST_WORD = re.compile(r"\S+$")
_LIST_MARKER = re.compile(r"(?:^|\n)[^\S\n]*\(?(?:\d{1,3}|[A-Za-z])$")
_DOTTED = re.compile(r"^(?:\w\.)*\w$")
_ABBREVIATIONS = frozenset(
    """
    al approx art ca cap cf ch chap co col corp dept dr ed eds eq eqs est etc ex fig figs gen hon inc jan
    feb mar apr jun jul aug sep sept oct nov dec jr lt ltd max min mr mrs ms mt no nos nr op p par pp prof
    ref refs rep resp rev sec sen sgt sr st tab univ viz vol vols vs bzw dh evtl ggf inkl usw vgl zb
    """.split()
)
_LOOK_BACK = 40


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return the half-open ranges of the sentences, in order, without white space at their ends.

    Every character that is not white space lies in exactly one range.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _BORDER.finditer(text):
        if match.lastgroup == "stop" and not _ends(text, match.start(), match.end()):
            continue
        _append(spans, text, start, match.end())
        start = match.end()
    _append(spans, text, start, len(text))
    return spans


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the range without the white space at its ends; empty where there is nothing else."""
    part = text[start:end]
    left = len(part) - len(part.lstrip())
    return start + left, max(start + left, start + len(part.rstrip()))


def _append(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    start, end = trimmed(text, start, end)
    if end > start:
        spans.append((start, end))


def _ends(text: str, stop: int, end: int) -> bool:
    """Whether the Latin stop at text[stop:end] ends a sentence."""
    following = text[end : end + _LOOK_BACK].lstrip()[:1]
    if following.islower():  # "etc. and so on", '"Why?" he asked', "wait... what"
        return False
    if text[stop] != "." or end - stop > 1:
        return True
    before = text[max(0, stop - _LOOK_BACK) : stop]
    if _LIST_MARKER.search(before if stop <= _LOOK_BACK else " " + before):
        return False
    word = _LAST_WORD.search(before)
    return word is None or not _abbreviates(word.group().lstrip("([\"'\u201c\u2018"), following)


def _abbreviates(word: str, following: str) -> bool:
    if word.lower() in _ABBREVIATIONS:
        # "No." and "p." abbreviate before a number; "the answer was no." does not.
        return word.lower() not in ("no", "max", "min", "mar", "p") or following.isdigit()
    if len(word) == 1:
        return word.isalpha() and word.isupper() and word != "I"
    return "." in word and _DOTTED.match(word) is not None and not word[0].isdigit()
