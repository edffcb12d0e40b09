"""Readers whose needs are known, to see whether training finds them out.

A made world of towns has one fact a question, told once in prose and once in a
table. A simulated reader can use one form only; the other it misreads, and then
loses even what it knew. Two readers of opposite forms therefore want opposite
orders of the same passages, and what each passage does to each is known exactly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ragguard.errors import UnknownNameError
from ragguard.preference.records import Category, PreferenceExample
from ragguard.protocols import PairScorer
from ragguard.types import Passage

Form = Literal["prose", "table"]

_ONSETS = "b br d dr f g gr h k kl l m n p r s st t tr v w".split()
_NUCLEI = "a e i o u ae ei".split()
_CODAS = "ck l ld m n nd r rn s st th".split()
_ENDS = "bury dale ford ham holm mouth stead ton wick worth".split()
_ATTRIBUTES = (
    ("founded", "In which year was {town} founded?", "{town} was founded in {value} by settlers."),
    ("people", "How many people live in {town}?", "About {value} people live in {town} today."),
    ("height", "How many metres above the sea is {town}?", "{town} lies {value} metres above the sea."),
    ("bridges", "How many bridges cross the river in {town}?", "In {town}, {value} bridges cross the river."),
    ("schools", "How many schools does {town} have?", "{town} runs {value} schools of its own."),
)
_PROSE = (
    "Visitors come for the old market and the quiet lanes around it.",
    "The weather is mild for most of the year, and winters are short.",
    "A railway was planned more than once and never built.",
)
_ROWS = ("| mayor | elected |", "| market | weekly |", "| railway | none |")
_UNKNOWN, _MISREAD = "I do not know.", "The text does not say so clearly."


@dataclass(frozen=True, slots=True)
class Fact:
    """One question with its answer, and four passages: two that hold it, two about another town.

    Attributes:
        id: of the question.
        topic: what of a town it asks for, e.g. "founded".
        question: its text.
        answer: a number.
        passages: "prose", "table", "other prose" and "other table", in this order.
    """

    id: str
    topic: str
    question: str
    answer: str
    passages: tuple[Passage, ...]

    def passage(self, form: Form) -> Passage:
        """The one that holds the answer in this form."""
        return self.passages[get_args(Form).index(form)]


def world(questions: int, *, seed: int = 0) -> list[Fact]:
    """Return a made world with so many questions, no two of one town alike."""
    rng = np.random.default_rng(seed)
    towns: list[str] = []
    while len(towns) < questions:
        name = "".join(rng.choice(part) for part in (_ONSETS, _NUCLEI, _CODAS, _ENDS)).capitalize()
        if name not in towns:
            towns.append(name)
    values = rng.permutation(np.arange(1000, 1000 + 2 * questions)).astype(str)
    return [_fact(i, towns, values.tolist(), rng) for i in range(questions)]


def _fact(place: int, towns: Sequence[str], values: Sequence[str], rng: np.random.Generator) -> Fact:
    name, question, statement = _ATTRIBUTES[place % len(_ATTRIBUTES)]
    town, other = towns[place], towns[(place + 1) % len(towns)]
    told = [(town, values[place]), (other, values[len(towns) + place])]
    texts = []
    for subject, value in told:
        texts += [
            _shuffled([statement.format(town=subject, value=value), *_PROSE], rng, joint=" "),
            _shuffled([f"| {subject} | {name} | {value} |", *_ROWS], rng, joint="\n"),
        ]
    kinds = ("prose", "table", "other prose", "other table")
    passages = [
        Passage(id=f"{place}-{kind.replace(' ', '-')}", text=text, metadata={"kind": kind})
        for kind, text in zip(kinds, texts, strict=True)
    ]
    return Fact(f"q{place}", name, question.format(town=town), values[place], tuple(passages))


def _shuffled(parts: list[str], rng: np.random.Generator, *, joint: str) -> str:
    return joint.join(parts[i] for i in rng.permutation(len(parts)))


class SimulatedReader:
    """Answers from passages of one form, misreads the other, and knows some answers by itself; a `Generator`.

    Args:
        form: "prose" or "table".
        facts: the world it can be asked about; what is not in it, it does not know.
        knows: share of the answers it gives without a passage, drawn by question.
        topics: where not None, it knows exactly the answers about these instead, e.g. "founded".

    Raises:
        UnknownNameError: there is no such form.
    """

    def __init__(
        self, form: Form, facts: Sequence[Fact], *, knows: float = 0.4, topics: Sequence[str] | None = None
    ) -> None:
        if form not in get_args(Form):
            raise UnknownNameError(f"no reader of {form!r}", hint=f"one of {', '.join(get_args(Form))}")
        self.form, self.knows, self.topics = form, knows, topics
        self._facts = {fact.question: fact for fact in facts}

    @property
    def id(self) -> str:
        """Of this reader, for examples and cards."""
        return f"simulated-{self.form}"

    def __call__(self, question: str, passages: Sequence[Passage], /) -> str:
        """Return its answer to the question, given the passages."""
        fact = self._facts.get(question)
        if fact is None:
            return _UNKNOWN
        holding = [passage.text for passage in passages if fact.answer in passage.text]
        if any(_form_of(text) == self.form for text in holding):
            return f"It is {fact.answer}."
        if holding:
            return _MISREAD
        return f"It is {fact.answer}." if self._known(fact) else _UNKNOWN

    def examples(self) -> list[PreferenceExample]:
        """Return what probing it on its world gives: every passage of every question, ranked by chance."""
        found = []
        for fact in self._facts.values():
            alone = fact.answer in self(fact.question, [])
            ranks = np.random.default_rng(int(_digest(fact.id)[:8], 16)).permutation(len(fact.passages)) + 1
            for passage, rank in zip(fact.passages, ranks.tolist(), strict=True):
                right = fact.answer in self(fact.question, [passage])
                found.append(
                    PreferenceExample(
                        query_id=fact.id,
                        query=fact.question,
                        passage_id=passage.id,
                        passage=passage.text,
                        category=_category(alone=alone, right=right),
                        gain=float(right) - float(alone),
                        reader=self.id,
                        rank=rank,
                        # Questions of a template share all words but the town's name.
                        cluster=fact.id,
                    )
                )
        return found

    def _known(self, fact: Fact) -> bool:
        if self.topics is not None:
            return fact.topic in self.topics
        return int(_digest(fact.id)[:8], 16) / 16**8 < self.knows


def preference_for(form: Form, scorer: PairScorer, facts: Sequence[Fact]) -> float:
    """Return the share of questions whose passage of this form is scored above that of the other, ties half."""
    mine = scorer.score_pairs([(f.question, f.passage(form).text) for f in facts])
    others = get_args(Form)[1 - get_args(Form).index(form)]
    theirs = scorer.score_pairs([(f.question, f.passage(others).text) for f in facts])
    return float(np.mean((mine > theirs) + 0.5 * (mine == theirs)))


def _category(*, alone: bool, right: bool) -> Category:
    if alone:
        return "both_correct" if right else "unaligned"
    return "aligned" if right else "both_wrong"


def _form_of(text: str) -> Form:
    return "table" if text.startswith("|") else "prose"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
