"""The values that flow through the loop.

A `Turn` goes in, a `Report` comes out; in between each guard gives a `Verdict`.
All are frozen pydantic models: they validate, compare, serialise to JSON and
have a JSON Schema. Offsets count characters of the user's original strings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ragguard.errors import RefusalError

REPORT_SCHEMA_VERSION = 1


class Stage(StrEnum):
    """The point of a turn at which a guard runs."""

    QUESTION = "question"
    PASSAGES = "passages"
    ANSWER = "answer"
    STREAM = "stream"


class Action(StrEnum):
    """What a verdict asks for, mildest first.

    `pass` keeps the turn, `revise` replaces it by `Verdict.revised`, `abstain`
    says there is not enough evidence, `refuse` says it must not be shown.
    """

    PASS = "pass"  # noqa: S105
    REVISE = "revise"
    ABSTAIN = "abstain"
    REFUSE = "refuse"

    @property
    def ends_turn(self) -> bool:
        """True for the two actions after which nothing more of the turn is shown."""
        return self in (Action.ABSTAIN, Action.REFUSE)


class Mode(StrEnum):
    """How much a guard may do: `enforce`, `shadow` (judge and record only) or `off`."""

    ENFORCE = "enforce"
    SHADOW = "shadow"
    OFF = "off"


class OnError(StrEnum):
    """What a guard's failure becomes; a `pass` on error is marked degraded."""

    REFUSE = "refuse"
    ABSTAIN = "abstain"
    PASS = "pass"  # noqa: S105


class Reason(StrEnum):
    """Why, as a stable identifier with one sentence each (`Reason.sentence`)."""

    OK = "ok"
    NO_EVIDENCE = "no_evidence"
    UNSUPPORTED_ANSWER = "unsupported_answer"
    CONTRADICTED_ANSWER = "contradicted_answer"
    UNVERIFIABLE_ANSWER = "unverifiable_answer"
    POLICY_CONFLICT = "policy_conflict"
    TRACED_SOURCE = "traced_source"
    INJECTED_PASSAGE = "injected_passage"
    NOVEL_QUESTION = "novel_question"
    UNSEEN_GROUP = "unseen_group"
    EMPTY_ANSWER = "empty_answer"
    MODEL_ABSTAINED = "model_abstained"
    GUARD_ERROR = "guard_error"
    DEADLINE = "deadline"

    @property
    def sentence(self) -> str:
        """One plain sentence for people; it never quotes the turn."""
        return _SENTENCES[self]


_SENTENCES: Mapping[Reason, str] = {
    Reason.OK: "Nothing stood against it.",
    Reason.NO_EVIDENCE: "No passage of the knowledge base is close enough to count as evidence.",
    Reason.UNSUPPORTED_ANSWER: "At least one claim is not supported by the passages kept.",
    Reason.CONTRADICTED_ANSWER: "At least one claim is contradicted by the passages kept.",
    Reason.UNVERIFIABLE_ANSWER: "Nothing in the answer can be checked against the passages.",
    Reason.POLICY_CONFLICT: "The text conflicts with a registered policy.",
    Reason.TRACED_SOURCE: "The text was traced to a source that must not be shown.",
    Reason.INJECTED_PASSAGE: "A passage carries instructions addressed to the model.",
    Reason.NOVEL_QUESTION: "The question is unlike those the guard was calibrated on.",
    Reason.UNSEEN_GROUP: "The question belongs to a group that no threshold was calibrated for.",
    Reason.EMPTY_ANSWER: "The generator returned no text.",
    Reason.MODEL_ABSTAINED: "The model itself said that it does not know.",
    Reason.GUARD_ERROR: "A guard failed, and its failure policy decided.",
    Reason.DEADLINE: "The time allowed for the turn ran out, and the failure policy decided.",
}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Span(_Frozen):
    """A half-open range of characters, `text[start:end]`."""

    start: int = Field(ge=0)
    end: int = Field(ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Span:
        if self.end < self.start:
            raise ValueError(f"span end {self.end} lies before its start {self.start}")
        return self


class Passage(_Frozen):
    """One retrievable piece of text.

    Attributes:
        id: unique in its index. A document that fits one passage keeps its own id.
        text: the original characters.
        document: id of the document it was cut from, or None.
        span: where it lies in that document's text, or None.
        score: the retriever's similarity, higher is nearer, or None.
        metadata: copied, JSON-serialisable.
    """

    id: str
    text: str
    document: str | None = None
    span: Span | None = None
    score: float | None = None
    metadata: Mapping[str, Any] = Field(default_factory=dict)


class Claim(_Frozen):
    """One checkable statement of an answer, at `answer[span.start:span.end]`."""

    text: str
    span: Span


class Quotation(_Frozen):
    """Characters of a passage that bear on a claim.

    Attributes:
        passage_id: the passage.
        span: characters of it.
        score: support by these alone in [0, 1], or None where they were not judged alone.
    """

    passage_id: str
    span: Span
    score: float | None = None


class Evidence(_Frozen):
    """What a verdict rests on: a claim, the passage span nearest to it, and how well it supports it.

    Attributes:
        claim: the claim judged, or None for evidence about the turn as a whole.
        passage_id: the passage, or None where no passage bears on the claim.
        span: characters of that passage.
        score: support in [0, 1], higher is better supported.
        outcome: supported, contradicted, not_found, conflicting, unverifiable, or "".
        note: which check decided, e.g. "number 30 is not in the passages".
        quotations: the one to three places that were weighed, best first; empty where the aligner names one at most.
        failing: the smallest part of the answer at fault, where the claim is not supported and one is known.
    """

    claim: Claim | None = None
    passage_id: str | None = None
    span: Span | None = None
    score: float | None = None
    outcome: str = ""
    note: str = ""
    quotations: tuple[Quotation, ...] = ()
    failing: Span | None = None


class Message(_Frozen):
    """One earlier message of the conversation."""

    role: Literal["user", "assistant", "system"]
    text: str


class Generation(_Frozen):
    """An answer, with the passages that fitted into the generator's prompt.

    A generator that may leave passages out returns this instead of a string: what it
    did not read cannot be promised to have been there.
    """

    text: str
    read: tuple[str, ...]


class Turn(_Frozen):
    """One question on its way to an answer; frozen, so guards return revised copies.

    Attributes:
        question: as the user asked it.
        standalone: the question as sent to the retriever, after rewriting a
            follow-up; None means `question` itself. This text is calibrated.
        passages: what retrieval (and then the cut) left, best first; None means
            nothing was retrieved yet, () that nothing was found.
        answer: the generator's answer, or None before it.
        history: earlier messages, oldest first.
        metadata: free, JSON-serialisable; "group" selects a Mondrian group.
    """

    question: str
    standalone: str | None = None
    passages: tuple[Passage, ...] | None = None
    answer: str | None = None
    history: tuple[Message, ...] = ()
    metadata: Mapping[str, Any] = Field(default_factory=dict)

    @property
    def query(self) -> str:
        """The text that was, or will be, sent to the retriever."""
        return self.question if self.standalone is None else self.standalone

    def replace(self, **changes: Any) -> Turn:
        """A validated copy with `changes` applied."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return Turn(**{**fields, **changes})


class ErrorInfo(_Frozen):
    """A guard's failure as data: its type and code, never its user-dependent message."""

    type: str
    code: str


class Certificate(_Frozen):
    """What is promised about this turn, by which calibration, and whether it still holds.

    Attributes:
        scope: "retrieval" (the needed passage is kept) or "release".
        status: "valid"; "degraded" (served under a declared tolerance); "void"
            (see `voided_by`); "none" (uncalibrated).
        statement: the promise as one sentence.
        covers: guards inside the calibrated map; these may drop passages before the cut.
        voided_by: the guard or the condition that voided it.
        notes: conditions that hold, e.g. "group merged into rest".
    """

    scope: Literal["retrieval", "release"] = "retrieval"
    status: Literal["valid", "degraded", "void", "none"]
    statement: str = ""
    artifact: str | None = None
    target: str | None = None
    alpha: float | None = None
    delta: float | None = None
    n: int | None = None
    group: str | None = None
    expires: str | None = None
    covers: tuple[str, ...] = ()
    voided_by: str | None = None
    notes: tuple[str, ...] = ()


class Verdict(_Frozen):
    """One guard's judgement of one stage of a turn.

    Attributes:
        guard: the guard's name.
        stage: where it judged.
        action: what it asks for.
        reason: why.
        score: the number compared, or None.
        threshold: what it was compared with, or None.
        uncalibrated: True when `threshold` comes from no calibration artifact.
        evidence: what the judgement rests on.
        revised: the turn to go on with; also what is left of it after abstain or refuse.
        dropped: ids of passages quarantined, with cause; the calibrated cut, which leaves out
            hundreds, gives their number in `details` instead.
        certificate: a promise this guard attaches to the turn.
        error: set when the guard failed and its policy decided.
        degraded: True when a failure was let pass.
        mode: the mode it ran in; a shadow verdict changed nothing.
        seconds: wall-clock time of the check.
        details: numbers for people and logs; JSON-serialisable, never user text.
    """

    guard: str
    stage: Stage
    action: Action
    reason: Reason = Reason.OK
    score: float | None = None
    threshold: float | None = None
    uncalibrated: bool = False
    evidence: tuple[Evidence, ...] = ()
    revised: Turn | None = None
    dropped: tuple[str, ...] = ()
    certificate: Certificate | None = None
    error: ErrorInfo | None = None
    degraded: bool = False
    mode: Mode = Mode.ENFORCE
    seconds: float = 0.0
    details: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Verdict:
        if self.action is Action.REVISE and self.revised is None:
            raise ValueError("a verdict whose action is revise carries `revised`")
        if self.action is Action.PASS and self.revised is not None:
            raise ValueError("a verdict that passes carries no `revised`")
        return self


class Report(_Frozen):
    """Everything the loop found out about one turn.

    Attributes:
        schema_version: of this model's published JSON Schema.
        turn: as it left the loop; after abstain or refuse `turn.answer` is what
            the generator said and must not be shown: show `text`.
        action: the strictest enforced action; the calibrated cut of a turn is routine and counts as pass.
        reason: of the verdict that decided it.
        text: what may be shown to the user: the answer, or the operator's message.
        verdicts: in the order given, shadow verdicts included.
        certificates: the promises that accompany the turn, one a scope.
        degraded: True when some guard failed and was let pass.
        request: what the caller may do next, as data, e.g. {"do": "regenerate"}.
        seconds: wall-clock time by part: "retrieve", "generate", and each guard's name.
    """

    schema_version: int = REPORT_SCHEMA_VERSION
    turn: Turn
    action: Action
    reason: Reason = Reason.OK
    text: str | None = None
    verdicts: tuple[Verdict, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    degraded: bool = False
    request: Mapping[str, Any] | None = None
    seconds: Mapping[str, float] = Field(default_factory=dict)

    @property
    def released(self) -> bool:
        """True when the (possibly revised) answer may be shown."""
        return not self.action.ends_turn

    @property
    def passages(self) -> Sequence[Passage]:
        """The passages kept, best first."""
        return self.turn.passages or ()

    def certificate(self, scope: str = "retrieval") -> Certificate | None:
        """The certificate of that scope, or None."""
        return next((c for c in self.certificates if c.scope == scope), None)

    def raise_for_refusal(self) -> Report:
        """Return self, or raise when the answer may not be shown.

        Raises:
            RefusalError: the action is abstain or refuse; `details` has action and reason.
        """
        if self.action.ends_turn:
            raise RefusalError(
                f"{self.action.value}: {self.reason.sentence}",
                details={"action": self.action.value, "reason": self.reason.value},
            )
        return self
