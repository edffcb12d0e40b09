"""LiteLLM's Generic Guardrail API as an ASGI app: one route, judged by a guard."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from ragguard.adapting import StreamMode, as_pipeline, require_mode, with_steps
from ragguard.errors import ConfigurationError
from ragguard.guard import Guard
from ragguard.pipeline import Pipeline, Step
from ragguard.protocols import TurnGuard
from ragguard.server.calls import Calls
from ragguard.server.door import Door, Limits, Turned, bare_app
from ragguard.server.given import EVIDENCE_ROLES, EvidenceRequired, Given, given_in, require_roles
from ragguard.server.judging import Judged, judge_sentences, judge_whole, told_of
from ragguard.server.messages import GuardrailRequest, parsed
from ragguard.types import Report, Stage, Turn
from ragguard.worker import run_on_worker

PATH = "/beta/litellm_basic_guardrail_api"
NoEvidence = Literal["block", "judge", "retrieve", "pass"]
Refusals = Literal["block", "text"]

_LOG = logging.getLogger("ragguard.server")
_UNASKED = "(the question is not known)"
"""Stands for a question that nobody sent: a turn has one, and guards of answers hardly look at it."""


@dataclass(frozen=True)
class _Settings:
    no_evidence: NoEvidence
    mode: StreamMode
    refusals: Refusals
    given: Callable[[GuardrailRequest], Given]
    limits: Limits


def create_guardrail_app(
    guard: Guard | Pipeline | TurnGuard | Sequence[TurnGuard | Step],
    *,
    api_key: str | None,
    no_evidence: NoEvidence = "block",
    mode: StreamMode = "withhold",
    refusals: Refusals | None = None,
    evidence_roles: Collection[str] = EVIDENCE_ROLES,
    evidence: Callable[[GuardrailRequest], Given] | None = None,
    limits: Limits | None = None,
    calls: Calls | None = None,
) -> FastAPI:
    """Return an ASGI app that answers POST /beta/litellm_basic_guardrail_api.

    A "request" is judged by the guards of questions, and its tool results by the guards of
    passages; a "response" text by text by all guards, against the evidence that came with
    it or, by its `litellm_call_id`, with the request before it. Tool calls pass; text
    beside them that cannot be shown is left out. Guards run on workers.

    Args:
        guard: a `ragguard.Guard`, a `Pipeline`, or guards in order; one must judge answers or questions.
        api_key: what the header `x-api-key` must say; None serves everybody who can connect.
        no_evidence: what becomes of an answer that came without any. "block" refuses it unless
            it claims nothing; "judge" leaves that to the guards, for those that need none;
            "retrieve" has the guard's own retriever find it; "pass" lets it through unjudged.
        mode: "withhold" releases nothing of a stream before all of it is judged, "sentence"
            what is verified. Either needs `streaming_transform_mode: incremental_diff` there.
        refusals: "block" answers BLOCKED, which the gateway makes an error; "text" puts the
            guard's message in place of the answer, and in a stream needs the same setting.
            By default "block", and "text" with mode="sentence".
        evidence_roles: of the messages that count as evidence.
        evidence: finds question and passages in a request, instead of `given_in`; runs on a worker.
        limits: of the app.
        calls: remembers evidence between the request and the response of a call.

    Raises:
        ConfigurationError: settings that contradict one another, or a guard that judges nothing here.
        InvalidValueError: a limit is out of range.
    """
    require_mode(mode)
    settings = _Settings(
        no_evidence=_one_of("no_evidence", no_evidence, NoEvidence),
        mode=mode,
        refusals=_refusals(refusals, mode),
        given=evidence or _by_roles(require_roles(evidence_roles)),
        limits=limits or Limits(),
    )
    route = _Guardrail(guard, settings, calls or Calls())
    door = Door(api_key, settings.limits)
    app = bare_app("ragguard guardrail")

    async def apply(request: Request) -> JSONResponse:
        return await door.admit(request, route.answer)

    app.add_api_route(PATH, apply, methods=["POST"])
    return app


class _Guardrail:
    """The route: one request's body in, its reply out."""

    def __init__(self, guard: Any, settings: _Settings, calls: Calls) -> None:
        self._guard, self._settings, self._calls = guard, settings, calls
        self._pipeline = as_pipeline(guard, Stage.ANSWER, Stage.QUESTION)
        self._requiring = with_steps(self._pipeline, [Step(EvidenceRequired()), *self._pipeline.steps])
        retriever = guard.retriever if isinstance(guard, Guard) else None
        if settings.no_evidence == "retrieve" and retriever is None:
            raise ConfigurationError(
                'no_evidence="retrieve" needs a guard with a retriever', hint="e.g. Guard.load(folder)"
            )

    async def answer(self, body: bytes) -> dict[str, Any]:
        request = parsed(GuardrailRequest, body)
        given = await run_on_worker(self._settings.given, request)
        asked = request.input_type == "request"
        reply = await (self._request(request, given) if asked else self._response(request, given))
        _LOG.info("%s: %s", request.input_type, reply["action"])
        return {**reply, "request_id": request.litellm_call_id}

    async def _request(self, request: GuardrailRequest, given: Given) -> dict[str, Any]:
        question = given.question or ("" if request.structured_messages else "\n".join(request.texts or ()))
        given = replace(given, question=question)
        self._calls.remember(request.call, given)
        fetched = tuple(p for p in given.passages if p.id in given.fetched)
        if not question.strip() and not fetched:
            return {"action": "NONE"}
        turn = Turn(question=(question.strip() and question) or _UNASKED, passages=fetched or None)
        report = await self._pipeline.acheck(turn)
        told = {"ragguard": told_of(report)}
        if not report.released:
            # Nothing else will do: text in place of a question would go to the model.
            return {"action": "BLOCKED", "blocked_reason": report.text, **told}
        changed = _changed(fetched, report)
        if not changed:
            return {"action": "NONE", **told}
        left = {p.id: p for p in report.passages}
        kept = tuple(left.get(p.id, p) for p in given.passages if p.id not in given.fetched or p.id in left)
        self._calls.remember(request.call, replace(given, passages=kept))
        texts = [changed.get(text, text) for text in request.texts or ()]
        return {"action": "GUARDRAIL_INTERVENED", "texts": texts, **told}

    async def _response(self, request: GuardrailRequest, given: Given) -> dict[str, Any]:
        texts = request.texts or []
        if len(texts) > self._settings.limits.texts:
            raise Turned(422, "too_many", f"more than {self._settings.limits.texts} texts of one answer")
        if not any(text.strip() for text in texts):
            return {"action": "NONE", "stream_holdback_chars": [len(text) for text in texts]}
        given = given.completed(self._calls.recall(request.call))
        evident = any(p.text.strip() for p in given.passages)
        if not evident and self._settings.no_evidence == "pass":
            _LOG.warning("a response passed unjudged: no evidence came with it")
            return {"action": "NONE", "ragguard": [told_of(None) for _ in texts]}
        turn = Turn(question=given.question or _UNASKED, passages=given.passages)
        if not evident and self._settings.no_evidence == "retrieve" and given.question:
            found = await self._guard.acheck(Turn(question=given.question))
            if found.released:
                turn = found.turn
        if self._calls.recall(request.call) is None:
            self._calls.remember(request.call, given)
        judged = await asyncio.gather(
            *(self._judge(request, turn, text, place) for place, text in enumerate(texts))
        )
        return self._reply(request, texts, judged)

    async def _judge(self, request: GuardrailRequest, turn: Turn, text: str, place: int) -> Judged:
        pipeline = self._pipeline if self._settings.no_evidence == "judge" else self._requiring
        if self._settings.mode == "withhold":
            return await judge_whole(pipeline, turn, text)
        return await judge_sentences(pipeline, turn, text, calls=self._calls, call=request.call, place=place)

    def _reply(
        self, request: GuardrailRequest, texts: Sequence[str], judged: Sequence[Judged]
    ) -> dict[str, Any]:
        told = {"ragguard": [told_of(one.report) for one in judged]}
        refused = next((one for one in judged if one.refused), None)
        if request.tool_calls:
            # The turn goes on with its tools: a message to the user has no place in it.
            return {**_passed_on(texts, [one.shown for one in judged]), **told}
        if refused is not None and self._settings.refusals == "block":
            return {"action": "BLOCKED", "blocked_reason": refused.message, **told}
        held = {"stream_holdback_chars": [one.held for one in judged]}
        return {**_passed_on(texts, [one.text for one in judged]), **held, **told}


def _passed_on(texts: Sequence[str], shown: Sequence[str]) -> dict[str, Any]:
    if list(texts) == list(shown):
        return {"action": "NONE"}
    return {"action": "GUARDRAIL_INTERVENED", "texts": list(shown)}


def _by_roles(roles: frozenset[str]) -> Callable[[GuardrailRequest], Given]:
    return lambda request: given_in(request, roles=roles)


def _changed(fetched: Sequence[Any], report: Report) -> Mapping[str, str]:
    """What to send in place of the texts that a guard quarantined or rewrote, by the text as it came."""
    left = {p.id: p.text for p in report.passages}
    gone = f"[{report.reason.sentence}]" if report.reason.value != "ok" else "[This passage is withheld.]"
    return {p.text: left.get(p.id, gone) for p in fetched if left.get(p.id) != p.text}


def _refusals(refusals: Refusals | None, mode: StreamMode) -> Refusals:
    if refusals is None:
        return "text" if mode == "sentence" else "block"
    if refusals == "block" and mode == "sentence":
        raise ConfigurationError(
            'refusals="block" cannot go with mode="sentence": a reply cannot tell an answer that '
            "has ended from one whose last sentence is not complete",
            hint='refusals="text"',
        )
    chosen: Refusals = _one_of("refusals", refusals, Refusals)
    return chosen


def _one_of(name: str, value: Any, choices: Any) -> Any:
    if value not in get_args(choices):
        raise ConfigurationError(f"{name} must be one of {', '.join(get_args(choices))}, got {value!r:.40}")
    return value
