"""Who did what to whom, and what belongs to whom, as far as word order tells: no parser."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from ragguard.alignment.checks.tokens import Token
from ragguard.alignment.negation import NEGATORS

_BE = frozenset("is are was were be been being 's got gets get".split())
_WITHIN = 6  # words between a verb and what it joins
# X meets Y is Y meets X; and what joins no doer to a deed.
_MUTUAL = frozenset("meet marri marry play fight fac join merg border equal match tie divorc wed date resembl cooperat "
                    "collaborat near vs versus plus married".split())  # fmt: skip
_LIST = frozenset("and or , / &".split())


class Deed(NamedTuple):
    """One verb with the word before and the word after it, a passive already turned round."""

    doer: str
    verb: str
    target: str
    denied: bool
    start: int
    end: int


def deeds(tokens: Sequence[Token]) -> list[Deed]:
    """Return what stands directly on both sides of each word of content that may be a verb."""
    found: list[Deed] = []
    content = [i for i, token in enumerate(tokens) if token.stem and token.kind == "word"]
    for left, verb, right in zip(content, content[1:], content[2:], strict=False):
        if right - left > 2 * _WITHIN or not _joins(tokens, left, verb, right):
            continue
        doer, target = tokens[left].stem, tokens[right].stem
        passive = _passive(tokens, left, verb, right)
        if passive is None:
            continue
        if passive:
            doer, target = target, doer
        denied = any(t.low in NEGATORS or t.low.endswith("n't") for t in tokens[left + 1 : verb])
        found.append(Deed(doer, tokens[verb].stem, target, denied, tokens[left].start, tokens[right].end))
    return found


def _joins(tokens: Sequence[Token], left: int, verb: int, right: int) -> bool:
    """No stop, list or genitive between, and a verb in lower case that is not mutual."""
    word = tokens[verb]
    if not word.text[0].islower() or word.stem in _MUTUAL or word.low.endswith("ly"):
        return False
    between = [*tokens[left + 1 : verb], *tokens[verb + 1 : right]]
    if any(
        t.kind == "stop" or t.low in _LIST or t.low in ("'s", "of", "than", "with", "from", "as")
        for t in between
    ):
        return False
    # "Dino's chair bought": the name before is the owner, not the doer.
    after = tokens[right + 1].low if right + 1 < len(tokens) else ""
    return after != "'s" and tokens[left].kind == tokens[right].kind == "word"


def _passive(tokens: Sequence[Token], left: int, verb: int, right: int) -> bool | None:
    """True for "was bought by", False for "bought", None for "was bought" before something else."""
    being = any(t.low in _BE for t in tokens[left + 1 : verb])
    by = any(t.low == "by" for t in tokens[verb + 1 : right])
    if by:
        return True
    return None if being and not tokens[verb].low.endswith("ing") else False


def owned(tokens: Sequence[Token]) -> list[tuple[str, str, int, int]]:
    """Return (owner, thing, start, end) of "Rex's chair" and "the chair of Rex", by stems."""
    found = []
    content = [i for i, token in enumerate(tokens) if token.stem and token.kind == "word"]
    for one, two in pairwise(content):
        between = [t.low for t in tokens[one + 1 : two]]
        if between == ["'s"] or (between == ["'"] and tokens[one].low.endswith("s")):
            found.append((tokens[one].stem, tokens[two].stem, tokens[one].start, tokens[two].end))
        elif between in (["of"], ["of", "the"]) and tokens[two].text[0].isupper():
            found.append((tokens[two].stem, tokens[one].stem, tokens[one].start, tokens[two].end))
    return found
