"""How many of a question's content words its passage repeats.

Questions written from the passage they ask about repeat its words and make any
retriever look good; the share printed here is the honest measure of that.
"""

from __future__ import annotations

from ragguard.text.words import content_words


def overlap(question: str, passage: str) -> float:
    """Return the share in [0, 1] of the question's content words that occur in the passage."""
    asked = content_words(question)
    return len(asked & content_words(passage)) / len(asked) if asked else 0.0
