"""Whether two sentences that differ speak of the same thing, so that one can contradict the other."""

from __future__ import annotations

import re

from ragguard.alignment.checks.names import names
from ragguard.alignment.checks.tokens import read
from ragguard.alignment.numbers import mentions

_WORDS = re.compile(r"[^\W_]+")
_LABELLED = re.compile(r"[^\W\d_]+\s?#?$")
_DATED = re.compile(
    r"\b(?:in|on|at|by|of|since|until|from|before|after|during|around|about|nearly|over|under|than|to|and|or|was|were"
    r"|is|are|has|have|had|january|february|march|april|may|june|july|august|september|october|november|december)\s?$",
    re.IGNORECASE,
)
_HEAD = 3
"""Words before a figure that is part of the subject: "the tram line 3"."""


def may_contradict(claim: str, sentence: str) -> bool:
    """Return whether a sentence that a model takes for a contradiction is about the claim's subject.

    One that lacks two or more of the claim's names and figures speaks of something else:
    "tram 4 leaves platform 46" says nothing of tram 3 and platform 36. So does one that lacks
    the figure by which the claim names its subject, the 3 of "tram 3". What a single other
    name or figure may be is what it contradicts.
    """
    held = {word.casefold() for word in _WORDS.findall(sentence)}
    figures = {mention.canonical for mention in mentions(sentence)}
    missing = [m for m in mentions(claim) if m.canonical not in figures]
    if any(_is_label(claim, m.start) for m in missing):
        return False
    other = [n for n in names(read(claim)) if not held & {word.low for word in n.words}]
    return len(missing) + len(other) <= 1


def _is_label(claim: str, start: int) -> bool:
    """Whether the figure follows the word it numbers at the head of the claim: "Tram 3", "section 4"."""
    before = claim[:start]
    if not _LABELLED.search(before) or _DATED.search(before):
        return False
    return len(_WORDS.findall(before)) <= _HEAD
