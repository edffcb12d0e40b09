"""The numbers of a text in one comparable form: "1,000", "one thousand" and "1 thousand" are equal.

"3.10" and "3.1" differ, since versions do; "5.0" and "5" are equal. A percentage
never equals a bare number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple
from unicodedata import digit

_UNITS = {w: n for n, w in enumerate("zero one two three four five six seven eight nine ten eleven twelve "
          "thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split())}  # fmt: skip
_TENS = {w: 10 * n for n, w in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SHORT = {"k": 10**3, "m": 10**6, "mn": 10**6, "b": 10**9, "bn": 10**9, "tn": 10**12}
_UNIT = "|".join(sorted(_UNITS, key=len, reverse=True))
_SCALE = "|".join(_SCALES)
_SMALL = rf"(?:(?:{'|'.join(_TENS)})(?:[\s-](?:{_UNIT}))?|{_UNIT})\b"
# " , " with both spaces is how tokenised corpora write a separator.
_GROUPED = (
    r"\d{1,3}(?: , \d{3})+(?!\d)"
    r"|\d{1,3}(?:[,\u2009\u202f\u00a0']\d{3})+(?!\d)|\d{1,2}(?:,\d{2}){1,6},\d{3}(?!\d)"
)
_NUMBER = re.compile(
    r"(?P<sign>(?<![\w)\]])[-\u2212])?(?P<money>[$\u20ac\u00a3\u00a5\u20b9]\s?)?"
    rf"(?<![\w.])(?:(?P<grouped>{_GROUPED})|(?P<plain>\d+))(?P<fraction>(?:\.\d+)*)"
    # "5m" may be metres: a lone m or b is a scale of money only.
    rf"(?:[\s-]?(?P<scale>{_SCALE})\b|\s?(?P<short>k|mn|bn|tn)\b|(?(money)\s?(?P<money_short>[mb])\b|(?!)))?"
    r"(?P<digits_percent>\s?(?:%|per\s?cent\b))?"
    rf"|\b(?P<words>(?:a(?=\s+(?:{_SCALE})\b)|{_SMALL})(?:[\s-]+(?:{_SCALE})\b(?:\s+(?:and\s+)?{_SMALL})?)*)"
    r"(?P<words_percent>\s?(?:%|per\s?cent\b))?",
    re.IGNORECASE,
)
_REFERENCE = re.compile(r"\b(?:passages?|documents?|sources?|contexts?)\s+\[?\d{1,2}\]?(?!\w)", re.IGNORECASE)
_CITATION = re.compile(r"\s?\[(\d{1,2})(?:\s*,\s*\d{1,2})*\](?=[\s.,;:!?]|$)")


class Mention(NamedTuple):
    """One number in a text: where it stands, as it is shown, and in canonical form."""

    start: int
    end: int
    shown: str
    canonical: str
    scale: int  # what its figure was multiplied by: 10**6 for "2.1 million"
    grouped: bool  # "1,987" is no year
    money: str  # the currency sign before it, or ""


def mentions(text: str) -> list[Mention]:
    """Return the numbers of a text in order; percentages end in "%".

    A lone "one" is a pronoun more often than a number and is left out.
    """
    return list(_mentions(text))


def numbers(text: str) -> set[str]:
    """Return the numbers of a text in canonical form; percentages end in "%".

    Example:
        >>> sorted(numbers("One thousand users, 5 percent of 20,000; version 3.10"))
        ['1000', '20000', '3.10', '5%']
    """
    return {mention.canonical for mention in _mentions(text)}


def without_numbers(text: str) -> str:
    """Return the text with every number that `numbers` finds replaced by a space."""
    return _NUMBER.sub(lambda m: m.group() if _canonical(m) is None else " ", text)


def without_references(text: str, *, passages: int) -> str:
    """Return the text less "[2]" and "passage 2", as far as so many passages can be meant."""
    text = _REFERENCE.sub(" ", text)
    return _CITATION.sub(lambda m: "" if 1 <= int(m.group(1)) <= passages else m.group(), text)


def _mentions(text: str) -> Iterator[Mention]:
    for match in _NUMBER.finditer(text):
        canonical = _canonical(match)
        if canonical is not None:
            grouped = match["grouped"] is not None
            money = (match["money"] or "").strip()
            scale = _scale(match) if match["words"] is None else _worded_scale(match["words"])
            yield Mention(match.start(), match.end(), match.group(), canonical, scale, grouped, money)


def _scale(match: re.Match[str]) -> int:
    short = (match["short"] or match["money_short"] or "").lower()
    return _SHORT.get(short) or _SCALES.get((match["scale"] or "").lower(), 1)


def _worded_scale(words: str) -> int:
    last = re.split(r"[\s-]+", words.lower())[-1]
    return _SCALES.get(last, 1)


def _canonical(match: re.Match[str]) -> str | None:
    words = match["words"]
    if words is not None:
        value = None if words.lower() == "one" else str(_spelled(words))
        return None if value is None else value + ("%" if match["words_percent"] else "")
    text = _whole(match["grouped"] or match["plain"]) + _fraction(match["fraction"])
    scale = _scale(match)
    if scale > 1 and text.count(".") <= 1:
        text = _plain(Decimal(text) * scale)
    sign = "-" if match["sign"] and text != "0" else ""
    return sign + text + ("%" if match["digits_percent"] else "")


def _whole(text: str) -> str:
    """ASCII digits of any script's, without separators and leading zeros; of any length, unlike `int`."""
    return "".join(str(digit(ch)) for ch in text if ch.isdecimal()).lstrip("0") or "0"


def _fraction(text: str) -> str:
    """Less a fraction of zeros only, unless there are several parts, as in a version."""
    return "" if text.count(".") == 1 and not text.strip(".0") else text


def _plain(value: Decimal) -> str:
    whole = value.to_integral_value()
    return str(whole) if whole == value else format(value.normalize(), "f")


def _spelled(words: str) -> int:
    total = part = 0
    for word in re.findall(r"[a-z]+", words.lower()):
        if word in ("a", "and"):
            part = part or (1 if word == "a" else 0)
        elif word == "hundred":
            part = max(part, 1) * 100
        elif word in _SCALES:
            total, part = total + max(part, 1) * _SCALES[word], 0
        else:
            part += _UNITS.get(word, 0) + _TENS.get(word, 0)
    return total + part
