"""Words that carry content, as comparable stems."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+")

STOP_WORDS = frozenset(
    """
    a about above after again against all already also am an and another any anybody anyone anything are
    as at be because been before being below between both but by can cannot could did do does doing done
    down during each either else ever every everything few for from further get gets getting give gives
    given go goes going had has have having he her here hers him his how i if in instead into is it its
    itself just keep kind know let like long make makes making many may me might mine more most much must
    my myself need needs neither never no nor not nothing now of off on once one ones only or other our
    ours out over own python per please put rather really s same say shall she should so some somebody
    someone something sort still such t take takes tell than that the their theirs them themselves then
    there these they thing things this those though through to together too try under until up upon us
    use used uses using very via want wants was way ways we well were what when where whether which while
    who whom whose why will with within without would yet you your yours
    """.split()
)


def content_words(text: str) -> set[str]:
    """Return the lower-case stems of the words that carry content.

    Underscores and dots separate words, one-letter words and stop words are left
    out, and plural, -ed and -ing endings are cut, so that "copied files" and
    "copying a file" share both stems.
    """
    return set(content_word_list(text))


def content_word_list(text: str) -> list[str]:
    """Return the stems of `content_words` as often as they occur, in order."""
    words = (w.lower() for w in _WORD.findall(text))
    return [_stem(w) for w in words if w not in STOP_WORDS and (len(w) > 1 or w.isdigit())]


def _stem(word: str) -> str:
    if not word.isascii() or not word.isalpha():
        return word
    for ending, left in (("ies", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", ""), ("ly", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: -len(ending)] + left
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word.endswith("e") else word
