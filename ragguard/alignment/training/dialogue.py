"""Conversations made of passages: who said it of themselves is what a claim has to get right."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence

from ragguard.alignment.training.edits import Surroundings, edit
from ragguard.alignment.training.examples import CONTRADICTED, ENTAILED, NEUTRAL, Example, graded
from ragguard.alignment.training.made import usable_sentences

SPEAKERS = tuple(
    """
    Anna Ben Carla David Emma Frank Grace Hugo Irene Jonas Karen Liam Maria Nadia Oscar Paula Quentin Rosa Simon
    Tina Ugo Vera Walter Yara Zoe Ahmed Bilal Chen Divya Elif Farah Goran Hana Ivan Jamal Kofi Leila Mei Noor Priya
    """.split()
)
_OF_ONESELF = re.compile(
    r"^(?:He|She) (?=(?:was|is|has|had|also|then|later|won|lost|wrote|moved|joined|left|became|began|made|took|went|"
    r"played|worked|studied|served|died|lived|received|married|[a-z]+ed)\b)"
)
_NOT_OF_ONESELF = re.compile(r"\b(?:died|killed|buried|survived by|death|posthumous)")
_MOST_WORDS = 30
_FIRST_PERSON = (
    (re.compile(r"\bis\b"), "am"),
    (re.compile(r"\bhas\b"), "have"),
    (re.compile(r"\b(?:his|her)\b(?! own name)"), "my"),
    (re.compile(r"\b(?:himself|herself)\b"), "myself"),
    (re.compile(r"\b(?:he|she)\b"), "I"),
)
_FILLERS = tuple(
    "Really?|Oh, I see.|That's great to hear!|What about you?|Sure, go ahead.|Hm, okay.|Thanks for letting me know."
    "|How did that happen?|Tell me more.|No way!|Sounds good.|Right.|Haha, nice.|I had no idea.".split("|")
)


def dialogue_examples(passage: str, rng: random.Random, *, names: Sequence[str] = ()) -> Iterator[Example]:
    """Yield examples whose source is a conversation: one speaker says of themselves what the passage said.

    The claim names the speaker, the other speaker (contradicted), somebody who was
    not there (neutral), or says the right thing changed.
    """
    sentences = usable_sentences(passage)
    told = [
        s
        for s in sentences
        if _OF_ONESELF.match(s) and not _NOT_OF_ONESELF.search(s) and len(s.split()) <= _MOST_WORDS
    ]
    if not told:
        return
    fact = rng.choice(told)
    one, other, absent = rng.sample(SPEAKERS, 3)
    source = _conversation(one, other, fact, [s for s in sentences if s is not fact and s not in told], rng)
    stated = _OF_ONESELF.sub("", fact)
    yield graded(source, f"{one} {stated}", ENTAILED, origin="made: speaker")
    yield graded(source, f"{other} {stated}", CONTRADICTED, origin="made: other speaker")
    if rng.random() < 0.3:
        yield graded(source, f"{absent} {stated}", NEUTRAL, origin="made: absent speaker")
    changed = edit(f"{one} {stated}", Surroundings(source, names), rng)
    if changed is not None:
        yield graded(source, changed.text, changed.label, origin="made: speaker, changed")


def _conversation(one: str, other: str, fact: str, rest: Sequence[str], rng: random.Random) -> str:
    said = _OF_ONESELF.sub("I ", fact)
    for pattern, new in _FIRST_PERSON:
        said = pattern.sub(new, said)
    lines = [f"{one}: {said}"]
    for _ in range(rng.choice([1, 2, 2, 3, 4])):
        speaker = rng.choice([one, other, other])
        text = rng.choice(list(rest)) if rest and rng.random() < 0.5 else rng.choice(_FILLERS)
        lines.insert(rng.randint(0, len(lines)), f"{speaker}: {text}")
    return rng.choice(["\n", " ", "\n"]).join(lines)
