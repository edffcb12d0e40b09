"""What judges answers: a guard of any shape as one pipeline, under the policy of the adapter."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal, get_args

from ragguard.alignment.guard import ConsistencyGuard
from ragguard.errors import ConfigurationError, InvalidValueError
from ragguard.guard import Guard
from ragguard.pipeline import Pipeline, Step
from ragguard.protocols import TurnGuard
from ragguard.types import Action, Mode, Reason, Stage, Turn, Verdict

Policy = Literal["refuse", "redact", "annotate", "regenerate", "raise"]
_NEEDS_CLAIMS = ("redact", "annotate", "regenerate")


def as_pipeline(guard: Any, policy: Policy | None = None) -> Pipeline:
    """Return the guard's pipeline; with a policy, every `ConsistencyGuard` of it under that policy.

    Args:
        guard: a `ragguard.Guard`, a `Pipeline`, or guards and `Step`s in order; one must judge answers.
        policy: None leaves each guard its own; "raise" judges as "refuse" does.

    Raises:
        ConfigurationError: no guard judges answers, or none can do what the policy asks.
        InvalidValueError: there is no such policy.
    """
    pipeline = _as_given(guard)
    judges = [s for s in pipeline.steps if Stage.ANSWER in s.guard.stages and s.mode is not Mode.OFF]
    if not judges:
        raise ConfigurationError("no guard judges answers", hint="e.g. guard=ConsistencyGuard()")
    if policy is None:
        return pipeline
    if policy not in get_args(Policy):
        raise InvalidValueError(f"policy must be one of {', '.join(get_args(Policy))}")
    if policy in _NEEDS_CLAIMS and not any(isinstance(s.guard, ConsistencyGuard) for s in judges):
        raise ConfigurationError(f"policy {policy!r} needs a ConsistencyGuard among the guards")
    return with_steps(pipeline, [_under(step, policy) for step in pipeline.steps])


def with_steps(pipeline: Pipeline, steps: Iterable[Step]) -> Pipeline:
    """Return a pipeline of these steps with the other's settings and observers."""
    return Pipeline(
        steps, deadline=pipeline.deadline, observers=pipeline.observers, messages=pipeline.messages
    )


def before_the_answer(pipeline: Pipeline) -> Pipeline | None:
    """Return what looks at questions and passages, without observers, or None where nothing does.

    They hear of the whole turn, once.
    """
    early = [
        s
        for s in pipeline.steps
        if s.mode is Mode.ENFORCE and s.guard.stages & {Stage.QUESTION, Stage.PASSAGES}
    ]
    return Pipeline(early, deadline=pipeline.deadline, messages=pipeline.messages) if early else None


class RequiredEvidence:
    """Abstains from a turn to which nothing was found."""

    name = "evidence_required"
    stages = frozenset({Stage.PASSAGES})

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        """Ask for at least one passage."""
        if turn.passages:
            return Verdict(guard=self.name, stage=stage, action=Action.PASS)
        return Verdict(guard=self.name, stage=stage, action=Action.ABSTAIN, reason=Reason.NO_EVIDENCE)

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        """`check`, which takes no time."""
        return self.check(turn, stage)


def _as_given(guard: Any) -> Pipeline:
    if isinstance(guard, Guard):
        return guard.pipeline
    if isinstance(guard, Pipeline):
        return guard
    guards = guard if isinstance(guard, list | tuple) else [guard]
    if any(not isinstance(g, Step | TurnGuard) for g in guards):
        raise ConfigurationError("guard is neither a Guard, a Pipeline nor guards in a list")
    return Pipeline(guards)


def _under(step: Step, policy: Policy) -> Step:
    if not isinstance(step.guard, ConsistencyGuard):
        return step
    guard = copy.copy(step.guard)
    guard.policy = "refuse" if policy == "raise" else policy
    return replace(step, guard=guard)
