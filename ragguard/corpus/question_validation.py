"""What is wrong with a question set, as counts and ids; no question is quoted."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from ragguard.corpus.index import PassageIndex
from ragguard.corpus.locate import Passages, PassageTable
from ragguard.corpus.overlap import overlap
from ragguard.corpus.question_checks import holds_answer, question_key, refers_to_passage, too_short
from ragguard.corpus.questions import Question, ResolvedQuestion, resolve
from ragguard.errors import UnlocatedAnswerError

HIGH_OVERLAP = 0.4
"""Above this share a question was probably written from the passage that answers it."""


class OverlapSummary(BaseModel):
    """How much of their wording questions share with the passages that answer them.

    Attributes:
        count: questions with a passage to compare with.
        mean: of the shares in [0, 1], or None where there is none; so `max`.
        share_high: of questions above `HIGH_OVERLAP`, or None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int
    mean: float | None = None
    max: float | None = None
    share_high: float | None = None


class ValidationReport(BaseModel):
    """What `validate_questions` found: ids, counts and shares, without any text.

    Attributes:
        questions: how many there are.
        unanswerable: with `relevant: []`.
        provenance: questions by who wrote them.
        duplicates: ids of questions that are the same but for case, space and end mark.
        unlabelled: questions without `relevant`.
        unknown: by question, the relevant ids that the corpus lacks.
        unlocated: questions that name a document which was split, but not where.
        answers_not_found: questions whose answer stands in none of their passages.
        too_short: questions of fewer than three words.
        pointing: questions that point at a text their reader cannot see.
        overlap: of all questions, and by provenance; a question's is the largest of its passages'.
        overlaps: by question.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    questions: int
    unanswerable: int
    provenance: Mapping[str, int]
    duplicates: tuple[tuple[str, ...], ...]
    unlabelled: tuple[str, ...]
    unknown: Mapping[str, tuple[str, ...]]
    unlocated: tuple[str, ...]
    answers_not_found: tuple[str, ...]
    too_short: tuple[str, ...]
    pointing: tuple[str, ...]
    overlap: Mapping[str, OverlapSummary]
    overlaps: Mapping[str, float]

    @property
    def usable(self) -> bool:
        """True when calibration would take the set as it is; the other findings are warnings."""
        return not (self.unlabelled or self.unknown or self.unlocated)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready values, `usable` included."""
        return {"usable": self.usable, **self.model_dump(mode="json")}


def validate_questions(questions: Sequence[Question], passages: Passages) -> ValidationReport:
    """Return everything that is wrong or doubtful with the questions; nothing is raised for it.

    Args:
        passages: an index, or passages with unique ids.
    """
    table = PassageTable(passages)
    unknown = {q.id: tuple(name for name in q.relevant or () if name not in table) for q in questions}
    unknown = {name: ids for name, ids in unknown.items() if ids}
    labelled = [q for q in questions if q.relevant is not None and q.id not in unknown]
    resolved, unlocated = _resolved(labelled, passages)
    texts = _texts(passages, {name for one in resolved for name in one.relevant})
    shares = {
        one.id: max(overlap(one.text, texts[name]) for name in one.relevant)
        for one in resolved
        if one.relevant
    }
    return ValidationReport(
        questions=len(questions),
        unanswerable=sum(q.relevant == () for q in questions),
        provenance=dict(Counter(q.provenance for q in questions)),
        duplicates=_duplicates(questions),
        unlabelled=tuple(q.id for q in questions if q.relevant is None),
        unknown=unknown,
        unlocated=unlocated,
        answers_not_found=tuple(one.id for one in resolved if not _answered(one, texts)),
        too_short=tuple(q.id for q in questions if too_short(q.question)),
        pointing=tuple(q.id for q in questions if refers_to_passage(q.question)),
        overlap=_summaries(questions, shares),
        overlaps=shares,
    )


def _resolved(
    questions: Sequence[Question], passages: Passages
) -> tuple[list[ResolvedQuestion], tuple[str, ...]]:
    try:
        return resolve(questions, passages), ()
    except UnlocatedAnswerError as error:
        lost = tuple(error.details["ids"])
        return resolve([q for q in questions if q.id not in set(lost)], passages), lost


def _texts(passages: Passages, wanted: set[str]) -> dict[str, str]:
    if isinstance(passages, PassageIndex):
        return {name: passages.get(name).text for name in wanted}
    return {passage.id: passage.text for passage in passages if passage.id in wanted}


def _answered(question: ResolvedQuestion, texts: Mapping[str, str]) -> bool:
    """True also where nothing was claimed: no answer, or no passage."""
    if question.answer is None or not question.relevant:
        return True
    return any(holds_answer(texts[name], question.answer) for name in question.relevant)


def _duplicates(questions: Sequence[Question]) -> tuple[tuple[str, ...], ...]:
    same: dict[str, list[str]] = {}
    for question in questions:
        same.setdefault(question_key(question.question), []).append(question.id)
    return tuple(tuple(ids) for ids in same.values() if len(ids) > 1)


def _summaries(questions: Sequence[Question], shares: Mapping[str, float]) -> dict[str, OverlapSummary]:
    by: dict[str, list[float]] = {"all": list(shares.values())}
    for question in questions:
        if question.id in shares:
            by.setdefault(question.provenance, []).append(shares[question.id])
    return {name: _summary(values) for name, values in by.items()}


def _summary(shares: Sequence[float]) -> OverlapSummary:
    if not shares:
        return OverlapSummary(count=0)
    high = sum(share > HIGH_OVERLAP for share in shares)
    return OverlapSummary(
        count=len(shares), mean=statistics.fmean(shares), max=max(shares), share_high=high / len(shares)
    )
