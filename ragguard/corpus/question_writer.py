"""One question from one passage: asked for, read, judged and checked, a few times over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from pydantic import BaseModel

from ragguard.corpus.overlap import overlap
from ragguard.corpus.question_checks import (
    answers_agree,
    locate_answer,
    question_key,
    refers_to_passage,
    too_short,
)
from ragguard.corpus.question_prompts import check_prompt, question_prompt
from ragguard.corpus.replies import CheckReply, Fault, QuestionReply, ReplyError, parse_reply, reply_text
from ragguard.errors import GenerationError, InvalidValueError
from ragguard.types import Span

CALLS_AN_ATTEMPT = 2
_Schema = TypeVar("_Schema", bound=BaseModel)


@runtime_checkable
class Invokable(Protocol):
    """A language model called by `invoke`, as LangChain's runnables are."""

    def invoke(self, prompt: str, /) -> Any:
        """Return a string, or a message whose `content` is one."""
        ...


LanguageModel: TypeAlias = Callable[[str], Any] | Invokable
"""Anything that turns a prompt into a reply."""

_Call: TypeAlias = Callable[[str], Any]


@dataclass(frozen=True)
class Written:
    """A question that passed every check.

    Attributes:
        question: one line.
        span: of the answer, in the passage.
        overlap: share of the question's content words that the passage repeats.
    """

    question: str
    span: Span
    overlap: float


@dataclass
class Outcome:
    """What came of one passage.

    Attributes:
        written: the question, or None.
        faults: one an attempt that failed, in order.
        calls: made to either model.
        spent: True when the calls allowed ended it, not the passage.
    """

    written: Written | None = None
    faults: list[Fault] = field(default_factory=list)
    calls: int = 0
    spent: bool = False

    @property
    def counted(self) -> dict[str, int]:
        """How often each fault was met."""
        return dict(Counter(fault.value for fault in self.faults))


class QuestionWriter:
    """Asks one model for questions and one, or the same, whether they can be answered.

    Args:
        llm: writes.
        checker: reads; None means `llm`.
        max_attempts: at most so many questions a passage.
        max_overlap: the largest share of repeated content words, in (0, 1].
        seed: of the prompts' delimiters.
    """

    def __init__(
        self,
        llm: LanguageModel,
        checker: LanguageModel | None = None,
        *,
        max_attempts: int = 3,
        max_overlap: float = 0.8,
        seed: int = 0,
    ) -> None:
        self._llm = _callable(llm, "llm")
        self._checker = self._llm if checker is None else _callable(checker, "checker")
        self._max_attempts = max_attempts
        self._max_overlap = max_overlap
        self._seed = seed
        self._asked: set[str] = set()

    def remember(self, question: str) -> None:
        """Count a question as asked, so that its like is a duplicate."""
        self._asked.add(question_key(question))

    def write(self, passage: str, *, language: str | None = None, calls: int | None = None) -> Outcome:
        """Return what came of the passage: a question, or the faults of every attempt.

        Args:
            calls: the most calls to make; None means no limit. No question is asked
                for that could not be checked any more.

        Raises:
            GenerationError: the model itself failed; the cause is kept.
        """
        outcome = Outcome()
        while outcome.written is None and len(outcome.faults) < self._max_attempts:
            if calls is not None and outcome.calls + CALLS_AN_ATTEMPT > calls:
                outcome.spent = True
                break
            try:
                written = self._ask(passage, language, outcome)
                self._check(passage, written, outcome)
                outcome.written = written
            except ReplyError as error:
                outcome.faults.append(error.fault)
        return outcome

    def _ask(self, passage: str, language: str | None, outcome: Outcome) -> Written:
        fault = outcome.faults[-1] if outcome.faults else None
        prompt = question_prompt(passage, seed=self._seed, language=language, fault=fault)
        reply = self._call(self._llm, prompt, QuestionReply, outcome)
        question = " ".join(reply.question.split())
        span = locate_answer(reply.answer, passage)
        share = overlap(question, passage)
        if too_short(question):
            raise ReplyError(Fault.TOO_SHORT)
        if refers_to_passage(question):
            raise ReplyError(Fault.REFERS_TO_PASSAGE)
        if span is None:
            raise ReplyError(Fault.ANSWER_NOT_IN_PASSAGE)
        if share > self._max_overlap:
            raise ReplyError(Fault.TOO_MUCH_OVERLAP)
        if question_key(question) in self._asked:
            raise ReplyError(Fault.DUPLICATE_QUESTION)
        return Written(question, span, share)

    def _check(self, passage: str, written: Written, outcome: Outcome) -> None:
        """Let the other reader answer: a question stands only if both answers agree."""
        prompt = check_prompt(passage, written.question, seed=self._seed)
        try:
            reply = self._call(self._checker, prompt, CheckReply, outcome)
        except ReplyError:
            raise ReplyError(Fault.CHECK_UNREADABLE) from None
        if not reply.answerable:
            raise ReplyError(Fault.UNANSWERABLE)
        if not answers_agree(passage[written.span.start : written.span.end], reply.answer):
            raise ReplyError(Fault.ANSWERS_DIFFER)

    def _call(self, model: _Call, prompt: str, schema: type[_Schema], outcome: Outcome) -> _Schema:
        outcome.calls += 1
        try:
            reply = model(prompt)
        except Exception as error:  # providers raise anything; its text may hold the prompt
            raise GenerationError(
                f"the language model failed ({type(error).__name__})",
                hint="what is done is kept: run again to go on",
            ) from error
        return parse_reply(reply_text(reply), schema)


def _callable(model: LanguageModel, name: str) -> _Call:
    if isinstance(model, Invokable):
        return model.invoke
    if callable(model):
        return model
    raise InvalidValueError(
        f"{name} is a {type(model).__name__}", hint="give a callable from prompt to reply, or a runnable"
    )
