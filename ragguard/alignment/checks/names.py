"""The names of a text: runs of capitalised words, with the particles within."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ragguard.alignment.checks.tokens import Reading, Token

_JOINED = frozenset("of the de la le du van von der den da di bin al el and & for".split())
_TITLES = frozenset("mr mrs ms miss dr sir prof professor president king queen lord lady saint st".split())
TIMES = frozenset("january february march april may june july august september october november december "
                   "monday tuesday wednesday thursday friday saturday sunday".split())  # fmt: skip


class Name(NamedTuple):
    """A run of capitalised words, particles and titles within."""

    start: int
    end: int
    words: tuple[Token, ...]  # titles and particles left out


def names(reading: Reading) -> list[Name]:
    """Return the names of a text; none where capitals tell nothing."""
    if not reading.cased():
        return []
    found: list[Name] = []
    for first, last in reading.sentences:
        found.extend(_in_sentence(reading.tokens[first:last]))
    return found


def initials(name: Name) -> str:
    """The first letters of a name's words, in upper case."""
    return "".join(word.text[0] for word in name.words).upper()


def _in_sentence(tokens: Sequence[Token]) -> list[Name]:
    found: list[Name] = []
    run: list[Token] = []
    for place, token in enumerate(tokens):
        if _capital(token, first=place == 0) or (
            run and (token.low in _JOINED or token.text in (".", "&")) and _leads_on(tokens, place)
        ):
            run.append(token)
        else:
            _close(found, run)
            run = []
    _close(found, run)
    return found


def _leads_on(tokens: Sequence[Token], place: int) -> bool:
    """Whether a capitalised word follows the particle; "and" parts two names."""
    if tokens[place].low in ("and", "for"):
        return False
    if tokens[place].text == ".":
        previous = tokens[place - 1].low
        return (
            (previous in _TITLES or len(previous) == 1)
            and place + 1 < len(tokens)
            and tokens[place + 1].text[:1].isupper()
        )
    ahead = place + 1
    while ahead < len(tokens) and ahead < place + 2 and tokens[ahead].low in _JOINED:
        ahead += 1
    return ahead < len(tokens) and _capital(tokens[ahead], first=False)


def _capital(token: Token, *, first: bool) -> bool:
    if token.kind != "word" or not token.text[0].isupper() or token.low in TIMES or token.low == "i":
        return False
    return bool(token.stem) or (not first and token.text.isupper() and len(token.text) > 1)


def _close(found: list[Name], run: list[Token]) -> None:
    words = tuple(t for t in run if t.text[0].isupper() and t.low not in _TITLES and t.low not in _JOINED)
    if words:
        found.append(Name(run[0].start, run[-1].end, words))
