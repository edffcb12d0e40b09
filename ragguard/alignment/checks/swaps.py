"""The words of one sentence that stand where another sentence has others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from ragguard.alignment.checks.tokens import Token

_LONGEST = 3  # words; a longer stretch is another wording, not another word


class Swap(NamedTuple):
    """A word of the claim that stands where the source sentence has another."""

    mine: Token
    theirs: Token
    framed: int  # 0 to 2: on how many sides the words next to them are equal


def swaps(claim: Sequence[Token], source: Sequence[Token]) -> Iterator[Swap]:
    """Yield the words of the claim's sentence that stand where the source's has others.

    Stretches of equal length are paired word by word, others each with each.
    """
    mine, theirs = _words(claim), _words(source)
    matcher = SequenceMatcher(None, [t.shape for t in mine], [t.shape for t in theirs], autojunk=False)
    blocks = matcher.get_opcodes()
    for i, (tag, a0, a1, b0, b1) in enumerate(blocks):
        if tag != "replace" or a1 - a0 > _LONGEST or b1 - b0 > _LONGEST:
            continue
        framed = (i > 0) + (i + 1 < len(blocks))
        tight = a1 - a0 == b1 - b0
        for x, one in enumerate(mine[a0:a1]):
            for y, other in enumerate(theirs[b0:b1]):
                if x == y or not tight:
                    yield Swap(one, other, framed if tight else min(framed, 1))


def _words(tokens: Sequence[Token]) -> list[Token]:
    return [token for token in tokens if token.kind not in ("stop", "clitic")]
