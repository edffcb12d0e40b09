"""Sentence borders by rule, with offsets; no language is assumed.

Meant for cutting passages, where a border too few costs little and a border in
the middle of "e.g. 5 mg" costs the meaning. Whether a stop ends its sentence is
read off that sentence and the one word after it, nothing else: cutting a text at
one of its borders moves no other, and once that word is whole no later text can
change the border, which is what streaming needs.
"""

from __future__ import annotations

import re

_CLOSING = "\"'\u2019\u201d\u00bb)\\]}\u300d\u300f\uff09\u3011*_"
_ITEM = r"\(?(?:\d{1,3}|[A-Za-z]|[ivx]{2,4}|[IVX]{2,4})[.)]"
# A stop of a script that puts no space after it ends a sentence wherever it stands;
# a Latin stop only before white space. A blank line, or a list item, starts a new one.
# Possessive, and begun at a run's first sign only: "....." of any length is read once.
# A citation glued to the stop ("fell.[2] Then") stays with the sentence it supports.
_BORDER = re.compile(
    rf"(?P<wide>[\u3002\uff01\uff1f\uff61\u0964\u0965\u061f\u06d4\u104b\u17d4\u1362\u1367]+[{_CLOSING}]*)"
    rf"|(?P<full>(?:(?<!\d)\uff0e|\uff0e(?!\d))[{_CLOSING}]*)"
    rf"|(?P<stop>(?<![.!?\u2026])[.!?\u2026]++[{_CLOSING}]*+(?:\[\^?\d{{1,3}}(?:[,;-]\d{{1,3}})*\])*+)(?=\s|$)"
    r"|(?P<blank>\n[^\S\n]*\r?\n\s*)"
    rf"|(?P<item>\n)(?=[^\S\n]*(?:[-*+\u2022\u2023]|#{{1,6}}|{_ITEM})[^\S\n]+\S)"
)
_SPACE = re.compile(r"\s*")
_LIST_MARKER = re.compile(rf"(?:(?:[-*+>\u2022\u2023]|#{{1,6}})\s+)*{_ITEM}")
_DOTTED = re.compile(r"^(?:\w\.)*\w$")
_INITIAL = re.compile(r"[A-Za-z]\.")
_OPENING = "([{\"'\u201c\u2018\u00ab*_"

_BEFORE_A_NAME = frozenset(
    """
    adm approx brig ca capt cf cmdr col cpl dr e.g eg fr gen gov hon i.e ie lt maj messrs mlle mme mr mrs ms
    mx pres prof resp rev sen sgt viz vs vgl bzw ggf evtl inkl z.b d.h u.a
    """.split()
)
_BEFORE_A_NUMBER = frozenset("b c d fl mar max min no p r v".split())
_BEFORE_A_REFERENCE = frozenset(
    """
    app appx art ch chap def eq eqs ex fig figs fn lem nos nr op par para pp prop pt ref refs sec sect suppl
    tab thm ver vol vols
    """.split()
)
_MAY_END = (
    frozenset(
        """
    al apt assn ave avg blvd bldg bros cap co corp dept dh dist ed eds est etc ext ft hwy inc intl jan feb
    apr jun jul aug sep sept oct nov dec jr ltd mio mrd mt natl no nos rep sr st str tel temp univ usw
    zb ph.d m.sc b.sc d.phil m.phil ed.d ll.b ll.m psy.d pharm.d
    """.split()
    )
    | _BEFORE_A_REFERENCE
)
_PRONOUNS = frozenset("he she it they we you i this that these those his her its their our my your".split())
_BEGINS = _PRONOUNS | frozenset(
    """
    the a an there here then thus hence however moreover furthermore therefore meanwhile although though
    while when where after before since because if as in on at by for from with during under between despite
    unlike such some many most all both each every several other another but and or so yet what who why how
    is are was were do does did has have had can could would should also still later instead finally
    """.split()
)
"""Words which, written "The" or "He," after an abbreviation, begin a sentence more often than go on with one."""
_LEADS_TO_A_NAME = frozenset("by and with of from to for et or author authors editor editors".split())
_FIRST_ITEMS = frozenset(("1", "a", "A", "i", "I"))
_REACH = 40


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return the half-open ranges of the sentences, in order, without white space at their ends.

    Every character that is not white space lies in exactly one range. A list
    marker belongs to the sentence it numbers.
    """
    spans: list[tuple[int, int]] = []
    start = _after_space(text, 0)
    for match in _BORDER.finditer(text):
        if match.lastgroup == "stop" and not _ends(text, start, match.start(), match.end()):
            continue
        _append(spans, text, start, match.end())
        start = _after_space(text, match.end())
    _append(spans, text, start, len(text))
    return spans


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the range without the white space at its ends; empty where there is nothing else."""
    part = text[start:end]
    left = len(part) - len(part.lstrip())
    return start + left, max(start + left, start + len(part.rstrip()))


def _after_space(text: str, start: int) -> int:
    space = _SPACE.match(text, start)
    return space.end() if space else start


def _append(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    start, end = trimmed(text, start, max(start, end))
    if end > start:
        spans.append((start, end))


def _ends(text: str, start: int, stop: int, end: int) -> bool:
    """Whether the Latin stop at text[stop:end] ends the sentence that began at `start`."""
    following = text[end : end + _REACH].split(None, 1)
    after = following[0] if following else ""
    if after[:1].islower():  # "etc. and so on", '"Why?" he asked', "wait... what"
        return False
    if text[stop] != "." or end - stop > 1:
        return True
    if stop - start <= _REACH and _LIST_MARKER.fullmatch(text, start, stop + 1):
        return False
    words = text[max(start, stop - _REACH) : stop].rsplit(None, 2)
    if not words or text[stop - 1].isspace():
        return True
    word, before = words[-1].lstrip(_OPENING), words[-2] if len(words) > 1 else ""
    if before.endswith(":") and word in _FIRST_ITEMS:  # "The steps are: 1. Open it."
        return False
    return not _abbreviates(word, before, after)


def _abbreviates(word: str, before: str, after: str) -> bool:
    """Whether the stop after `word` abbreviates it, given its neighbours."""
    lower = word.lower()
    begins = _begins(after)
    if lower in _BEFORE_A_NAME:
        return not (begins and word.isupper() and len(word) > 2)  # "the GEN. The"
    if lower in _BEFORE_A_NUMBER and (len(word) > 1 or word.islower()):
        # "No." and "p." abbreviate before a number; "the answer was no." does not.
        return after[:1].isdigit() or (len(word) == 1 and _INITIAL.match(after) is not None)
    if lower in _MAY_END:
        return not begins or (lower in _BEFORE_A_REFERENCE and len(after) == 1)  # "Fig. A"
    if len(word) == 1 and word.isalpha():
        return _is_initial(word, before, after, begins=begins)
    return "." in word and _DOTTED.match(word) is not None and not word[0].isdigit() and not begins


def _is_initial(letter: str, before: str, after: str, *, begins: bool) -> bool:
    """Whether a letter with a stop is part of a name, as in "J. K. Rowling" or "by K. He"."""
    if _INITIAL.match(after):
        return True
    if not letter.isupper() or letter == "I":
        return False
    return not begins or not before or before.lower() in _LEADS_TO_A_NAME  # "vitamin C. It helps"


def _begins(after: str) -> bool:
    """Whether a word begins a sentence, wherever it stands: "The", "He", "However,"."""
    bare = after.lstrip(_OPENING)
    word = bare.rstrip(",")
    lower = re.split("['\u2019]", word, maxsplit=1)[0].lower()
    if lower not in _BEGINS or not word[:1].isupper() or (len(word) > 1 and word.isupper()):
        return False
    return word == bare or lower not in _PRONOUNS  # "K. He, X. Zhang"
