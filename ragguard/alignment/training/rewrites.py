"""Changes that keep what a sentence says, or say less: positives that do not repeat the source."""

from __future__ import annotations

import random
import re

from ragguard.alignment.training.synonyms import SYNONYMS
from ragguard.alignment.training.vocabulary import CHAT_CLOSINGS, CHAT_OPENINGS, EQUALS

_BRACKETS = re.compile(r" ?\([^()]{1,120}\)")
_APPOSITIVE = re.compile(r", (?:which|who|whose|where|also|known as|an?|the)\b[^,.;]{3,90},")
_TAIL = re.compile(
    r",? (?:which|who|where|while|although|whereas|because|after|before|when|since|as well as|including)\b.*$"
)
_HEAD = re.compile(
    r"^(?:In|On|At|After|Before|During|By|Although|While|When|Since|From|As|For)\b[^,.]{3,80}, (?=\S)"
)
_COORDINATED = re.compile(
    r",? (?:and|but) (?=(?:was|were|is|has|had|also|he|she|it|they|then|later|[a-z]+ed)\b)"
)
_ADVERB = re.compile(
    r" (?:also|however|currently|mainly|mostly|originally|famously|then|later|subsequently)\b,?"
)
_WORD = re.compile(r"\b[a-z]{2,}\b")
_EQUAL = re.compile(
    r"\b(?:" + "|".join(re.escape(word) for word in sorted(EQUALS, key=len, reverse=True)) + r")\b"
)


def shorten(sentence: str, rng: random.Random) -> str | None:
    """Return the sentence without a bracket, an apposition, an opening or a closing clause; None if it has none."""
    ways = [
        _without_brackets,
        _without_apposition,
        _without_tail,
        _without_head,
        _first_part,
        _second_part,
        _no_adverb,
    ]
    rng.shuffle(ways)
    for way in ways:
        found = way(sentence)
        if found is not None and found != sentence and len(found.split()) >= 4:
            return _finished(found)
    return None


def reword(sentence: str, rng: random.Random, *, share: float = 0.5) -> str:
    """Return the sentence with about that share of the words that have an equal exchanged for it."""
    text = _EQUAL.sub(lambda m: EQUALS[m.group()] if rng.random() < share else m.group(), sentence)
    return _WORD.sub(lambda m: _synonym(m.group(), rng) if rng.random() < share else m.group(), text)


def _synonym(word: str, rng: random.Random) -> str:
    return rng.choice(SYNONYMS[word]) if word in SYNONYMS else word


def chat(sentence: str, rng: random.Random) -> str:
    """Return the sentence as one says it in a conversation: an opening before, a question after."""
    text = sentence
    if rng.random() < 0.75:
        opening = rng.choice(CHAT_OPENINGS)
        goes_on = opening[-1] in "," or opening[-1].isalpha()
        text = f"{opening} {_lowered(text) if goes_on else text}"
    if rng.random() < 0.45 or text is sentence:
        text = f"{text} {rng.choice(CHAT_CLOSINGS)}"
    return text


def merge(first: str, second: str, rng: random.Random) -> str:
    """Return two sentences as one claim."""
    joint = rng.choice([" and ", ", and ", ", while ", "; ", ". ", ". "])
    if joint == ". ":
        return f"{first} {second}"
    return first.rstrip(". ") + joint + _lowered(second)


def _lowered(text: str) -> str:
    first = text.split(" ", 1)[0]
    common = first in (
        "The",
        "A",
        "An",
        "It",
        "He",
        "She",
        "They",
        "This",
        "In",
        "On",
        "His",
        "Her",
        "There",
        "These",
    )
    return text[0].lower() + text[1:] if common else text


def _finished(text: str) -> str:
    text = text.strip().rstrip(",;:-–— ")
    text = text[0].upper() + text[1:]
    return text if text[-1] in '.!?"”' else text + "."


def _without_brackets(text: str) -> str | None:
    return _BRACKETS.sub("", text) if _BRACKETS.search(text) else None


def _without_apposition(text: str) -> str | None:
    return _APPOSITIVE.sub("", text, count=1) if _APPOSITIVE.search(text) else None


def _without_tail(text: str) -> str | None:
    found = _TAIL.search(text)
    return text[: found.start()] if found and found.start() > 25 else None


def _without_head(text: str) -> str | None:
    found = _HEAD.match(text)
    return text[found.end() :] if found else None


def _first_part(text: str) -> str | None:
    found = _COORDINATED.search(text)
    return text[: found.start()] if found and found.start() > 20 else None


def _second_part(text: str) -> str | None:
    found = re.search(r", (?:and|but) (?=(?:he|she|it|they) [a-z]+)", text)
    return text[found.end() :] if found else None


def _no_adverb(text: str) -> str | None:
    return _ADVERB.sub("", text, count=1) if _ADVERB.search(text) else None
