"""More questions from few: five strategies through a language model, or rephrasing by rules.

Off by default; nothing calls it unasked. What comes out stays in the split and
cluster of its source, or a test question would be met in training. Where the
answer set changes (decomposition, constraint), labels are not inherited: the
question is marked `needs_probe`.

Contradictory questions are dropped by an aligner. It is shown statements, since it
was trained on those: the source with its answer as the premise, the new question
with its answer as the claim. That is outside what aligners are measured on, so only
a finding of "contradicted" drops a question, a neutral one keeps it, and SPARQL,
which is no language, is checked for its form alone. Check a sample by hand.

References:
    Dong, Zhu, Zhang, Wang, Wen and Dou (2025): the five strategies, and a filter by
    natural language inference that drops contradictions. The prompts are ours.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from ragguard.corpus.replies import Fault, ReplyError, parse_reply, reply_text
from ragguard.errors import ConfigurationError, GenerationError, RagGuardError, UnknownNameError
from ragguard.preference.answer_words import answer_words
from ragguard.preference.augment_prompts import (
    SCHEMAS,
    STRATEGIES,
    OneReply,
    PartsReply,
    QueryReply,
    Strategy,
    augment_prompt,
)
from ragguard.preference.correct import is_correct
from ragguard.preference.records import ProbeQuestion
from ragguard.preference.rephrase import rephrasings
from ragguard.protocols import Aligner, Progress
from ragguard.types import Claim, Passage, Span

_CHANGES_ANSWERS: frozenset[Strategy] = frozenset({"decomposition", "constraint"})
_ATTEMPTS = 2
_SPARQL = re.compile(r"^(?:PREFIX\s+\S+\s+<[^>]*>\s*)*(?:SELECT|ASK)\b.*\{.*\}", re.IGNORECASE | re.DOTALL)


class AugmentedQuestion(ProbeQuestion):
    """A question made from another.

    Attributes:
        source: id of the question it was made from, whose cluster and split it has.
        strategy: how.
        needs_probe: the source's labels do not hold for it: answer it with the reader anew.
        by: "llm" or "rules".
    """

    answers: tuple[str, ...] = Field(default=())
    source: str
    strategy: Strategy
    needs_probe: bool = False
    by: str = "rules"

    def to_probe(self) -> ProbeQuestion | None:
        """Return it as a question to probe, or None where its answer is not known."""
        if not self.answers:
            return None
        fields = {name: getattr(self, name) for name in ProbeQuestion.model_fields}
        return ProbeQuestion(**fields)


@dataclass(frozen=True)
class Augmentation:
    """What came of a set of questions.

    Attributes:
        questions: made, in the order of their sources.
        dropped: how many were not kept, by cause: a fault of the reply, "duplicate",
            "gives_answer_away", "contradicted".
        calls: to the language model.
    """

    questions: list[AugmentedQuestion]
    dropped: Mapping[str, int]
    calls: int


def augment(
    questions: Sequence[ProbeQuestion],
    llm: Any = None,
    *,
    strategies: Sequence[Strategy] = ("rephrase",),
    aligner: Aligner | None = None,
    evidence: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Augmentation:
    """Return new questions made from these.

    Args:
        questions: the sources.
        llm: `str -> str`, or an object with `.invoke`; None rephrases by rules.
        strategies: which to use; without a language model "rephrase" alone.
        aligner: drops what contradicts its source; None keeps it.
        evidence: by question id, text in which a smaller question's answer must stand
            for it to be believed; without, smaller questions have no known answer.
        progress: called as progress("augmenting", done, total).

    Raises:
        UnknownNameError: there is no such strategy.
        ConfigurationError: a strategy needs a language model.
        GenerationError: the language model failed.
    """
    _require_strategies(strategies, llm)
    work = _Work(llm, aligner, dict(evidence or {}))
    for done, question in enumerate(questions):
        if progress is not None:
            progress("augmenting", done, len(questions))
        for strategy in dict.fromkeys(strategies):
            work.make(question, strategy)
    if progress is not None:
        progress("augmenting", len(questions), len(questions))
    return Augmentation(work.made, dict(work.dropped), work.calls)


class _Work:
    def __init__(self, llm: Any, aligner: Aligner | None, evidence: Mapping[str, str]) -> None:
        self._ask = None if llm is None else _callable(llm)
        self._aligner, self._evidence = aligner, evidence
        self.made: list[AugmentedQuestion] = []
        self.dropped: Counter[str] = Counter()
        self.calls = 0
        self._seen: set[tuple[str, ...]] = set()

    def make(self, source: ProbeQuestion, strategy: Strategy) -> None:
        self._seen.add(tuple(answer_words(source.text)))
        found = self._by_rules(source) if self._ask is None else self._by_model(source, strategy)
        for number, (text, answers) in enumerate(found):
            one = AugmentedQuestion(
                id=f"{source.id}~{strategy}-{number}",
                text=text,
                answers=answers,
                gold_passages=source.gold_passages,
                # Without a cluster of its own a source is its own cluster: its variants belong to it.
                cluster=source.cluster or source.id,
                split=source.split,
                source=source.id,
                strategy=strategy,
                needs_probe=strategy in _CHANGES_ANSWERS,
                by="rules" if self._ask is None else "llm",
            )
            cause = self._fault(source, one)
            if cause is None:
                self.made.append(one)
            else:
                self.dropped[cause] += 1

    def _by_rules(self, source: ProbeQuestion) -> list[tuple[str, tuple[str, ...]]]:
        return [(text, source.answers) for text in rephrasings(source.text)]

    def _by_model(self, source: ProbeQuestion, strategy: Strategy) -> list[tuple[str, tuple[str, ...]]]:
        fault: Fault | None = None
        for _ in range(_ATTEMPTS):
            prompt = augment_prompt(strategy, source.text, source.answers[0], fault=fault)
            try:
                return list(self._read(self._reply(prompt), source, strategy))
            except ReplyError as error:
                fault = error.fault
        self.dropped[fault.value if fault is not None else Fault.NO_JSON.value] += 1
        return []

    def _reply(self, prompt: str) -> str:
        if self._ask is None:
            raise ConfigurationError("a language model is needed")
        self.calls += 1
        try:
            return reply_text(self._ask(prompt))
        except RagGuardError:
            raise
        except Exception as error:
            raise GenerationError(f"the language model failed with {type(error).__name__}") from error

    def _read(
        self, reply: str, source: ProbeQuestion, strategy: Strategy
    ) -> Iterator[tuple[str, tuple[str, ...]]]:
        found = parse_reply(reply, SCHEMAS[strategy])
        if isinstance(found, PartsReply):
            text = self._evidence.get(source.id, "")
            for part in found.questions:
                stands = bool(text and answer_words(part.answer)) and is_correct(text, [part.answer])
                yield part.question, (part.answer,) if stands else ()
        elif isinstance(found, QueryReply):
            if not _SPARQL.match(found.query) or found.query.count("{") != found.query.count("}"):
                raise ReplyError(Fault.WRONG_SHAPE)
            yield " ".join(found.query.split()), source.answers
        elif isinstance(found, OneReply):
            yield " ".join(found.question.split()), source.answers

    def _fault(self, source: ProbeQuestion, one: AugmentedQuestion) -> str | None:
        words = tuple(answer_words(one.text))
        if words in self._seen:
            return "duplicate"
        self._seen.add(words)
        if _gives_away(one.text, source):
            return "gives_answer_away"
        return "contradicted" if self._contradicts(source, one) else None

    def _contradicts(self, source: ProbeQuestion, one: AugmentedQuestion) -> bool:
        if self._aligner is None or one.strategy == "sparql" or not one.answers:
            return False
        text = f"{one.text} {one.answers[0]}"
        premise = Passage(id=source.id, text=f"{source.text} {source.answers[0]}")
        claim = Claim(text=text, span=Span(start=0, end=len(text)))
        return self._aligner.align([claim], [premise])[0].outcome == "contradicted"


def _gives_away(text: str, source: ProbeQuestion) -> bool:
    """Whether a new question names the answer where its source did not."""
    return any(
        is_correct(text, [gold]) and not is_correct(source.text, [gold])
        for gold in source.answers
        if answer_words(gold)
    )


def _callable(llm: Any) -> Callable[[str], Any]:
    if hasattr(llm, "invoke"):
        invoke: Callable[[str], Any] = llm.invoke
        return invoke
    if not callable(llm):
        raise ConfigurationError(
            f"a {type(llm).__name__} is no language model", hint="pass f(prompt) -> text"
        )
    call: Callable[[str], Any] = llm
    return call


def _require_strategies(strategies: Sequence[Strategy], llm: Any) -> None:
    unknown = [name for name in strategies if name not in STRATEGIES]
    if unknown:
        raise UnknownNameError(f"unknown strategy {unknown[0]!r}", hint=f"use {', '.join(STRATEGIES)}")
    if llm is None and any(name != "rephrase" for name in strategies):
        raise ConfigurationError(
            "only rephrasing works without a language model", hint="give one, or use strategies=('rephrase',)"
        )
