"""Answers as comparable words: case, articles, punctuation and the spelling of numbers do not count."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from fractions import Fraction
from typing import Literal

ARTICLES = frozenset({"a", "an", "the"})
_UNITS = dict(
    zip(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
        "sixteen seventeen eighteen nineteen".split(),
        range(20),
        strict=True,
    )
)
_TENS = dict(
    zip("twenty thirty forty fifty sixty seventy eighty ninety".split(), range(20, 100, 10), strict=True)
)
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
    "ninth": 9, "tenth": 10, "eleventh": 11, "twelfth": 12,
}  # fmt: skip
_TOKEN = re.compile(
    r"(?P<ordinal>\d+(?:st|nd|rd|th)\b)"
    r"|(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,]*\d)|\d+(?:\.\d+)?)"
    r"|(?P<initials>(?:[^\W\d_]\.){2,}[^\W\d_]?(?!\w))"
    r"|(?P<percent>%)"
    r"|(?P<sign>[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f])"
    r"|(?P<word>[^\W\d_]+(?:'[^\W\d_]+)*)"
)
_MARKS = re.compile("[\u0300-\u036f]")


def answer_words(text: str, *, articles: Literal["drop", "keep"] = "drop") -> list[str]:
    """Return the words of an answer, comparable with those of another.

    After SQuAD's evaluation (lower case, no articles, no punctuation), with what it
    gets wrong mended: 3.5 is not 35, "2,007" is 2007, "twenty-one" is 21, "5 million"
    is 5,000,000, "50%" is fifty percent, "first" is 1st. Accents and the possessive
    are left out; scripts without spaces are taken sign by sign.

    The sign of a negative number is not told from a dash, and a year in words
    ("nineteen eighty-four") stays two numbers.

    Args:
        text: of any language.
        articles: a text of nothing but articles keeps them anyway.

    Example:
        >>> answer_words("The U.S. paid $2.5 million in the twenty-first century.")
        ['us', 'paid', '2500000', 'in', '21st', 'century']
    """
    found = list(_numbered(_tokens(text)))
    if articles == "keep":
        return found
    return [word for word in found if word not in ARTICLES] or found


def _tokens(text: str) -> list[str]:
    plain = _MARKS.sub("", unicodedata.normalize("NFKD", text)).replace("’", "'").casefold()
    plain = unicodedata.normalize("NFC", plain)
    return [_token(match) for match in _TOKEN.finditer(plain)]


def _token(match: re.Match[str]) -> str:
    value = match.group()
    if match.lastgroup == "number":
        return _shown(Fraction(value.replace(",", "")))
    if match.lastgroup == "ordinal":
        return f"{int(re.sub(r'[^0-9]', '', value))}{_ending(value)}"
    if match.lastgroup == "initials":
        return value.replace(".", "")
    if match.lastgroup == "percent":
        return "percent"
    return value.removesuffix("'s").replace("'", "")


def _ending(ordinal: str) -> str:
    return ordinal[-2:]


def _numbered(words: list[str]) -> Iterator[str]:
    """The words with every run that spells a number replaced by its digits."""
    at = 0
    while at < len(words):
        number, ordinal, after = _number(words, at)
        if after == at:
            if words[at] == "per" and words[at + 1 : at + 2] == ["cent"]:
                yield "percent"
                at += 2
                continue
            yield words[at]
            at += 1
            continue
        yield _as_ordinal(int(number)) if ordinal else _shown(number)
        at = after


def _number(words: list[str], at: int) -> tuple[Fraction, bool, int]:
    """(value, whether ordinal, place after it) of the number that starts here; the same place where none does."""
    total, part, start = Fraction(0), None, at
    last = 10**15  # scales descend: "two thousand million" is not read as one number
    tail = 100  # what may still be added to the part: "twenty" takes a unit, a unit takes nothing
    while at < len(words):
        word = words[at]
        if word in _UNITS and (part is None or (_UNITS[word] < 10 <= tail <= 10) or tail == 100):
            value = _UNITS[word]
            part = Fraction(value) if part is None else part + value
            tail = 0
        elif word in _TENS and (part is None or tail == 100):
            part = Fraction(_TENS[word]) + (part or 0)
            tail = 10
        elif word == "hundred" and part is not None and part < 100 and tail != 100:
            part *= 100
            tail = 100
        elif word in _SCALES and part is not None and _SCALES[word] < last:
            total += part * _SCALES[word]
            last, part, tail = _SCALES[word], None, 100
        elif part is None and at == start and _is_digits(word):
            part, tail = Fraction(word), -1
        elif word in _ORDINALS and tail == 10 and _ORDINALS[word] < 10:
            return total + (part or 0) + _ORDINALS[word], True, at + 1
        elif word == "and" and at > start and tail == 100 and _continues(words, at + 1):
            pass
        else:
            break
        at += 1
    if at == start and words[at] in _ORDINALS:
        return Fraction(_ORDINALS[words[at]]), True, at + 1
    return (total + (part or 0), False, at) if at > start else (Fraction(0), False, start)


def _continues(words: list[str], at: int) -> bool:
    return at < len(words) and (words[at] in _UNITS or words[at] in _TENS)


def _is_digits(word: str) -> bool:
    return re.fullmatch(r"\d+(?:\.\d+)?", word) is not None


def _shown(number: Fraction) -> str:
    if number.denominator == 1:
        return str(number.numerator)
    text = f"{number.numerator / number.denominator:.12f}"
    return text.rstrip("0")


def _as_ordinal(value: int) -> str:
    ending = "th" if value % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
    return f"{value}{ending}"
