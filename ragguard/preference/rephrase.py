"""Other ways to put an English question, by rules: no language model, and the answer stays what it was.

Each rule fires only where it is safe to; a question that none fits has no
rephrasing. The rules know word order by a few closed word lists, not by parsing, so
they leave alone whatever could be a verb in the wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_BE = r"(?:is|are|was|were)"
_AUXILIARIES = frozenset(
    "is are was were do does did has have had can could will would shall should may might must".split()
)
_SYNONYMS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), other)
    for pattern, other in (
        (r"^how many\b(?=\s+\w)", "what number of"),
        (r"^why\b", "for what reason"),
        (r"^where\b(?=\s+(?:is|are|was|were|do|does|did|can|could)\b)", "in what place"),
        (r"^when\b(?=\s+(?:is|are|was|were|do|does|did|will)\b)", "at what point in time"),
        (r"^how\b(?=\s+(?:is|are|was|were|do|does|did|can|could)\b)", "in what way"),
        (
            r"^what\b(?=\s+(?:year|country|city|person|kind|type|group|company|language|century|day|month)\b)",
            "which",
        ),
        (r"^which\b(?=\s+\w)", "what"),
    )
)
# "What is used to ...", "What was the war about": behind the noun stands something
# that belongs to the verb, and moving the verb would tear them apart.
_TORN = re.compile(
    r"\b\w+(?:ed|en|ing)\b|\b(?:made|born|built|held|known|found|fought|led|done|set|put|cut|like|than)\b",
    re.IGNORECASE,
)
_PREPOSITIONS = frozenset(
    "about of for in on at to from by with as into over under after before like".split()
)
_COPULA = re.compile(rf"^(what|who)\s+({_BE})\s+((?:the|a|an)\s+.+)$", re.IGNORECASE)


def rephrasings(question: str) -> list[str]:
    """Return other ways to ask, none equal to the question or to each other; () where no rule fits.

    Example:
        >>> rephrasings("What is the capital of France?")
        ['The capital of France is what?', 'Can you tell me what the capital of France is?']
        >>> rephrasings("How many moons orbit Mars?")
        ['What number of moons orbit Mars?', 'Can you tell me this: how many moons orbit Mars?']
    """
    text = " ".join(question.split())
    bare = text.rstrip("?").rstrip()
    if (
        not bare
        or "?" in bare
        or not re.match(r"(?:who|what|which|when|where|why|how)\b", bare, re.IGNORECASE)
    ):
        return []
    found = [made for rule in (_other_word, _inverted, _told) if (made := rule(bare)) is not None]
    return [one for one in dict.fromkeys(found) if one.casefold() != text.casefold()]


def _other_word(bare: str) -> str | None:
    for pattern, other in _SYNONYMS:
        changed, times = pattern.subn(other, bare, count=1)
        if times:
            return _capital(changed) + "?"
    return None


def _inverted(bare: str) -> str | None:
    parts = _copula(bare)
    if parts is None:
        return None
    word, verb, thing = parts
    return f"{_capital(thing)} {verb} {word}?"


def _told(bare: str) -> str | None:
    parts = _copula(bare)
    if parts is not None:
        word, verb, thing = parts
        return f"Can you tell me {word} {thing} {verb}?"
    words = bare.split()
    lowered = words[0].lower() + bare[len(words[0]) :]
    asks_for_subject = words[0].lower() == "who" and len(words) > 1 and words[1].lower() not in _AUXILIARIES
    return f"Can you tell me {lowered}?" if asks_for_subject else f"Can you tell me this: {lowered}?"


def _copula(bare: str) -> tuple[str, str, str] | None:
    """(question word, verb, noun phrase) of "What is the ...", where the verb may be moved behind it."""
    match = _COPULA.match(bare)
    if match is None or "," in bare:
        return None
    word, verb, thing = match.groups()
    if _TORN.search(thing) or thing.split()[-1].lower() in _PREPOSITIONS:
        return None
    return word.lower(), verb.lower(), thing[0].lower() + thing[1:]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


Rephraser = Callable[[str], list[str]]
