"""Dates in any usual spelling, as what they fix: year, month, day, or a run of years."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_MONTHS = {
    name: number
    for number, names in enumerate(
        "january:jan february:feb march:mar april:apr may:may june:jun july:jul august:aug "
        "september:sep:sept october:oct november:nov december:dec".split(),
        1,
    )
    for name in names.split(":")
}
_DAYS = {name: i for i, name in enumerate("monday tuesday wednesday thursday friday saturday sunday".split())}
_MONTH = rf"(?:{'|'.join(sorted(_MONTHS, key=len, reverse=True))})\b\.?"
_YEAR = r"(?:1\d|20)\d\d(?![\d,.]\d|\d|\s?(?:%|percent))"
_ORDINAL_WORDS = {
    w: n
    for n, w in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
        "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth twenty-first".split(),
        1,
    )
}
_DATE = re.compile(
    rf"(?<![\w.,/$-])(?P<iso>(?P<y1>(?:1\d|20)\d\d)-(?P<m1>0\d|1[0-2])(?:-(?P<d1>[0-3]\d))?)(?![\w-])"
    rf"|\b(?P<d2>[0-3]?\d)(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<m2>{_MONTH})(?:,?\s+(?P<y2>{_YEAR}))?"
    rf"|\b(?P<m3>{_MONTH})\s+(?P<d3>[0-3]?\d)(?:st|nd|rd|th)?(?![\d:])(?:\s?,?\s+(?P<y3>{_YEAR}))?"
    rf"|\b(?P<m4>{_MONTH}),?\s+(?:of\s+)?(?P<y4>{_YEAR})"
    r"|(?<![\w.,/])(?P<a5>[0-3]?\d)[/.](?P<b5>[0-3]?\d)[/.](?P<y5>(?:1\d|20)\d\d)(?!\w)"
    r"|\b(?P<decade>(?:1\d|20)\d0)\s?(?:['\u2019]\s?)?s\b|(?<!\w)['\u2019](?P<short_decade>\d0)s\b"
    rf"|\b(?P<century>\d{{1,2}}(?=\s?(?:st|nd|rd|th))|{'|'.join(sorted(_ORDINAL_WORDS, key=len, reverse=True))})"
    r"(?:\s?(?:st|nd|rd|th))?[\s-]+(?:-\s)?century\b"
    rf"|\b(?P<weekday>{'|'.join(_DAYS)})s?\b"
    r"|(?P<before>\b(?:in|since|until|till|during|circa|early|late|mid|year|spring|summer|autumn|fall|winter|season)"
    r"[\s-]+)?"
    rf"(?<![\w.,/$\u20ac\u00a3])(?:(?P<season>{_YEAR})[/\u2013-](?P<next>\d\d)(?![\d/\u2013-])"
    rf"|(?P<year>{_YEAR})(?![\w/%]))(?P<after>\s+(?!and\b|or\b|to\b)[^\W\d_]+)?",
    re.IGNORECASE,
)
# "May" and "march" are words of their own: a month alone needs its capital and a preposition.
_BARE_MONTH = re.compile(
    r"\b(?:in|since|by|until|from|during|last|next|this|early|late|of)\s+"
    r"(January|February|March|April|May|June|July|August|September|October|November|December)\b(?!\s+\d)"
)
_COUNTED = frozenset("people men women children million billion km kg mg feet".split())
_NOT_COUNTED = frozenset("was is has as this its us".split())


class Date(NamedTuple):
    """A date mention. `years` is a half-open range of years where it names any."""

    start: int
    end: int
    years: tuple[int, int] | None = None
    month: int | None = None
    day: int | None = None
    weekday: int | None = None


def dates(text: str) -> list[Date]:
    """Return the dates of a text, in order."""
    found = sorted([*_full(text), *_months(text)], key=lambda date: (date.start, -date.end))
    kept: list[Date] = []
    for date in found:
        if not kept or date.start >= kept[-1].end:
            kept.append(date)
    return kept


def agree(claim: Date, source: Date) -> bool:
    """Whether everything the claim's date fixes, the source's fixes to the same."""
    if claim.years and not (source.years and _within(claim.years, source.years)):
        return False
    pairs = ((claim.month, source.month), (claim.day, source.day), (claim.weekday, source.weekday))
    return all(mine is None or mine == theirs for mine, theirs in pairs)


def _within(claim: tuple[int, int], source: tuple[int, int]) -> bool:
    """The source's years lie in the claim's; of a season each year counts."""
    if source[1] - source[0] == 2:
        return claim[0] < source[1] and source[0] < claim[1]
    return claim[0] <= source[0] and source[1] <= claim[1]


def differ(claim: Date, source: Date) -> bool:
    """Whether the two fix one part differently; a date and another that is silent about it do not."""
    if (
        claim.years
        and source.years
        and (claim.years[1] <= source.years[0] or source.years[1] <= claim.years[0])
    ):
        return True
    pairs = ((claim.month, source.month), (claim.day, source.day), (claim.weekday, source.weekday))
    return any(mine is not None and theirs is not None and mine != theirs for mine, theirs in pairs)


def _full(text: str) -> Iterator[Date]:
    for match in _DATE.finditer(text):
        date = _date(match)
        if date is not None:
            yield date


def _date(match: re.Match[str]) -> Date | None:
    start, end = match.span()
    if match["weekday"]:
        return Date(start, end, weekday=_DAYS[match["weekday"].lower()])
    if match["decade"] or match["short_decade"]:
        first = int(match["decade"] or 1900 + int(match["short_decade"]))
        return Date(start, end, (first, first + (100 if first % 100 == 0 and first < 2000 else 10)))
    if match["century"]:
        word = match["century"].lower()
        number = _ORDINAL_WORDS.get(word) or int(word)
        return Date(start, end, (100 * number - 100, 100 * number))
    if match["season"]:
        return _season(match)
    if match["year"]:
        return _year(match)
    if match["y5"]:
        return _numeric(match)
    year = match["y1"] or match["y2"] or match["y3"] or match["y4"]
    month = match["m1"] or match["m2"] or match["m3"] or match["m4"]
    day = match["d1"] or match["d2"] or match["d3"]
    if day and not 1 <= int(day) <= 31:
        return None
    number = int(month) if month.isdecimal() else _MONTHS[month.lower().rstrip(".")]
    return Date(start, end, _one(year) if year else None, number, int(day) if day else None)


def _season(match: re.Match[str]) -> Date | None:
    """2018/19 is two years; 2018-25 is none of ours, 2004-05 is read as years."""
    first, second = int(match["season"]), int(match["next"])
    if (first + 1) % 100 != second:
        return Date(match.start("season"), match.end("season"), _one(match["season"]))
    return Date(match.start("season"), match.end("next"), (first, first + 2))


def _numeric(match: re.Match[str]) -> Date:
    """05/01/2021 is read either way, and fixes the year only; a number above 12 tells the day."""
    first, second = int(match["a5"]), int(match["b5"])
    months = range(1, 13)
    day, month = (first, second) if first not in months else (second, first)
    known = month in months and day not in months
    return Date(*match.span(), _one(match["y5"]), month if known else None, day if known else None)


def _year(match: re.Match[str]) -> Date | None:
    """A bare number of four digits is a year after "in", or where it counts nothing."""
    counted = (match["after"] or "").strip().lower()
    if not match["before"] and (
        counted in _COUNTED or (counted.endswith("s") and counted not in _NOT_COUNTED)
    ):
        return None
    return Date(match.start("year"), match.end("year"), _one(match["year"]))


def _one(year: str) -> tuple[int, int]:
    return int(year), int(year) + 1


def _months(text: str) -> Iterator[Date]:
    for match in _BARE_MONTH.finditer(text):
        yield Date(match.start(1), match.end(1), month=_MONTHS[match.group(1).lower()])
