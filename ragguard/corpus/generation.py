"""Writing a question set with a language model, for corpora that nobody wrote questions for.

A question written from the passage it asks about repeats its words, and makes any
retriever look better than it is. So every question says that it is synthetic, who
wrote it, from which passage, and how much of its wording the passage holds.

References:
    Rouzrokh et al. 2024, "CONFLARE: CONFormal LArge language model REtrieval".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ragguard.corpus.generation_record import GenerationRecord, GenerationReport, Stopped
from ragguard.corpus.question_prompts import PROMPT_HASH
from ragguard.corpus.question_writer import CALLS_AN_ATTEMPT, LanguageModel, QuestionWriter, Written
from ragguard.corpus.questions import Question
from ragguard.errors import DuplicateIdError, EmptyCorpusError, GenerationError, InvalidValueError
from ragguard.protocols import Progress
from ragguard.types import Passage

__all__ = ["GenerationReport", "generate_questions"]

_LONGEST_NAME = 100


def generate_questions(
    passages: Sequence[Passage],
    llm: LanguageModel,
    *,
    count: int,
    path: str | Path,
    seed: int = 0,
    languages: Sequence[str] | None = None,
    max_attempts: int = 3,
    max_overlap: float = 0.8,
    checker: LanguageModel | None = None,
    generator: str | None = None,
    budget: int | None = None,
    progress: Progress | None = None,
) -> GenerationReport:
    """Write up to `count` questions to `path`, each on disk before the next is asked for.

    Passages are drawn at random without replacement; those of one text, white space
    aside, are drawn once and are all relevant. The model is asked for a question and
    the words of the passage that answer it; these must stand there, and a second
    reader must find the same answer.

    A run that was killed, interrupted or out of budget goes on where it stopped when
    called again with the same arguments; `count` and `budget` may then differ. What
    was tried is in `<path>.state.jsonl`. One process may write to a path at a time.

    Args:
        llm: from a prompt to a reply: a callable, or a runnable with `invoke`.
        languages: names of languages, one drawn for each question; None asks in
            that of the passage.
        max_attempts: questions asked for of one passage before it is given up.
        max_overlap: the largest share in (0, 1] of a question's content words that
            its passage may repeat. People who wrote from the passage repeat 0.77 of
            theirs on average (SQuAD 2.0).
        checker: the second reader; None means `llm`.
        generator: the model's name, recorded; None takes its own.
        budget: most calls to either model in this run, at least 2; None: no limit.
        progress: told ("questions", done, count).

    Raises:
        InvalidValueError: an argument is out of its range, or `path` holds what
            other arguments, or something else, wrote.
        EmptyCorpusError: no passage holds text.
        DuplicateIdError: two passages have one id.
        DataError: a file of an earlier run was altered.
        GenerationError: the model itself failed, or not one question came out;
            `details` then counts the faults.
    """
    _require_numbers(count, seed, max_attempts, max_overlap, budget)
    _require_languages(languages)
    writer = QuestionWriter(llm, checker, max_attempts=max_attempts, max_overlap=max_overlap, seed=seed)
    groups = _of_one_text(passages)
    facts = {
        "generator": _name(llm, generator),
        "checker": _name(llm, generator) if checker is None else _name(checker),
        "prompt": PROMPT_HASH,
        "max_overlap": float(max_overlap),
        "seed": seed,
    }
    settings = {
        **facts,
        "languages": None if languages is None else list(languages),
        "max_attempts": max_attempts,
        "passages": _digest([(one.id, one.text) for group in groups for one in group]),
    }
    record = GenerationRecord(Path(path), settings)
    before = len(record.questions)
    drawn = _drawn(groups, languages, seed)
    stopped, calls = _fill(record, writer, drawn, facts, count=count, budget=budget, progress=progress)
    if not record.questions:
        raise GenerationError(
            f"no question came out of {len(record)} passages",
            hint="raise the budget, or use a stronger model"
            if stopped == "budget"
            else "use a stronger model",
            details={"failed": record.failed, "faults": record.faults, "calls": calls},
        )
    return record.report(facts, written=len(record.questions) - before, calls=calls, stopped=stopped)


def _fill(
    record: GenerationRecord,
    writer: QuestionWriter,
    drawn: Iterator[tuple[Sequence[Passage], str | None]],
    facts: Mapping[str, Any],
    *,
    count: int,
    budget: int | None,
    progress: Progress | None,
) -> tuple[Stopped, int]:
    """Try passages until one of the three reasons to stop; return it and the calls made."""
    calls = 0
    for question in record.questions:
        writer.remember(question.question)
    for group, language in drawn:
        if progress is not None:
            progress("questions", min(len(record.questions), count), count)
        if len(record.questions) >= count:
            return "count", calls
        source = group[0]
        if source.id in record:
            continue
        left = None if budget is None else budget - calls
        outcome = writer.write(source.text, language=language, calls=left)
        calls += outcome.calls
        if outcome.spent:
            return "budget", calls
        if outcome.written is None:
            record.give_up(source.id, outcome)
        else:
            more = {"language": language, "attempts": len(outcome.faults) + 1}
            record.keep(_question(group, outcome.written, {**facts, **more}), source.id, outcome)
            writer.remember(outcome.written.question)
    if progress is not None:
        progress("questions", min(len(record.questions), count), count)
    return ("count" if len(record.questions) >= count else "passages"), calls


def _question(group: Sequence[Passage], written: Written, facts: Mapping[str, Any]) -> Question:
    source, span = group[0], written.span
    shift = source.span.start if source.span else 0
    name = _digest([source.id, source.text, facts["seed"], facts["generator"], facts["prompt"]])
    return Question(
        id=f"synthetic-{name[:12]}",
        question=written.question,
        relevant=tuple(passage.id for passage in group),
        answer=source.text[span.start : span.end],
        offsets=((shift + span.start, shift + span.end),),
        provenance="synthetic",
        fields={
            **facts,
            "passage": source.id,
            "document": source.document,
            "answer_span": [span.start, span.end],
            "overlap": round(written.overlap, 4),
        },
    )


def _of_one_text(passages: Sequence[Passage]) -> list[list[Passage]]:
    """Passages with text, those of one text together, in the order of their first."""
    groups: dict[str, list[Passage]] = {}
    seen: set[str] = set()
    for passage in passages:
        if passage.id in seen:
            raise DuplicateIdError(f"two passages have the id {passage.id!r}", hint="rename one")
        seen.add(passage.id)
        if passage.text.strip():
            groups.setdefault(" ".join(passage.text.split()), []).append(passage)
    if not groups:
        raise EmptyCorpusError("no passage holds text", hint="load a corpus first")
    return list(groups.values())


def _drawn(
    groups: Sequence[Sequence[Passage]], languages: Sequence[str] | None, seed: int
) -> Iterator[tuple[Sequence[Passage], str | None]]:
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(groups))
    spoken = rng.integers(len(languages), size=len(groups)) if languages else order
    for at, language in zip(order, spoken, strict=True):
        yield groups[at], languages[language] if languages else None


def _name(model: LanguageModel, given: str | None = None) -> str:
    """The given name, or the model's own, or that of its class; never a repr, which may hold a key."""
    named = [given, *(getattr(model, key, None) for key in ("model_name", "model", "name", "__name__"))]
    found = next((one for one in named if isinstance(one, str) and one.strip()), type(model).__name__)
    return found.strip()[:_LONGEST_NAME]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _require_numbers(
    count: int, seed: int, max_attempts: int, max_overlap: float, budget: int | None
) -> None:
    least: dict[str, tuple[object, int]] = {
        "count": (count, 1),
        "seed": (seed, 0),
        "max_attempts": (max_attempts, 1),
    }
    if budget is not None:
        least["budget"] = (budget, CALLS_AN_ATTEMPT)
    for name, (value, bound) in least.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < bound:
            raise InvalidValueError(f"{name} is {value!r}", hint=f"a whole number, {bound} or more")
    if not 0.0 < max_overlap <= 1.0:
        raise InvalidValueError(f"max_overlap is {max_overlap}", hint="above 0, at most 1")


def _require_languages(languages: Sequence[str] | None) -> None:
    if languages is None:
        return
    names: Sequence[object] = languages
    if isinstance(languages, str) or not names:
        raise InvalidValueError("languages must be a list of names", hint='e.g. ["English", "German"]')
    # They become part of an instruction.
    usable = (isinstance(n, str) and 0 < len(n.strip()) <= 40 and n.isprintable() for n in names)
    if not all(usable):
        raise InvalidValueError("a language has no usable name", hint="one line of at most 40 characters")
