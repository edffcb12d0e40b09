"""Each word of content with what is said of it: denied, hedged, or said of all or of some.

A word such as "not", "may" or "every" reaches the next words of content in its
clause. It is a heuristic without a parser; the checks that use it ask for more
agreement around the word before they call a conflict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ragguard.alignment.checks.tokens import Token
from ragguard.alignment.negation import CLAUSE_END, NEGATORS, UNDONE_BY

_HEDGES = frozenset("may might could perhaps possibly maybe probably likely reportedly allegedly apparently "
                    "presumably supposedly potentially conceivably".split())  # fmt: skip
_HEDGES_WITH_TO = frozenset(
    """
    expected planned intended hoped hope hopes plan plans intends expects expect seem seems seemed
    appear appears appeared believed thought said alleged rumored rumoured proposed likely set
    scheduled due considering trying tried
    """.split()
)
_DENIES_WITH_TO = frozenset(
    "fail fails failed failing refuse refuses refused refusing unable declined".split()
)
_LEVELS = (
    dict.fromkeys("all every each everyone everybody always entire entirely both".split(), 3)
    | dict.fromkeys("most mostly majority usually generally primarily largely".split(), 2)
    | dict.fromkeys("some several few sometimes partly".split(), 1)
)
_IDIOMS = frozenset([("at", "all"), ("after", "all"), ("above", "all"), ("of", "all"), ("in", "all")])
_CLAUSE_BEGIN = frozenset(
    "because while although though so as than which who whom whose when where that".split()
)
# Verbs without content of their own: "does not like being his guest" denies the liking, not the guest.
_TAKES_DENIAL = frozenset(
    """
    like likes liked know knows knew want wants wanted need needs needed make makes made go goes
    going went get gets got let keep put take takes took tell give gives gave given
    """.split()
)
_QUANTIFIED = 2  # words of content that "all" reaches: "all new users"
_SKIPPED = 3  # adverbs that "not" reaches past


class Word(NamedTuple):
    """A word of content in its sentence.

    Args:
        level: 3 of all, 2 of most, 1 of some, 0 where nothing is said.
        around: the stems of the two words of content on either side.
    """

    token: Token
    stem: str
    denied: bool
    hedged: bool
    level: int
    around: frozenset[str]


def _or_not(tokens: Sequence[Token], place: int) -> bool:
    """Whether it is the "not" of "whether or not", which denies nothing."""
    return place > 0 and tokens[place - 1].low == "or"


def _idiom(tokens: Sequence[Token], place: int) -> bool:
    """Whether a word quantifies nothing: "at all", "all the way" and their like."""
    before = tokens[place - 1].low if place else ""
    after = tuple(token.low for token in tokens[place + 1 : place + 3])
    return (before, tokens[place].low) in _IDIOMS or after in (("the", "way"), ("the", "time"))


def scopes(tokens: Sequence[Token]) -> list[Word]:
    """Return the words of content of one sentence, in order."""
    found: list[tuple[Token, bool, bool, int]] = []
    denied = hedged = False
    level = left = skipped = 0
    for place, token in enumerate(tokens):
        low = token.low
        before = (denied, hedged)
        following = tokens[place + 1].low if place + 1 < len(tokens) else ""
        if token.kind == "stop" or low in CLAUSE_END or low in _CLAUSE_BEGIN:
            denied = hedged = False
            left = 0
        elif low in NEGATORS or low.endswith("n't") or (low in _DENIES_WITH_TO and following == "to"):
            denied = not (low == "not" and (following in UNDONE_BY or _or_not(tokens, place)))
            skipped = 0
        elif low in UNDONE_BY or low in _TAKES_DENIAL:
            denied = False
        elif low in _HEDGES or (low in _HEDGES_WITH_TO and following == "to"):
            hedged = True
        elif low in _LEVELS and not _idiom(tokens, place):
            level, left = (1 if denied else _LEVELS[low]), _QUANTIFIED
            denied = False
        if not token.stem or token.kind == "number" or low in _HEDGES:
            continue
        found.append((token, *before, level if left else 0))
        left = max(left - 1, 0)
        if low.endswith("ly") and skipped < _SKIPPED:
            skipped += 1
            continue
        if low not in _DENIES_WITH_TO:
            denied = False
        if not (low in _HEDGES_WITH_TO and following == "to"):
            hedged = False
    stems = [token.stem for token, *_ in found]
    return [
        Word(token, token.stem, no, maybe, much, frozenset(stems[max(0, i - 2) : i] + stems[i + 1 : i + 3]))
        for i, (token, no, maybe, much) in enumerate(found)
    ]
