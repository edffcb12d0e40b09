"""Examples from questions: whether "question answer" holds, and whether a passage is about a question."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ragguard.alignment.training.edits import names_of
from ragguard.alignment.training.examples import Example, two_way
from ragguard.alignment.training.made import usable_sentences
from ragguard.alignment.training.sources import read_text, training_half

_DEFINED = re.compile(
    r"^((?:The )?[A-Z][\w'’.-]*(?: (?:of|the|de|von|van|and|[A-Z][\w'’.-]*))*) "
    r"((?:is|was|are|were|became|won|wrote|founded|directed|played|served|developed|produced|released)\b[^;:]{12,160})\.$"
)

_PRONOUNS = frozenset(
    "He She It They We I You This That These Those There His Her Its Their Who What".split()
)


def squad_examples(path: Path, rng: random.Random) -> list[Example]:
    """Return question-answer claims and relevance pairs from the training half of SQuAD 2.0.

    An answer given and true is aligned; the plausible answer of a question that
    cannot be answered, and the answer to another question of the same kind, are not.
    """
    found: list[Example] = []
    for article in json.loads(read_text(path))["data"]:
        if training_half(article["title"]):
            contexts = [paragraph["context"] for paragraph in article["paragraphs"]]
            for place, paragraph in enumerate(article["paragraphs"]):
                found += _answered(paragraph, rng)
                found += _relevant(paragraph, contexts[:place] + contexts[place + 1 :], rng)
    return found


def _answered(paragraph: dict[str, Any], rng: random.Random) -> Iterator[Example]:
    context = paragraph["context"]
    answers = [(q["question"], q["answers"][0]["text"]) for q in paragraph["qas"] if q["answers"]]
    for one in paragraph["qas"]:
        question = one["question"].strip()
        if one["answers"]:
            right = one["answers"][0]["text"]
            yield two_way(context, f"{question} {right}", aligned=True, origin="squad: answer")
            wrong = _other_answer(question, right, answers, rng)
            if wrong is not None:
                yield two_way(context, f"{question} {wrong}", aligned=False, origin="squad: other answer")
        elif one.get("plausible_answers"):
            text = one["plausible_answers"][0]["text"]
            yield two_way(context, f"{question} {text}", aligned=False, origin="squad: no answer")


def _other_answer(
    question: str, right: str, answers: Sequence[tuple[str, str]], rng: random.Random
) -> str | None:
    asked = question.split(" ", 1)[0].lower()
    fit = [a for q, a in answers if a not in right and right not in a and q.lower().startswith(asked)]
    return rng.choice(fit) if fit else None


def _relevant(paragraph: dict[str, Any], others: Sequence[str], rng: random.Random) -> Iterator[Example]:
    for one in paragraph["qas"]:
        if one["answers"] and rng.random() < 0.6:
            question = one["question"].strip()
            yield Example(paragraph["context"], question, 1, origin="squad: relevant")
            if others:
                hard = max(rng.sample(list(others), min(8, len(others))), key=lambda p: _shared(question, p))
                yield Example(hard, question, 0, origin="squad: other passage")


def _shared(question: str, passage: str) -> float:
    words = set(re.findall(r"\w{4,}", question.lower()))
    return len(words & set(re.findall(r"\w{4,}", passage.lower()))) / max(1, len(words))


def asked_examples(passage: str, rng: random.Random, *, names: Sequence[str]) -> Iterator[Example]:
    """Yield question-answer claims and relevance pairs made from defining sentences of a passage."""
    for sentence in usable_sentences(passage)[:6]:
        found = _DEFINED.match(sentence)
        if found is None or rng.random() < 0.4:
            continue
        subject, rest = found.groups()
        if subject in _PRONOUNS:
            continue
        question = f"{rng.choice(['Who', 'What', 'Who or what'])} {rest}?"
        yield two_way(passage, f"{question} {subject}", aligned=True, origin="made: question")
        here = [n for n in names_of(passage) if n not in subject and subject not in n and n not in rest]
        choices = here if here and rng.random() < 0.6 else list(names)
        if choices:
            other = rng.choice(choices)
            if other not in subject:
                yield two_way(passage, f"{question} {other}", aligned=False, origin="made: question, other")
        yield Example(passage, question, 1, origin="made: relevant")
        without = passage.replace(sentence, "").strip()
        if without and subject not in without:
            yield Example(without, question, 0, origin="made: not relevant")


def read_trecqa(data: Path, _rng: random.Random) -> list[Example]:
    """TREC QA train: whether a sentence answers a question."""
    text = read_text(data / "retrieval/trecqa/train.csv")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    return [Example(row["atext"], row["qtext"], int(row["label"]), origin="trecqa") for row in rows]


def read_policyqa(data: Path, rng: random.Random) -> list[Example]:
    """PolicyQA: whether a segment of a privacy policy is about a question; the others are of the same policy."""
    text = read_text(data / "retrieval/policyqa/dev.json")
    found: list[Example] = []
    for policy in json.loads(text)["data"]:
        segments = policy["paragraphs"]
        for segment in segments:
            for one in segment["qas"]:
                found.append(Example(segment["context"], one["question"], 1, origin="policyqa"))
                asked = {q["question"] for q in segment["qas"]}
                fit = [s["context"] for s in segments if not asked & {q["question"] for q in s["qas"]}]
                if fit:
                    found.append(
                        Example(rng.choice(fit), one["question"], 0, origin="policyqa: other segment")
                    )
    return found
