"""Where the end of an unfinished text could still become part of something registered."""

from __future__ import annotations

import unicodedata

from ragguard.trace.corpus import TraceCorpus
from ragguard.trace.tokens import Tokens

_JOINS = frozenset("'-\u2019\u00ad")
_JOINING = frozenset({"Pd", "Cf", "Mn", "Me", "Sk", "Lm"})


def opening(text: str, tokens: Tokens, corpus: TraceCorpus) -> int:
    """Return the place of the first token that what follows may make part of a longer match.

    No match that begins before it can change: it would have to run through the end,
    and no text of the corpus does. `len(tokens.words)` where nothing is open, and the last
    word is whole.

    Args:
        text: the beginning of a text.
        tokens: of it.
        corpus: looked up.
    """
    if not tokens.words:
        return 0
    if _may_grow(text[int(tokens.ends[-1]) :]):
        # The last word is not known yet: what it will be may go on with any suffix of those before it.
        tokens = Tokens(tokens.words[:-1], tokens.starts[:-1], tokens.ends[:-1])
    return corpus.open_from(tokens) if len(corpus) else len(tokens.words)


def _may_grow(tail: str) -> bool:
    """Whether the last word may go on after this: nothing ends it, or a hyphen or a mark might join the next."""
    return not tail or any(c in _JOINS or unicodedata.category(c) in _JOINING for c in tail)
