"""The quantities of a text: a value or a range, of what kind, of what, and how exactly meant."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import NamedTuple

from ragguard.alignment.checks.dates import Date
from ragguard.alignment.checks.measures import CURRENCIES, UNITS
from ragguard.alignment.checks.tokens import stem
from ragguard.alignment.numbers import Mention, mentions

_BEFORE = 28  # characters looked at for "more than"
_BOUNDS = (
    ("above", r"more than|greater than|larger than|higher than|over|above|at least|exceed(?:s|ed|ing)?|upwards of"
              r"|minimum of|no (?:less|fewer) than|[>\u2265]=?"),
    ("below", r"less than|fewer than|lower than|under|below|at most|up to|as many as|no more than|maximum of"
              r"|within|[<\u2264]=?"),
    ("about", r"about|around|approximately|approx\.?|roughly|some|nearly|almost|close to|circa|ca\.|estimated"
              r"|an average of|just (?:over|under)|[~\u2248]"),
)  # fmt: skip
_BOUND = re.compile(
    "|".join(rf"(?P<{name}>(?<![^\W_])(?:{words}))" for name, words in _BOUNDS), re.IGNORECASE
)
_SIGNS = re.compile(r"^[\s(]*(?:(?:an?|the|its|of|US|USD)\s)?[\s$\u20ac\u00a3\u00a5\u20b9]*$", re.IGNORECASE)
_AFTER = re.compile(
    r"^(?:\s?-?(?P<points>percentage[\s-]points?|pp\b|percent points?)"
    r"|\s?(?P<degrees>\u00b0\s?[CF]\b|\u2103|\u2109|degrees?\s(?:celsius|fahrenheit|centigrade)\b)"
    r"|\s?(?P<rate>km/h|m/s|kph|mph)(?!\w)"
    r"|(?P<close>[a-z\u00b5\u03bc]{1,4})\b"
    r"|[\s-]?(?P<word>[^\W\d_]+)(?:[\s-](?P<second>[^\W\d_]+))?)",
    re.IGNORECASE,
)
_LINK = re.compile(r"^\s*(?:,|,?\s*(?:and|or|to)\s|[-\u2013\u2014])\s*[$\u20ac\u00a3\u00a5]?$", re.IGNORECASE)
_RANGE = re.compile(r"^\s*(?:to\s|[-\u2013\u2014])\s*[$\u20ac\u00a3\u00a5]?$", re.IGNORECASE)
_BETWEEN = re.compile(r"\bbetween\s+[$\u20ac\u00a3\u00a5]?$", re.IGNORECASE)
_FROM = re.compile(r"\bfrom\s+(?:about\s+|around\s+)?[$\u20ac\u00a3\u00a5]?$", re.IGNORECASE)
_AND = re.compile(r"^\s*(?:and|to|[-\u2013\u2014])\s*[$\u20ac\u00a3\u00a5]?$", re.IGNORECASE)
_ORDINAL_WORDS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
_ORDINAL = re.compile(rf"\b(?:(\d{{1,3}})\s?(?:st|nd|rd|th)|({'|'.join(_ORDINAL_WORDS)}))\b", re.IGNORECASE)
_SHARE = re.compile(
    r"\b(?:(?P<half>(?:one\s|a\s)?half)|(?P<third>(?:one|a)[\s-]third)|(?P<quarter>(?:one|a)[\s-]quarter)"
    r"|(?P<two>two[\s-]thirds)|(?P<three>three[\s-]quarters))\s+of\b",
    re.IGNORECASE,
)
_SHARES = {"half": 50.0, "third": 100 / 3, "quarter": 25.0, "two": 200 / 3, "three": 75.0}
_FUNCTION = frozenset(
    "a an the of in on at to for from by with and or but as is are was were be has have had that which who than "
    "per each more less other such it its this these those their his her he she they we you i not so if when".split()
)


class Quantity(NamedTuple):
    """A number in its text. `low` and `high` are equal unless it is a range, in the kind's common unit.

    Args:
        kind: "count", "percent", "points", "money", "ordinal", "label" (a version) or a dimension.
        of: stem of what is counted, the currency, or the unit as written.
        bound: "exact", "about", "above", "below", "range" or "change" (from low to high).
        step: half a unit of the last figure shown, the rounding it may hide.
    """

    start: int
    end: int
    kind: str
    of: str
    low: float
    high: float
    bound: str
    step: float
    shown: str


def quantities(text: str, taken: Sequence[Date] = ()) -> list[Quantity]:
    """Return the quantities of a text in order, less the numbers within the dates given."""
    spans = [(date.start, date.end) for date in taken]
    own = [*_ordinals(text, spans), *_shares(text)]
    spans = sorted([*spans, *((q.start, q.end) for q in own)])
    plain = list(_outside(mentions(text), spans))
    read = _inherited(text, plain, [_quantity(text, mention) for mention in plain])
    return sorted([*_joined(text, read), *own], key=lambda q: (q.start, q.end))


def _outside(found: Sequence[Mention], spans: Sequence[tuple[int, int]]) -> Iterator[Mention]:
    place = 0
    for mention in found:
        while place < len(spans) and spans[place][1] <= mention.start:
            place += 1
        if place == len(spans) or mention.end <= spans[place][0]:
            yield mention


def _quantity(text: str, mention: Mention) -> Quantity:
    value, step = _value(mention)
    kind, of, end, factor, offset = _kind(text, mention)
    if value is None:
        return Quantity(
            mention.start, mention.end, "label", mention.canonical, 0.0, 0.0, "exact", 0.0, mention.shown
        )
    low = value * factor + offset
    shown = text[mention.start : end].strip()
    return Quantity(mention.start, end, kind, of, low, low, _bound(text, mention.start), step * factor, shown)


def _value(mention: Mention) -> tuple[float | None, float]:
    text = mention.canonical.rstrip("%")
    try:
        value = float(Decimal(text)) if text.count(".") <= 1 else None
    except (InvalidOperation, OverflowError):
        value = None
    if value is None or not isfinite(value) or len(text) > 40:
        return None, 0.0
    figure = re.search(r"\.(\d+)", mention.shown)
    return value, 0.5 * mention.scale * 10.0 ** -(len(figure.group(1)) if figure else 0)


def _kind(text: str, mention: Mention) -> tuple[str, str, int, float, float]:
    """Return (kind, of what, end with its unit, factor, offset)."""
    after = _AFTER.match(text[mention.end : mention.end + 40])
    groups = after.groupdict() if after else {}
    if groups.get("points"):
        return "points", "", mention.end + len(after.group()) if after else mention.end, 1.0, 0.0
    if mention.canonical.endswith("%"):
        points = re.match(r"(?:age)?[\s-]points?\b", text[mention.end : mention.end + 10])
        return (
            ("points" if points else "percent"),
            "",
            mention.end + (points.end() if points else 0),
            1.0,
            0.0,
        )
    if mention.money:
        return "money", CURRENCIES.get(mention.money, mention.money), mention.end, 1.0, 0.0
    if after is None:
        return "count", "", mention.end, 1.0, 0.0
    name = groups["degrees"] or groups["rate"] or groups["close"] or groups["word"] or ""
    low = name.lower().replace("\u2103", "°c").replace("\u2109", "°f")
    low = re.sub(r"^(?:degrees?\s|\u00b0\s)", "", low) if groups["degrees"] else low
    low = "°" + low[-1] if low[:1] == "°" else low
    end = mention.end + after.end()
    if groups["word"]:
        end = mention.end + after.end("word")
    if low in CURRENCIES:
        return "money", CURRENCIES[low], end, 1.0, 0.0
    one_letter = groups["word"] and len(low) == 1 and name not in ("m", "g", "h")
    if low in UNITS and not one_letter:
        unit = UNITS[low]
        return unit.dimension, low, end, unit.factor, unit.offset
    return "count", _counted(groups), mention.end, 1.0, 0.0


def _counted(groups: dict[str, str | None]) -> str:
    word, second = (groups["word"] or "").lower(), (groups["second"] or "").lower()
    if word in _FUNCTION or not word:
        return ""
    # "12 new airports": the last of two words is more often the noun.
    if second.endswith("s") and second not in _FUNCTION and not word.endswith("s") and stem(second):
        return stem(second)
    return stem(word)


def _bound(text: str, start: int) -> str:
    before = text[max(0, start - _BEFORE) : start]
    found = None
    for match in _BOUND.finditer(before):
        found = match
    if found is None or not _SIGNS.match(before[found.end() :]):
        return "exact"
    return found.lastgroup or "exact"


def _inherited(text: str, plain: Sequence[Mention], read: list[Quantity]) -> list[Quantity]:
    """Give "85, 86 and 89%" and "$5-10 million" the kind, and the scale, of one another."""
    for i in range(len(read) - 1, 0, -1):
        here, after = read[i - 1], read[i]
        between = text[here.end : after.start]
        if len(between) > 8 or "label" in (here.kind, after.kind) or not _LINK.match(between):
            continue
        scale, theirs = plain[i - 1].scale, plain[i].scale
        if scale == 1 < theirs and _RANGE.match(between) and here.low < after.low / theirs * 10:
            here = here._replace(low=here.low * theirs, step=here.step * theirs)
        if here.kind == "money" and after.kind == "count" and not after.of:
            read[i] = after._replace(kind="money", of=here.of)
        elif here.kind == "count" and not here.of and _passes_on(after, between):
            unit = UNITS.get(after.of)
            factor, offset = (unit.factor, unit.offset) if unit else (1.0, 0.0)
            here = here._replace(kind=after.kind, of=after.of, low=here.low * factor + offset)
        read[i - 1] = here._replace(high=here.low)
    return read


def _passes_on(after: Quantity, between: str) -> bool:
    """A comma alone may part "in 10, 80 km away": it passes on shares and sums only."""
    return after.kind in ("percent", "money", "points") or "," not in between


def _joined(text: str, read: Sequence[Quantity]) -> Iterator[Quantity]:
    """Join "between A and B", "A to B" and "from A to B"; the ends of the last stay quantities of their own."""
    skip = False
    for here, after in zip(read, [*read[1:], None], strict=False):
        if skip:
            skip = False
            continue
        joined = _range(text, here, after) if after is not None else None
        if joined is None or after is None:
            yield here
        else:
            skip = True
            if joined.bound == "change":
                yield from (here, after)
            yield joined


def _range(text: str, here: Quantity, after: Quantity) -> Quantity | None:
    between = text[here.end : after.start]
    if here.kind != after.kind or len(between) > 8 or here.kind == "label":
        return None
    before = text[max(0, here.start - 20) : here.start]
    whole = here._replace(
        end=after.end, high=after.low, shown=text[here.start : after.end], of=after.of or here.of
    )
    if _FROM.search(before) and _RANGE.match(between):
        return whole._replace(bound="change")
    if here.low < after.low and (_RANGE.match(between) or (_BETWEEN.search(before) and _AND.match(between))):
        return whole._replace(bound="range")
    return None


def _ordinals(text: str, spans: Sequence[tuple[int, int]]) -> Iterator[Quantity]:
    starts = [start for start, _ in spans]
    for match in _ORDINAL.finditer(text):
        nearest = bisect_right(starts, match.start()) - 1
        if nearest >= 0 and match.start() < spans[nearest][1]:
            continue
        value = float(match.group(1) or _ORDINAL_WORDS.index(match.group(2).lower()) + 1)
        after = re.match(r"[\s-]([^\W\d_]+)", text[match.end() : match.end() + 30])
        of = stem(after.group(1).lower()) if after else ""
        yield Quantity(match.start(), match.end(), "ordinal", of, value, value, "exact", 0.0, match.group())


def _shares(text: str) -> Iterator[Quantity]:
    for match in _SHARE.finditer(text):
        value = _SHARES[match.lastgroup or "half"]
        end = match.end(match.lastgroup or 0)
        yield Quantity(
            match.start(), end, "percent", "", value, value, "about", 0.5, text[match.start() : end]
        )
