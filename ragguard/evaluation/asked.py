"""Question sets in the shapes a caller has them, against the passages where these are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import ValidationError

from ragguard import protocols
from ragguard.corpus.folder import CorpusFolder
from ragguard.corpus.questions import Question, ResolvedQuestion, Scope, load_questions, resolve
from ragguard.corpus.retrievers import IndexRetriever
from ragguard.errors import QuestionSetError

Questions: TypeAlias = str | Path | Sequence[Question | Mapping[str, Any]]


def as_questions(questions: Questions) -> list[Question]:
    """Return questions from a JSONL path, mappings, or questions.

    Raises:
        QuestionSetError: one is malformed, or an id occurs twice.
    """
    if isinstance(questions, str | Path):
        return load_questions(questions)
    found = [q if isinstance(q, Question) else _question(q, place) for place, q in enumerate(questions)]
    repeated = [name for name, times in Counter(q.id for q in found).items() if times > 1]
    if repeated:
        raise QuestionSetError(f"{repeated[:10]} are ids of several questions", hint="rename all but one")
    return found


def resolved(
    questions: Sequence[Question],
    retriever: protocols.Retriever,
    corpus: CorpusFolder | None = None,
    *,
    scope: Scope = "passage",
) -> list[ResolvedQuestion]:
    """Return the questions with relevant ids resolved, see `ragguard.corpus.questions.resolve`.

    Where neither a corpus nor an `IndexRetriever` tells what is searched, ids are taken as given.

    Raises:
        QuestionSetError: a question has no `relevant`, or names what is not there.
    """
    if corpus is not None:
        return resolve(questions, corpus.index, scope=scope)
    if isinstance(retriever, IndexRetriever):
        return resolve(questions, retriever.index, scope=scope)
    return unresolved(questions)


def unresolved(questions: Sequence[Question]) -> list[ResolvedQuestion]:
    """Return the questions for a retriever whose passages are not known here: ids are taken as given.

    Raises:
        QuestionSetError: a question has no `relevant`.
    """
    lacking = [q.id for q in questions if q.relevant is None]
    if lacking:
        raise QuestionSetError(f"{lacking[:10]} have no `relevant`", hint="[] for none")
    return [
        ResolvedQuestion(
            id=q.id,
            text=q.question,
            relevant=tuple(dict.fromkeys(q.relevant or ())),
            group=q.group,
            provenance=q.provenance,
            answer=q.answer,
            fields=dict(q.fields),
        )
        for q in questions
    ]


def _question(given: Mapping[str, Any], place: int) -> Question:
    try:
        return Question.model_validate(dict(given))
    except (ValidationError, TypeError, ValueError) as error:
        # Field names alone: the values may be what a user typed.
        problems = error.errors() if isinstance(error, ValidationError) else []
        fields = sorted({".".join(map(str, p["loc"][:1])) or "question" for p in problems})
        raise QuestionSetError(
            f"question {place} of the list: cannot use {', '.join(fields) or type(given).__name__}",
            hint='e.g. {"id": "q1", "question": "...", "relevant": ["p1"]}',
        ) from None
