"""One answer of an agent's model, from the request to what may be shown.

The order is written once, as a generator that asks for one call after another
(`Generate`, `Judge`); the middleware's two hooks make the calls.
"""

from __future__ import annotations

import uuid
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from langchain.agents.middleware import ExtendedModelResponse, ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.types import Command

from langchain_ragguard.critique import critique
from langchain_ragguard.documents import FACTS
from langchain_ragguard.middleware_aloud import aloud
from langchain_ragguard.middleware_evidence import Evidence, Reach, evidence_in, last_human
from langchain_ragguard.middleware_messages import calling_message, shown_message
from langchain_ragguard.middleware_policy import RagGuardContext
from langchain_ragguard.middleware_review import review_request
from langchain_ragguard.middleware_structured import judged_text
from langchain_ragguard.said import Said
from ragguard.alignment.guard import ATTEMPT
from ragguard.errors import ConfigurationError, GenerationError
from ragguard.pipeline import Pipeline
from ragguard.types import Action, Report, Turn
from ragguard.withheld import shown_report, small_report

REPORT = "ragguard"
ATTEMPTS = "ragguard_attempts"
REVIEW = "ragguard_review"
_MOST = 10
_MALFORMED = 2
"""So often a model may give a structured response anew that its schema refuses."""


@dataclass(frozen=True)
class Generate:
    """Please call the model, without anybody's seeing what it says."""

    request: ModelRequest[Any]


@dataclass(frozen=True)
class Judge:
    """Please judge this turn."""

    turn: Turn


@dataclass(frozen=True)
class Unreadable:
    """The reply to `Generate` where the structured response could not be read; never its text."""

    error: str


Shown: TypeAlias = ModelResponse[Any] | ExtendedModelResponse[Any]
Flow: TypeAlias = Generator[Generate | Judge, Any, Shown]


@dataclass(frozen=True)
class Answering:
    """How answers are taken from responses, judged and shown; the fields are `RagGuardMiddleware`'s."""

    tools: Sequence[str] | None = None
    reach: Reach = "turn"
    structured_fields: Sequence[str] | None = None
    unjudged: frozenset[str] = frozenset()
    aloud: Pipeline | None = None
    """The guards of a model that is heard sentence by sentence; None to withhold until the whole is judged."""

    def flow(self, request: ModelRequest[Any], settings: RagGuardContext) -> Flow:
        """Ask for one call after another; what it returns may be shown."""
        self._require_fields(request)
        messages = _messages(request)
        evidence = evidence_in(messages, tools=self.tools, reach=self.reach)
        if self.aloud is not None:
            request = request.override(model=aloud(request.model, self.aloud, evidence, settings))
        tried, asked = _Tried.of(request.state, last_human(messages)), request
        while True:
            response = _response((yield Generate(asked)))
            if request.response_format is not None and _is_malformed(response):
                if pending := _pending(response):
                    return self._calling(pending, tried)
                tried.count_malformed()
                asked = asked.override(messages=[*asked.messages, *response.result])
                continue
            answer = self._answer(response)
            if answer is None:
                return self._calling(response, tried)
            report = yield from self._judged(answer, evidence, settings, tried.made)
            if report is None:
                return self._unjudged(answer, evidence)
            if not tried.again(report):
                if settings.policy == "raise":
                    report.raise_for_refusal()
                return self._shown(answer, report, _Review.of(report, settings, evidence.question), request)
            told = [AIMessage(content=answer.text), HumanMessage(content=critique(report, answer.text))]
            asked = request.override(messages=[*request.messages, *told])

    def _require_fields(self, request: ModelRequest[Any]) -> None:
        if request.response_format is None:
            return
        if self.structured_fields is None:
            raise ConfigurationError(
                "the agent has a response format, and nothing says which of its fields to judge",
                hint='structured_fields=["answer"], or () to pass structured responses on unjudged',
            )
        if self.aloud is not None:
            raise ConfigurationError(
                "a structured response cannot be shown sentence by sentence", hint='mode="withhold"'
            )

    def _answer(self, response: ModelResponse[Any]) -> _Answer | None:
        """What there is to judge; None where the model only calls tools, or it is judged already."""
        message = next((m for m in reversed(response.result) if isinstance(m, AIMessage)), None)
        if message is None or _was_judged(message):
            return None
        if response.structured_response is not None:
            text = judged_text(response.structured_response, self.structured_fields or ())
            return _Answer(message, text, response)
        return None if message.tool_calls else _Answer(message, str(message.text), response)

    def _judged(
        self, answer: _Answer, evidence: Evidence, settings: RagGuardContext, made: int
    ) -> Generator[Judge, Report, Report | None]:
        if answer.structured and not self.structured_fields:
            return None
        if not evidence.asked and not settings.require_evidence:
            return None
        turn = evidence.turn(answer.text)
        if isinstance(turn, Report):
            return turn
        if made:
            turn = turn.replace(metadata={**turn.metadata, ATTEMPT: made})
        report = yield Judge(turn)
        return _all_or_nothing(report, answer.text) if answer.structured else report

    def _calling(self, response: ModelResponse[Any], tried: _Tried) -> Shown:
        """A turn that calls tools, or one that a guard further in has already judged."""
        passed = replace(response, result=[self._called(m) for m in response.result])
        update = tried.noted() if tried.made else {}
        if self.aloud is not None and (facts := _facts(response)):
            update = {**update, REPORT: facts}
        return ExtendedModelResponse(passed, Command(update=update)) if update else passed

    def _unjudged(self, answer: _Answer, evidence: Evidence) -> Shown:
        turn = Turn(question=evidence.question, answer=answer.text)
        report = Report(turn=turn, action=Action.PASS, text=answer.text)
        # Without the text: a middleware further out may still withhold it, but not what is written here.
        told = report.model_copy(update={"turn": turn.replace(answer=None), "text": None})
        facts = {**small_report(report), "judged": False}
        return self._released(answer, report, facts, {REPORT: shown_report(told)})

    def _shown(
        self, answer: _Answer, report: Report, review: _Review | None, request: ModelRequest[Any]
    ) -> Shown:
        facts = {**small_report(report), "judged": True, **_citations(report)}
        update: dict[str, Any] = {REVIEW: None} if _value(request.state, REVIEW) else {}
        if report.released:
            return self._released(answer, report, facts, update)
        message = answer.message
        if review is not None:
            message = message if message.id else message.model_copy(update={"id": f"ragguard-{uuid.uuid4()}"})
            update = {REVIEW: review.pending(str(message.id), answer.text)}
        shown = shown_message(message, report.text or "", facts)
        return _extended(ModelResponse(result=[*self._before(answer), shown]), report, update)

    def _released(
        self, answer: _Answer, report: Report, facts: Mapping[str, Any], update: Mapping[str, Any]
    ) -> Shown:
        if not answer.structured:
            shown = shown_message(answer.message, report.text or "", facts, unjudged=self.unjudged)
            return _extended(ModelResponse(result=[*self._before(answer), shown]), report, update)
        shown = self._structured(answer.message, facts)
        result = [shown if m is answer.message else self._called(m) for m in answer.response.result]
        return _extended(replace(answer.response, result=result), report, update)

    def _structured(self, message: AIMessage, facts: Mapping[str, Any]) -> AIMessage:
        """The message of a released structured response: the call of its tool, or its JSON."""
        if not message.tool_calls:
            return shown_message(message, str(message.text), facts, unjudged=self.unjudged)
        called = calling_message(message, unjudged=self.unjudged)
        metadata = {**called.response_metadata, FACTS: Said(facts)}
        return called.model_copy(update={"response_metadata": metadata})

    def _called(self, message: BaseMessage) -> BaseMessage:
        if not isinstance(message, AIMessage) or _was_judged(message):
            return message
        return calling_message(message, unjudged=self.unjudged)

    def _before(self, answer: _Answer) -> list[BaseMessage]:
        """What came before the answer in the same response, as a turn with calls is shown."""
        if answer.structured:
            return []
        found = answer.response.result
        return [self._called(m) for m in found[: found.index(answer.message)]]


def _was_judged(message: AIMessage) -> bool:
    """Whether a guard further in has judged the message; that it looked, or that a server says so, is not enough."""
    facts = message.response_metadata.get(FACTS)
    return isinstance(facts, Said) and facts.get("judged") is True


@dataclass(frozen=True)
class _Answer:
    """The message to judge, the text of it that is judged, and the response it came in."""

    message: AIMessage
    text: str
    response: ModelResponse[Any]

    @property
    def structured(self) -> bool:
        return self.response.structured_response is not None


@dataclass
class _Tried:
    """How often the answer to one message of the user's was asked for anew."""

    after: str
    made: int = 0
    malformed: int = 0

    @classmethod
    def of(cls, state: Any, after: str) -> _Tried:
        """Go on counting where an earlier call of the model for the same message stopped to call a tool."""
        known = _value(state, ATTEMPTS) or {}
        return cls(after, int(known.get("made", 0)) if known.get("after") == after else 0)

    def again(self, report: Report) -> bool:
        """Whether to ask once more; the guard bounds it, by what it is told was made."""
        if (report.request or {}).get("do") != "regenerate" or self.made >= _MOST:
            return False
        self.made += 1
        return True

    def count_malformed(self) -> None:
        self.malformed += 1
        if self.malformed > _MALFORMED:
            raise GenerationError(f"the model gave no usable structured response, {self.malformed} times")

    def noted(self) -> dict[str, Any]:
        return {ATTEMPTS: {"after": self.after, "made": self.made}}


@dataclass(frozen=True)
class _Review:
    """A withheld answer that a person shall decide about."""

    question: str
    report: Report

    @classmethod
    def of(cls, report: Report, settings: RagGuardContext, question: str) -> _Review | None:
        """With the policy "interrupt", for a refusal; who abstains leaves nothing to decide about."""
        asked = settings.policy == "interrupt" and report.action is Action.REFUSE
        return cls(question, report) if asked else None

    def pending(self, name: str, draft: str) -> dict[str, Any]:
        """What the thread keeps until the person has decided."""
        facts = small_report(self.report)
        request = review_request(question=self.question, draft=draft, report=facts)
        return {"message": name, "request": request}


def _messages(request: ModelRequest[Any]) -> Sequence[AnyMessage]:
    """The whole conversation: what another middleware leaves out of a request is evidence still."""
    messages: Sequence[AnyMessage] = _value(request.state, "messages") or request.messages
    return messages


def _value(state: Any, key: str) -> Any:
    return state.get(key) if isinstance(state, Mapping) else getattr(state, key, None)


def _response(reply: Any) -> ModelResponse[Any]:
    if isinstance(reply, Unreadable):
        raise GenerationError(
            f"the model's structured response could not be read ({reply.error})",
            hint="ToolStrategy(handle_errors=True) lets the model mend it",
        )
    if isinstance(reply, ExtendedModelResponse):
        return reply.model_response
    found: ModelResponse[Any] = ModelResponse(result=[reply]) if isinstance(reply, AIMessage) else reply
    return found


def _is_malformed(response: ModelResponse[Any]) -> bool:
    """Whether the model's structured response was refused by its schema, and it is told so.

    It is told here, unseen: the arguments, and the error that quotes them, are part of an answer.
    """
    last = response.result[-1] if response.result else None
    return response.structured_response is None and isinstance(last, ToolMessage)


def _facts(response: ModelResponse[Any]) -> dict[str, Any]:
    """What was said of the answer beside it."""
    messages = [m for m in response.result if isinstance(m, AIMessage)]
    return dict(messages[-1].response_metadata.get(FACTS) or {}) if messages else {}


def _pending(response: ModelResponse[Any]) -> ModelResponse[Any] | None:
    """The calls beside a malformed structured response that are still to be made; None for none.

    They are made first. The response itself is forgotten, with the error that quotes it.
    """
    message = next(m for m in reversed(response.result) if isinstance(m, AIMessage))
    answered = {m.tool_call_id for m in response.result if isinstance(m, ToolMessage)}
    calls = [call for call in message.tool_calls if call["id"] not in answered]
    if not calls:
        return None
    # Content and raw calls of the provider's hold the response once more.
    only = {"content": "", "tool_calls": calls, "invalid_tool_calls": [], "additional_kwargs": {}}
    return ModelResponse(result=[message.model_copy(update=only)])


def _all_or_nothing(report: Report, text: str) -> Report:
    """A structured response cannot be shown in part."""
    if not report.released or report.text == text:
        return report
    return report.model_copy(update={"action": Action.REFUSE, "text": report.reason.sentence})


def _citations(report: Report) -> dict[str, Any]:
    found = next((v.details["citations"] for v in report.verdicts if "citations" in v.details), None)
    return {} if found is None else {"citations": found}


def _extended(response: ModelResponse[Any], report: Report, update: Mapping[str, Any]) -> Shown:
    return ExtendedModelResponse(response, Command(update={REPORT: shown_report(report), **update}))
