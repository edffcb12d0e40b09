"""Question sets: what is asked, and which passages answer it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ragguard.corpus.jsonl import read_json_lines
from ragguard.corpus.locate import Passages, PassageTable
from ragguard.errors import QuestionSetError, UnknownPassageError, UnlocatedAnswerError

Scope: TypeAlias = Literal["passage", "document"]

_OWN = ("id", "question", "relevant", "group", "answer", "offsets", "provenance")
_NAMED = 10


class Question(BaseModel):
    """One question of a calibration or test set.

    Attributes:
        id: unique in its set.
        question: as a user would ask it.
        relevant: ids of the passages or documents that answer it; () when none
            does; None when nobody said.
        group: for guarantees by group.
        answer: words of the document that answer; they find the passage of a
            document that was split.
        offsets: instead of `answer`, (start, end) ranges in the document's text.
        provenance: who wrote it.
        fields: every further field of its line; `field` looks any up by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    question: str = Field(min_length=1)
    relevant: tuple[str, ...] | None = None
    group: str | None = None
    answer: str | None = None
    offsets: tuple[tuple[int, int], ...] | None = None
    provenance: Literal["human", "synthetic"] = "human"
    fields: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_line(cls, data: Any) -> Any:
        """Move unknown keys to `fields`; take whole numbers as ids and one pair as offsets."""
        if not isinstance(data, Mapping):
            return data
        known = {key: data[key] for key in _OWN if key in data}
        extra = {key: value for key, value in data.items() if key not in (*_OWN, "fields")}
        for key in ("id", "group"):
            known[key] = _digits(known.get(key))
        if isinstance(known.get("relevant"), list | tuple):
            known["relevant"] = tuple(_digits(one) for one in known["relevant"])
        offsets = known.get("offsets")
        if isinstance(offsets, list | tuple) and len(offsets) == 2 and _are_ints(offsets):
            known["offsets"] = (offsets,)
        return {**known, "fields": {**(data.get("fields") or {}), **extra}}

    @model_validator(mode="after")
    def _usable(self) -> Question:
        if not self.question.strip() or not self.id.strip():
            raise ValueError("id and question must hold text")
        if any(not 0 <= start < end for start, end in self.offsets or ()):
            raise ValueError("offsets must be ranges [start, end] with start < end")
        return self

    def field(self, name: str) -> Any:
        """Return a field by name, further fields included, or None."""
        return getattr(self, name) if name in _OWN else self.fields.get(name)


class ResolvedQuestion(BaseModel):
    """A question whose relevant ids are ids of indexed passages.

    Attributes:
        relevant: canonical passage ids without repeats; () means unanswerable.
        fields: the question's further fields, and `answer` where it has one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    text: str
    relevant: tuple[str, ...]
    group: str | None = None
    provenance: Literal["human", "synthetic"] = "human"
    answer: str | None = None
    fields: Mapping[str, Any] = Field(default_factory=dict)

    def field(self, name: str) -> Any:
        """Return a field by name, further fields included, or None; "question" is the text."""
        own = {"id": self.id, "question": self.text, "group": self.group, "provenance": self.provenance}
        return own[name] if name in own else self.fields.get(name)


def load_questions(path: str | Path) -> list[Question]:
    """Return the questions of a JSONL file, in order.

    Raises:
        QuestionSetError: a line is malformed, an id occurs twice, or there is no
            question; file and line are named.
        UnreadableFileError: the file is missing, or not UTF-8.
    """
    path = Path(path)
    questions: list[Question] = []
    seen: dict[str, int] = {}
    for number, record in read_json_lines(path, error=QuestionSetError):
        where = f"{path.name}, line {number}"
        question = _question(record, where)
        if question.id in seen:
            raise QuestionSetError(
                f"{where}: id {question.id!r} was used on line {seen[question.id]}", hint="rename one"
            )
        seen[question.id] = number
        questions.append(question)
    if not questions:
        raise QuestionSetError(f"{path.name} holds no questions", hint="one JSON object a line")
    return questions


def write_questions(path: str | Path, questions: Iterable[Question]) -> None:
    """Write the questions as JSONL that `load_questions` reads back as they are."""
    lines = []
    for question in questions:
        own = question.model_dump(mode="json", exclude={"fields"}, exclude_none=True)
        lines.append(json.dumps({**own, **question.fields}, ensure_ascii=False) + "\n")
    Path(path).write_text("".join(lines), encoding="utf-8")


def resolve(
    questions: Sequence[Question], passages: Passages, *, scope: Scope = "passage"
) -> list[ResolvedQuestion]:
    """Return the questions with `relevant` as ids of searched passages, in order.

    An id of a passage stands for itself, an id left out as a duplicate for its
    canonical passage. The id of a document that was split stands for the passages
    that hold the whole answer (found by `answer`, white space aside, or `offsets`),
    or where none does, for those that overlap it most.

    Args:
        questions: each with `relevant`.
        passages: an index, or passages.
        scope: "document" lets every passage of a split document count.

    Raises:
        QuestionSetError: a question has no `relevant`.
        UnknownPassageError: an id is neither a passage nor a document; up to 10 are named.
        UnlocatedAnswerError: a document was split and nothing says where; questions are named.
    """
    table = PassageTable(passages)
    _refuse(
        QuestionSetError, [q.id for q in questions if q.relevant is None], "have no `relevant`", "[] for none"
    )
    unknown = {name: None for q in questions for name in q.relevant or () if name not in table}
    _refuse(UnknownPassageError, list(unknown), "are neither passages nor documents", "check the ids")
    resolved: list[ResolvedQuestion] = []
    lost: list[str] = []
    for question in questions:
        found = [_passages(question, name, table, scope) for name in question.relevant or ()]
        if not all(found):
            lost.append(question.id)
        resolved.append(_resolved(question, [one for names in found for one in names]))
    _refuse(
        UnlocatedAnswerError,
        lost,
        "name a document that was split, and neither `answer` nor `offsets` locates the passage",
        "add one of them, name the passage, or use scope 'document'",
    )
    return resolved


def _passages(question: Question, name: str, table: PassageTable, scope: Scope) -> list[str]:
    """The searched passages that one relevant id stands for; empty when they cannot be told."""
    if table.is_passage(name):
        return [table.canonical(name)]
    parts = table.parts(name)
    if scope == "document" or len(parts) == 1:
        return [table.canonical(part.id) for part in parts]
    if question.offsets is not None:
        ranges = list(question.offsets)
    else:
        ranges = table.find(name, question.answer or "")
    return [table.canonical(one) for start, end in ranges for one in table.overlapping(name, start, end)]


def _resolved(question: Question, relevant: Sequence[str]) -> ResolvedQuestion:
    return ResolvedQuestion(
        id=question.id,
        text=question.question,
        relevant=tuple(dict.fromkeys(relevant)),
        group=question.group,
        provenance=question.provenance,
        answer=question.answer,
        fields=dict(question.fields),
    )


def _refuse(error: type[QuestionSetError], names: Sequence[str], what: str, hint: str) -> None:
    if names:
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        raise error(
            f"{', '.join(map(repr, names[:_NAMED]))}{more} {what}", hint=hint, details={"ids": list(names)}
        )


def _question(record: Mapping[str, Any], where: str) -> Question:
    try:
        return Question.model_validate(record)
    except ValidationError as error:
        # Field names and kinds of problem only: the values may be what a user typed.
        problems = {".".join(map(str, p["loc"][:1])) or "line": p["type"] for p in error.errors()}
        named = ", ".join(f"`{field}` ({kind})" for field, kind in problems.items())
        raise QuestionSetError(
            f"{where}: cannot use {named}", hint='e.g. {"id": "q1", "question": "...", "relevant": ["p1"]}'
        ) from None


def _digits(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _are_ints(values: Sequence[Any]) -> bool:
    return all(type(value) is int for value in values)
