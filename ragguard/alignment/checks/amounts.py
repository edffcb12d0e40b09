"""Whether the source gives the claim's quantities: by value, kind, bound and rounding, or by simple arithmetic."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import inf

from ragguard.alignment.checks.findings import Finding
from ragguard.alignment.checks.quantities import Quantity
from ragguard.alignment.checks.setting import Setting

_ABOUT = 0.05  # relative; what "about" may hide
_CONVERTED = 0.02  # relative; what a conversion of units may hide
_FAR = 3.0  # "more than 40" is not said of 4,000
_ALL = re.compile(r"\b(?:all|every|each|both)\b", re.IGNORECASE)
_BY = re.compile(r"\b(?:by|another|additional|extra)\s+(?:about\s+|some\s+|only\s+)?$", re.IGNORECASE)


def amounts(setting: Setting, claimed: Sequence[Quantity]) -> list[Finding]:
    """Return one finding for each quantity of the claim, in order."""
    # The ends of "from 4% to 6%" are judged one by one.
    return [_judge(setting, mine, claimed) for mine in claimed if mine.bound != "change"]


def _judge(setting: Setting, mine: Quantity, claimed: Sequence[Quantity]) -> Finding:
    near = _near(setting, mine)
    found = next((s for s in near if _supports(mine, s, near=True)), None)
    found = found or next((s for s in setting.source.quantities if _supports(mine, s, near=False)), None)
    if found is not None:
        return _agrees(setting, mine, found)
    derived = _as_year(setting, mine) or _changed(setting, mine) or _computed(mine, near)
    if derived is not None:
        return derived
    rival = next((s for s in near if _rivals(mine, s) and not _spoken_for(s, claimed, mine)), None)
    if rival is None and (mine.kind == "money" or (mine.kind == "count" and mine.low >= 1000)):
        rival = _only_one(setting, mine, claimed)
    if rival is None:
        return Finding(
            "number", "missing", mine.start, mine.end, None, None, f"{mine.shown} is not in the source"
        )
    note = f"claim says {mine.shown}, the source says {rival.shown}"
    return Finding("number", "conflicts", mine.start, mine.end, rival.start, rival.end, note)


def _near(setting: Setting, mine: Quantity) -> list[Quantity]:
    places = setting.places_at(mine.start)
    return [s for place in places for s in setting.source.quantities_in(place.sentence)]


def _as_year(setting: Setting, mine: Quantity) -> Finding | None:
    """Where the claim's number looks like a count, and the source's like a year."""
    if mine.kind != "count":
        return None
    for date in setting.source.dates:
        if date.years and date.years[0] == mine.low == mine.high and date.years[1] == mine.low + 1:
            return Finding(
                "number", "agrees", mine.start, mine.end, date.start, date.end, "the source has it"
            )
    return None


def _agrees(setting: Setting, mine: Quantity, found: Quantity) -> Finding:
    """An agreement, unless the claim says "all" and one of the same list is out of the range."""
    first, last = setting.claim.sentences[setting.claim.sentence_at(mine.start)]
    said = setting.claim.text[setting.claim.tokens[first].start : setting.claim.tokens[last - 1].end]
    if mine.low != mine.high and _ALL.search(said):
        for other in setting.source.listed_with(found):
            if other.kind == mine.kind and not _supports(mine, other, near=True):
                note = f"claim says all in {mine.shown}, the source says {other.shown}"
                return Finding("number", "conflicts", mine.start, mine.end, other.start, other.end, note)
    exact = mine.shown == found.shown
    note = "the source has it" if exact else f"{mine.shown} agrees with {found.shown}"
    return Finding("number", "agrees", mine.start, mine.end, found.start, found.end, note)


def _supports(mine: Quantity, theirs: Quantity, *, near: bool) -> bool:
    if not _comparable(mine, theirs) or theirs.bound == "change":
        return False
    if mine.kind == "label" or theirs.kind == "label":
        return mine.kind == theirs.kind and mine.of == theirs.of
    if mine.low != mine.high:
        slack = 1e-9 * abs(mine.high)
        return mine.low - slack <= theirs.low and theirs.high <= mine.high + slack
    if theirs.low == theirs.high and _equal(mine, theirs):
        return True
    if mine.bound == theirs.bound and mine.bound in ("above", "below"):
        # Two limits: "within 60 days" follows from "within 30 days", and misleads whoever relies on it.
        return False
    alike = near or (mine.of == theirs.of != "")
    if mine.bound == "above":
        return alike and mine.low <= theirs.low <= _FAR * abs(mine.low)
    if mine.bound == "below":
        return alike and theirs.high <= mine.low <= _FAR * abs(theirs.high)
    return False


def _comparable(mine: Quantity, theirs: Quantity) -> bool:
    """The same kind, or one that shows none: "143 billion" and "$143 billion"."""
    if mine.kind == theirs.kind:
        return mine.kind != "money" or mine.of == theirs.of
    bare = {"count"}
    if mine.kind in ("percent", "points", "ordinal", "label"):
        return False
    return theirs.kind not in ("percent", "points", "ordinal", "label") and (
        (mine.kind in bare and not mine.of) or (theirs.kind in bare and not theirs.of)
    )


def _equal(mine: Quantity, theirs: Quantity) -> bool:
    off = abs(mine.low - theirs.low)
    size = max(abs(mine.low), abs(theirs.low))
    if off <= 1e-9 * size:
        return True
    allowed = 0.0
    if "about" in (mine.bound, theirs.bound):
        allowed = max(_ABOUT * size, mine.step)
    if mine.step > theirs.step:  # rounded: 2.1 million of 2,134,000
        allowed = max(allowed, mine.step)
    if mine.kind == theirs.kind and mine.of != theirs.of and mine.kind not in ("count", "ordinal", "money"):
        allowed = max(allowed, _CONVERTED * size)
    return off <= allowed


def _span(quantity: Quantity) -> tuple[float, float]:
    """The values a quantity allows."""
    if quantity.bound == "above":
        return quantity.low, inf
    if quantity.bound == "below":
        return -inf, quantity.high
    slack = (2 * _ABOUT if quantity.bound == "about" else 1e-9) * abs(quantity.low)
    return quantity.low - slack, quantity.high + slack


def _rivals(mine: Quantity, theirs: Quantity) -> bool:
    """Whether the two name the same thing and cannot both hold of it."""
    if mine.kind != theirs.kind or theirs.bound == "change" or mine.kind == "label":
        return False
    if mine.kind in ("count", "ordinal", "money") and mine.of != theirs.of:
        return False
    if mine.kind in ("count", "ordinal") and not mine.of:
        return False
    if mine.bound == theirs.bound and mine.bound in ("above", "below"):
        return not _equal(mine, theirs)
    (low, high), (their_low, their_high) = _span(mine), _span(theirs)
    return high < their_low or their_high < low


def _spoken_for(theirs: Quantity, claimed: Sequence[Quantity], mine: Quantity) -> bool:
    """Whether another number of the claim stands for this one."""
    return any(other is not mine and _supports(other, theirs, near=True) for other in claimed)


def _only_one(setting: Setting, mine: Quantity, claimed: Sequence[Quantity]) -> Quantity | None:
    """The one quantity of the whole source that counts the same, where there is just one."""
    alike = [s for s in setting.source.quantities if s.kind == mine.kind and s.of == mine.of != ""]
    if len({s.low for s in alike}) != 1 or _spoken_for(alike[0], claimed, mine):
        return None
    return alike[0] if _rivals(mine, alike[0]) else None


def _changed(setting: Setting, mine: Quantity) -> Finding | None:
    """Judge "by 2%" and "by two points" by the source's "from 4% to 6%"."""
    by = (
        mine.kind == "points"
        or _BY.search(setting.claim.text[max(0, mine.start - 24) : mine.start]) is not None
    )
    for change in setting.source.quantities if by else ():
        if change.bound != "change":
            continue
        step = abs(change.high - change.low)
        share = 100.0 * step / abs(change.low) if change.low else inf
        right = share if mine.kind == "percent" else step
        points = change.kind == "percent" and mine.kind == "points"
        if (points or mine.kind in ("percent", change.kind)) and _close(right, mine):
            note = f"{mine.shown} is the change from {change.shown}"
            return Finding("number", "agrees", mine.start, mine.end, change.start, change.end, note)
        if change.kind == mine.kind == "percent" and _close(step, mine):
            note = f"claim says {mine.shown}, the source's {change.shown} is a change of percentage points"
            return Finding("number", "conflicts", mine.start, mine.end, change.start, change.end, note)
    return None


def _computed(mine: Quantity, near: Sequence[Quantity]) -> Finding | None:
    """A sum of, or a difference between, quantities of the same kind in one place."""
    if mine.kind in ("ordinal", "label", "percent", "points") or mine.low != mine.high:
        return None
    same = [s for s in near if s.kind == mine.kind and s.low == s.high and (mine.kind != "count" or s.of)][:6]
    for a, b, value in _results(same):
        if _close(value, mine):
            note = f"{mine.shown} follows from {a.shown} and {b.shown}"
            return Finding("number", "agrees", mine.start, mine.end, a.start, max(a.end, b.end), note)
    return None


def _results(same: Sequence[Quantity]) -> Iterator[tuple[Quantity, Quantity, float]]:
    for i, a in enumerate(same):
        for b in same[i + 1 :]:
            if a.of == b.of:
                yield a, b, a.low + b.low
                yield a, b, abs(a.low - b.low)
    if len(same) > 2 and len({s.of for s in same}) == 1:
        yield same[0], same[-1], sum(s.low for s in same)


def _close(value: float, mine: Quantity) -> bool:
    slack = _ABOUT * abs(mine.low) if mine.bound == "about" else 1e-6 * abs(mine.low)
    return value < inf and abs(value - mine.low) <= slack
