"""What came first: "before" and "after" between the same two events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ragguard.alignment.checks.findings import Finding, Outcome
from ragguard.alignment.checks.setting import Setting
from ragguard.alignment.checks.tokens import Token

# Whether what follows the word came first.
_CONNECTIVES = {
    "after": True,
    "since": True,
    "following": True,
    "before": False,
    "until": False,
    "till": False,
}
_ENOUGH = 0.5  # of the smaller event's words


class Order(NamedTuple):
    """Two events by their stems, in order of time."""

    earlier: frozenset[str]
    later: frozenset[str]
    start: int
    end: int


def order(setting: Setting) -> list[Finding]:
    """Return one finding for each order of events that the claim and the source both state."""
    found: list[Finding] = []
    for sentence, places in enumerate(setting.places):
        theirs = [o for place in places for o in orders(setting.source_tokens(place.sentence))]
        for mine in orders(setting.claim_tokens(sentence)):
            found.extend(_judge(mine, theirs))
    return found


def orders(tokens: Sequence[Token]) -> list[Order]:
    """Return the orders one sentence states: "X before Y", "After Y, X"."""
    found: list[Order] = []
    for place, token in enumerate(tokens):
        first = _CONNECTIVES.get(token.low)
        if first is None:
            continue
        beyond, outer = _around(tokens, place)
        if beyond and outer:
            earlier, later = (beyond, outer) if first else (outer, beyond)
            found.append(Order(earlier, later, token.start, token.end))
    return found


def _around(tokens: Sequence[Token], place: int) -> tuple[frozenset[str], frozenset[str]]:
    """Return the stems of (what follows the connective in its clause, the main clause)."""
    end = next(
        (i for i in range(place + 1, len(tokens)) if tokens[i].text in (",", ";", ".", ":")), len(tokens)
    )
    if not any(token.stem for token in tokens[:place]):  # "After Y, X"
        rest = next((i for i in range(end + 1, len(tokens)) if tokens[i].text in (";", ".")), len(tokens))
        return _stems(tokens[place + 1 : end]), _stems(tokens[end + 1 : rest])
    start = next((i for i in range(place - 1, -1, -1) if tokens[i].text in (";", ".", ":")), -1)
    return _stems(tokens[place + 1 : end]), _stems(tokens[start + 1 : place])


def _stems(tokens: Sequence[Token]) -> frozenset[str]:
    return frozenset(t.stem for t in tokens if t.stem and t.kind != "number")


def _judge(mine: Order, theirs: Sequence[Order]) -> list[Finding]:
    judged = [(o, _alike(mine.earlier, o.earlier, mine.later, o.later)) for o in theirs]
    turned = [(o, _alike(mine.earlier, o.later, mine.later, o.earlier)) for o in theirs]
    direct, right = max(judged, key=lambda item: item[1], default=(None, 0.0))
    cross, wrong = max(turned, key=lambda item: item[1], default=(None, 0.0))
    if direct is not None and right >= _ENOUGH and right >= wrong:
        return [_finding("agrees", mine, direct, "in the same order")]
    if cross is not None and wrong >= _ENOUGH and wrong > right:
        return [_finding("conflicts", mine, cross, "the source has the two events in the other order")]
    return []


def _alike(a: frozenset[str], b: frozenset[str], c: frozenset[str], d: frozenset[str]) -> float:
    """How far a is b and c is d: the smaller of the two shares."""
    return min(len(a & b) / max(min(len(a), len(b)), 1), len(c & d) / max(min(len(c), len(d)), 1))


def _finding(outcome: Outcome, mine: Order, theirs: Order, note: str) -> Finding:
    return Finding("order", outcome, mine.start, mine.end, theirs.start, theirs.end, note)
