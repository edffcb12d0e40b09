"""Which words of a text are negated.

A negation reaches the next word of content in its clause: "does not copy the
file" negates "copy". It is a heuristic, and says so where it decides.
"""

from __future__ import annotations

import re

from ragguard.text.words import content_words

_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)?|[.,;:!?()\[\]]")
NEGATORS = frozenset("not no never cannot without none neither nor nothing nobody hardly".split())
UNDONE_BY = frozenset("only just necessarily merely".split())
CLAUSE_END = frozenset(".,;:!?()[]") | {"but", "if", "unless", "whether", "or"}


def polarity(text: str) -> tuple[set[str], set[str]]:
    """Return (stems asserted, stems negated); a stem that occurs both ways is in both.

    Example:
        >>> polarity("It does not copy the file.")
        ({'fil'}, {'copy'})
    """
    asserted: set[str] = set()
    negated: set[str] = set()
    reaching = False
    for match in _TOKEN.finditer(text):
        word = match.group().lower().replace("’", "'")
        if word in NEGATORS or word.endswith("n't"):
            reaching = True
        elif word in CLAUSE_END or word in UNDONE_BY:
            reaching = False
        else:
            stems = content_words(word)
            (negated if reaching else asserted).update(stems)
            reaching = reaching and not stems
    return asserted, negated


def conflicts(claim: str, sentence: str) -> set[str]:
    """Return the shared stems that one text only asserts and the other only negates."""
    claim_asserts, claim_negates = polarity(claim)
    asserts, negates = polarity(sentence)
    denied = (claim_asserts - claim_negates) & (negates - asserts)
    return denied | ((claim_negates - claim_asserts) & (asserts - negates))
