"""The demo's hand-written questions about the standard library, split once for all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files

import numpy as np

from ragguard.corpus.documents import Document
from ragguard.corpus.overlap import overlap
from ragguard.corpus.questions import Question, load_questions

MOST_OVERLAP = 0.4
"""The most a question may share of its content words with a document that answers it."""

_CALIBRATION_SHARE = 0.69


@dataclass(frozen=True)
class DemoQuestions:
    """The demo's question set.

    Attributes:
        calibration, held_out: answerable and unanswerable questions, split by a hash of the id.
        left_out: ids of questions whose documents this Python lacks, or words otherwise.
        mean_overlap, largest_overlap: shares of content words repeated from the documents.
    """

    calibration: list[Question]
    held_out: list[Question]
    left_out: list[str]
    mean_overlap: float
    largest_overlap: float


def demo_questions(documents: Sequence[Document]) -> DemoQuestions:
    """Return the questions that these documents answer, validated before they are split.

    A question stays when every document it names exists, one of them holds its answer
    word for word, and none repeats more than 40 % of its content words.
    """
    texts = {d.id: d.text for d in documents}
    usable, left_out, shares = [], [], []
    for question in _all():
        own = [overlap(question.question, texts[r]) for r in question.relevant or () if r in texts]
        if _fits(question, texts) and all(share <= MOST_OVERLAP for share in own):
            usable.append(question)
            shares += own
        else:
            left_out.append(question.id)
    calibration, held_out = _split(usable)
    return DemoQuestions(calibration, held_out, left_out, float(np.mean(shares)), float(np.max(shares)))


def _all() -> list[Question]:
    folder = files("ragguard.corpus") / "data"
    names = sorted(f.name for f in folder.iterdir() if f.name.endswith("questions.jsonl"))
    found = []
    for name in names:
        with as_file(folder / name) as path:
            found += load_questions(path)
    return found


def _fits(question: Question, texts: dict[str, str]) -> bool:
    relevant = question.relevant or ()
    if not relevant:
        return True
    return all(r in texts for r in relevant) and any((question.answer or "\0") in texts[r] for r in relevant)


def _split(questions: Sequence[Question]) -> tuple[list[Question], list[Question]]:
    """Split each kind by a hash of the id: the same on every machine, and blind to the texts."""
    calibration: list[Question] = []
    held_out: list[Question] = []
    for kind in (True, False):
        part = sorted((q for q in questions if bool(q.relevant) is kind), key=_hash)
        cut = round(_CALIBRATION_SHARE * len(part))
        calibration += part[:cut]
        held_out += part[cut:]
    return calibration, held_out


def _hash(question: Question) -> str:
    return hashlib.sha256(f"demo split:{question.id}".encode()).hexdigest()
