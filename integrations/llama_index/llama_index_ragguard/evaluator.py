"""RagGuardFaithfulnessEvaluator: the guard's judgement of an answer as an evaluation."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from llama_index.core.evaluation.base import BaseEvaluator, EvaluationResult
from llama_index.core.prompts.mixin import PromptDictType

from ragguard.adapting import as_pipeline
from ragguard.errors import InvalidValueError
from ragguard.types import Action, Passage, Reason, Report, Stage, Turn, Verdict

_NOT_JUDGED = (Reason.GUARD_ERROR, Reason.DEADLINE, Reason.MODEL_ABSTAINED)
_UNASKED = "What do the passages say?"
"""Stands for the question where none is given."""


class RagGuardFaithfulnessEvaluator(BaseEvaluator):
    """Passing when no guard has anything against the answer, by the contexts alone.

    The score is that of the least supported claim, in [0, 1]. Feedback is one sentence
    that says why, and how many claims are not supported; it quotes neither answer nor
    contexts. An answer that only abstains, or that a guard failed on, is an invalid
    result with its reason.

    Args:
        guard: a `ragguard.Guard`, a `Pipeline`, or guards and `Step`s in order; one must judge answers.

    Raises:
        ConfigurationError: no guard judges answers.
    """

    def __init__(self, guard: Any) -> None:
        self._pipeline = as_pipeline(guard)

    def evaluate(
        self,
        query: str | None = None,
        response: str | None = None,
        contexts: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> EvaluationResult:
        """Judge an answer by its contexts.

        Raises:
            InvalidValueError: there is no response, or there are no contexts to judge it by.
        """
        report = self._pipeline.check(_turn(query, response, contexts))
        return _result(query, response, contexts, report)

    async def aevaluate(
        self,
        query: str | None = None,
        response: str | None = None,
        contexts: Sequence[str] | None = None,
        sleep_time_in_seconds: float = 0,
        **kwargs: Any,
    ) -> EvaluationResult:
        """`evaluate`, with every guard on a worker; it sleeps first where upstream's runner says so."""
        await asyncio.sleep(sleep_time_in_seconds)
        report = await self._pipeline.acheck(_turn(query, response, contexts))
        return _result(query, response, contexts, report)

    def _get_prompts(self) -> PromptDictType:
        return {}

    def _update_prompts(self, prompts: PromptDictType) -> None:
        """Nothing here is asked of a language model."""


def _turn(query: str | None, response: str | None, contexts: Sequence[str] | None) -> Turn:
    if response is None or contexts is None:
        raise InvalidValueError("faithfulness needs a response and its contexts")
    passages = tuple(Passage(id=f"context-{place}", text=text) for place, text in enumerate(contexts))
    question = query if query is not None and query.strip() else _UNASKED
    return Turn(question=question, passages=passages, answer=response)


def _result(
    query: str | None, response: str | None, contexts: Sequence[str] | None, report: Report
) -> EvaluationResult:
    judged = [v for v in report.verdicts if v.stage is Stage.ANSWER]
    against = next((v for v in judged if v.action is not Action.PASS or v.reason is not Reason.OK), None)
    reason = report.reason if against is None else against.reason
    passing = report.action is Action.PASS and against is None
    invalid = reason in _NOT_JUDGED
    scores = [v.score for v in judged if v.score is not None]
    return EvaluationResult(
        query=query,
        response=response,
        contexts=contexts,
        passing=None if invalid else passing,
        score=None if invalid else _score(scores, passing=passing),
        feedback=_feedback(reason, judged),
        invalid_result=invalid,
        invalid_reason=reason.sentence if invalid else None,
    )


def _score(scores: Sequence[float], *, passing: bool) -> float:
    return min(scores, default=1.0 if passing else 0.0)


def _feedback(reason: Reason, judged: Sequence[Verdict]) -> str:
    failing = sum(len(v.details.get("unsupported", ())) for v in judged)
    claims = sum(int(v.details.get("claims", 0)) for v in judged)
    return f"{reason.sentence} Claims not supported: {failing} of {claims}." if claims else reason.sentence
