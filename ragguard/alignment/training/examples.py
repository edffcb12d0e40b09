"""One training example: a pair, and what is known of it for each head."""

from __future__ import annotations

from dataclasses import dataclass

IGNORE = -100
ENTAILED, NEUTRAL, CONTRADICTED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Example:
    """A (source, claim) pair with a label for one head or several.

    Attributes:
        source: the text that may support the claim.
        claim: a statement, "question answer", or (for relevance) a question.
        binary: 1 aligned, 0 not, -100 unknown.
        three_way: 0 entailed, 1 neutral, 2 contradicted, -100 unknown.
        similarity: in [0, 1], or None where unknown; of examples made by rule the
            share of the claim's sentences that the source supports.
        origin: the data set or the rule it came from, for the table of recipes.
    """

    source: str
    claim: str
    binary: int = IGNORE
    three_way: int = IGNORE
    similarity: float | None = None
    origin: str = ""


def graded(source: str, claim: str, label: int, *, origin: str, similarity: float | None = None) -> Example:
    """Return an example whose 3-way label is known: the binary one follows from it."""
    return Example(source, claim, int(label == ENTAILED), label, similarity, origin)


def two_way(source: str, claim: str, *, aligned: bool, origin: str) -> Example:
    """Return an example of which only "supported or not" is known.

    Supported is entailed, so the 3-way head learns from it too; not supported may
    be neutral or contradicted, and only the binary head does.
    """
    return Example(source, claim, int(aligned), ENTAILED if aligned else IGNORE, origin=origin)
