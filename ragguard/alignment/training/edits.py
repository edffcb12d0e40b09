"""Small changes that make a true sentence false, or at least unsupported.

Each rule takes a sentence and the passage it came from, and returns the sentence
changed, with the 3-way label of the change against the original: `CONTRADICTED`
where both cannot hold, `NEUTRAL` where the original does not say so.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ragguard.alignment.training.examples import CONTRADICTED, NEUTRAL
from ragguard.alignment.training.synonyms import ANTONYMS
from ragguard.alignment.training.vocabulary import NEIGHBOURS, OPPOSITES


@dataclass(frozen=True, slots=True)
class Edit:
    """A changed sentence, its label against the original, the rule, and the words exchanged.

    Attributes:
        exchanges: (old, new) wordings: applied to a source, they make it support the changed sentence.
    """

    text: str
    label: int
    rule: str
    exchanges: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a rule may borrow from: the passage, names of other passages, near words of a word."""

    passage: str
    names: Sequence[str] = ()
    near: Callable[[str], Sequence[str]] | None = None


Rule = Callable[[str, Surroundings, random.Random], Edit | None]

_NUMBER = re.compile(r"(?<![\w.,$-])\d[\d,]*(?:\.\d+)?(?![\w-])")
_YEAR = re.compile(r"(?<![\d,.])(?:1[0-9]|20)\d\d(?![\d,]|\.\d)")
_NAME = re.compile(r"(?<![.!?\"“] )(?<!^)\b[A-Z][\w'’-]+(?:(?: (?:of|the|de|von|van|and))? [A-Z][\w'’-]+)*")
_WORD = re.compile(r"[A-Za-z][a-z]+(?:'[a-z]+)?")
_AUXILIARY = re.compile(
    r"\b(is|are|was|were|has|have|had|can|could|will|would|should|must|may|might|did|does|do)\b(?! not\b|n't)"
)
_AUXILIARIES = frozenset(
    "were been being have does must will would could should might that this with from".split()
)
_NEGATION = re.compile(r"\b(?:not|never)\b ?|n't\b")
_DETAIL = re.compile(
    r"(?:,? (?:in|at|near|from|with|by|during|since|until|for) (?:the )?(?:[A-Z][\w-]+(?: [A-Z][\w-]+)*|\d{4}))"
)


def names_of(passage: str) -> list[str]:
    """Return the capitalised names inside a passage's sentences, in order, each once."""
    return list(dict.fromkeys(m.group() for m in _NAME.finditer(passage)))


def _replace(text: str, start: int, end: int, new: str) -> str:
    return text[:start] + new + text[end:]


def change_number(sentence: str, around: Surroundings, rng: random.Random) -> Edit | None:
    """Another number: one of the passage's own, or one nearby, written like it."""
    found = list(_NUMBER.finditer(sentence)) + list(_YEAR.finditer(sentence))
    if not found:
        return None
    place = rng.choice(found)
    old = place.group()
    others = sorted({m.group() for m in _NUMBER.finditer(around.passage)} - {old})
    alike = [n for n in others if len(n) == len(old)]
    new = rng.choice(alike) if alike and rng.random() < 0.5 else _another_number(old, rng)
    if new == old:
        return None
    return Edit(_replace(sentence, *place.span(), new), CONTRADICTED, "number", ((old, new),))


def _another_number(old: str, rng: random.Random) -> str:
    digits = old.replace(",", "")
    if "." in digits:
        whole, _, part = digits.partition(".")
        return f"{int(whole) + rng.choice([1, 2, 3, 5, 10])}.{part}"
    value = int(digits[:15])
    if _YEAR.fullmatch(old):
        return str(value + rng.choice([-31, -20, -11, -9, -4, -3, -2, -1, 1, 2, 3, 5, 10, 12, 20, 30]))
    size = max(1, 10 ** (len(digits) - 1))
    new = max(1, value + rng.choice([-3, -2, -1, 1, 2, 3, 4, 10]) * max(1, size // rng.choice([1, 1, 10])))
    if new == value:
        new += size
    return f"{new:,}" if "," in old else str(new)


def change_word(table: dict[str, tuple[str, ...]], rule: str, label: int = CONTRADICTED) -> Rule:
    """Return the rule that puts another word of a table in place of one."""

    def change(sentence: str, _around: Surroundings, rng: random.Random) -> Edit | None:
        found = [m for m in _WORD.finditer(sentence) if m.group() in table]
        lower = [m for m in _WORD.finditer(sentence) if m.start() == 0 and m.group().lower() in table]
        if not found and not lower:
            return None
        place = rng.choice(found or lower)
        old = place.group()
        new = rng.choice(table.get(old) or table[old.lower()])
        new = new[0].upper() + new[1:] if old[0].isupper() else new
        return Edit(_replace(sentence, *place.span(), new), label, rule, ((old, new),))

    return change


def change_name(sentence: str, around: Surroundings, rng: random.Random) -> Edit | None:
    """Another name: from the same passage, or from elsewhere."""
    found = [m for m in _NAME.finditer(sentence) if len(m.group()) > 2]
    if not found:
        return None
    place = rng.choice(found)
    old = place.group()
    here = sorted({m.group() for m in _NAME.finditer(around.passage)})
    fit = [n for n in here if n not in old and old not in n and n not in sentence and _alike(n, old)]
    elsewhere = [n for n in around.names if n not in old and old not in n and n not in sentence]
    choices = fit if fit and rng.random() < 0.65 else elsewhere or fit
    if not choices:
        return None
    new = rng.choice(choices)
    return Edit(_replace(sentence, *place.span(), new), CONTRADICTED, "name", ((old, new),))


def _alike(one: str, other: str) -> bool:
    return abs(len(one.split()) - len(other.split())) <= 1


def swap_roles(sentence: str, _around: Surroundings, rng: random.Random) -> Edit | None:
    """Exchange the places of two names."""
    found = [m for m in re.finditer(r"\b[A-Z][\w'’-]+(?: [A-Z][\w'’-]+)*", sentence) if len(m.group()) > 3]
    pairs = [
        (a, b)
        for i, a in enumerate(found)
        for b in found[i + 1 :]
        if a.group() != b.group()
        # A word between them that is no joint: names that are only listed have no roles.
        and re.search(r" (?!and\b|nor\b)[a-z]{3,}", sentence[a.end() : b.start()])
    ]
    if not pairs:
        return None
    a, b = rng.choice(pairs)
    text = _replace(sentence, *b.span(), a.group())
    text = _replace(text, *a.span(), b.group())
    return Edit(text, CONTRADICTED, "roles")


def negate(sentence: str, _around: Surroundings, rng: random.Random) -> Edit | None:
    """Take a negation away, or put one after the first auxiliary."""
    there = _NEGATION.search(sentence)
    if there is not None:
        text = sentence[: there.start()] + sentence[there.end() :]
        return Edit(text.replace("  ", " "), CONTRADICTED, "negation")
    found = list(_AUXILIARY.finditer(sentence))[:2]
    if not found:
        return None
    place = rng.choice(found)
    verb = place.group()
    negated = (
        f"{verb} never" if verb in ("was", "has", "is", "were") and rng.random() < 0.3 else f"{verb} not"
    )
    if rng.random() < 0.3 and verb in ("is", "are", "was", "were", "has", "have", "had", "did", "does", "do"):
        negated = f"{verb}n't"
    return Edit(_replace(sentence, *place.span(), negated), CONTRADICTED, "negation", ((verb, negated),))


def change_near_word(sentence: str, around: Surroundings, rng: random.Random) -> Edit | None:
    """A word near in meaning: red for blue, Germany for France."""
    if around.near is None:
        return None
    found = [m for m in _WORD.finditer(sentence) if len(m.group()) > 3 and m.group() not in _AUXILIARIES]
    rng.shuffle(found)
    for place in found[:6]:
        old = place.group()
        choices = around.near(old.lower())
        if choices:
            new = rng.choice(list(choices))
            new = new[0].upper() + new[1:] if old[0].isupper() else new
            return Edit(_replace(sentence, *place.span(), new), CONTRADICTED, "near word", ((old, new),))
    return None


def add_detail(sentence: str, around: Surroundings, rng: random.Random) -> Edit | None:
    """Add a place, time or companion that the passage does not give."""
    if not around.names or not sentence.endswith("."):
        return None
    name = rng.choice(list(around.names))
    year = rng.randrange(1850, 2024)
    details = [f"{joint} {name}" for joint in (" in", " with", " for", " near", ", according to")]
    details.insert(1, f" in {year}")
    details += [f" because of {name}", f", together with {name}"]
    detail = rng.choice([*details, f", {rng.randrange(2, 60)} years before {name}"])
    if name in around.passage or str(year) in around.passage:
        return None
    return Edit(sentence[:-1] + detail + ".", NEUTRAL, "added detail")


def move_detail(sentence: str, around: Surroundings, rng: random.Random) -> Edit | None:
    """Put a detail of another sentence of the passage in place of this one's."""
    mine = list(_DETAIL.finditer(sentence))
    others = [m.group() for m in _DETAIL.finditer(around.passage) if m.group() not in sentence]
    if not mine or not others:
        return None
    place = rng.choice(mine)
    fit = [o for o in others if o.split()[0] == place.group().split()[0]]
    if not fit:
        return None
    new = rng.choice(fit)
    return Edit(_replace(sentence, *place.span(), new), NEUTRAL, "moved detail", ((place.group(), new),))


RULES: tuple[tuple[Rule, float], ...] = (
    (change_number, 2.0),
    (change_name, 2.0),
    (change_near_word, 3.0),
    (change_word(OPPOSITES, "opposite"), 2.5),
    (change_word(ANTONYMS, "antonym"), 2.5),
    (change_word(NEIGHBOURS, "neighbour"), 1.5),
    (swap_roles, 1.0),
    (negate, 1.2),
    (add_detail, 1.2),
    (move_detail, 1.0),
)


def edit(sentence: str, around: Surroundings, rng: random.Random) -> Edit | None:
    """Return one change of the sentence, its rule drawn by weight, or None where none applies."""
    rules = list(RULES)
    while rules:
        chosen = rng.choices(range(len(rules)), weights=[w for _, w in rules])[0]
        rule, _ = rules.pop(chosen)
        result = rule(sentence, around, rng)
        if result is not None and result.text != sentence:
            return result
    return None
