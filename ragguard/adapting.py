"""What every adapter does alike: guards of any shape as one pipeline, under a policy, behind a calibrated path."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

from ragguard.alignment.guard import ConsistencyGuard
from ragguard.conformal.calibration import Calibration
from ragguard.conformal.guard import ConformalRetrievalGuard
from ragguard.errors import ConfigurationError, InvalidValueError
from ragguard.guard import Guard
from ragguard.pipeline import Pipeline, Step
from ragguard.protocols import TurnGuard
from ragguard.types import Mode, Stage

Policy = Literal["refuse", "redact", "annotate", "regenerate", "interrupt", "raise"]
"""What becomes of an answer that fails."""
UnattendedPolicy = Literal["refuse", "redact", "annotate", "regenerate", "raise"]
"""The same, for a framework that cannot wait for a person."""
StreamMode = Literal["withhold", "sentence"]
"""What a stream lets out: nothing before all of it is judged, or each sentence once it is."""

_NEEDS_CLAIMS = ("redact", "annotate", "regenerate")
_NEEDS_THE_WHOLE = ("regenerate", "interrupt")
_JUDGED = {Stage.QUESTION: "questions", Stage.PASSAGES: "passages", Stage.ANSWER: "answers"}


def as_pipeline(guard: Any, *stages: Stage) -> Pipeline:
    """Return a guard of any shape as the pipeline that judges.

    Args:
        guard: a `ragguard.Guard`, a `Pipeline`, or guards and `Step`s in order.
        stages: one of them at least must be judged, by a guard that is not off; by
            default answers.

    Raises:
        ConfigurationError: it is something else, or no guard judges at these stages.
    """
    if isinstance(guard, Guard):
        pipeline = guard.pipeline
    elif isinstance(guard, Pipeline):
        pipeline = guard
    else:
        guards = guard if isinstance(guard, list | tuple) else [guard]
        if any(not isinstance(one, Step | TurnGuard) for one in guards):
            raise ConfigurationError("guard is neither a Guard, a Pipeline nor guards in a list")
        pipeline = Pipeline(guards)
    wanted = stages or (Stage.ANSWER,)
    if not any(step.guard.stages & {*wanted} for step in _at_work(pipeline)):
        judged = " or ".join(_JUDGED.get(stage, stage.value) for stage in wanted)
        passages = "e.g. the guard of a calibrated retriever"
        hint = "e.g. ConsistencyGuard()" if Stage.ANSWER in wanted else passages
        raise ConfigurationError(f"no guard judges {judged}", hint=hint)
    return pipeline


def with_steps(pipeline: Pipeline, steps: Iterable[Step]) -> Pipeline:
    """Return a pipeline of these steps with the other's deadline, observers and messages."""
    return Pipeline(
        steps, deadline=pipeline.deadline, observers=pipeline.observers, messages=pipeline.messages
    )


def under_policy(pipeline: Pipeline, policy: str | None, *, attempts: int | None = None) -> Pipeline:
    """Return the pipeline with copies of its `ConsistencyGuard`s under a policy; other guards are left as they are.

    To raise, or to ask a person, is the adapter's: for these two the guards refuse.

    Args:
        pipeline: is not changed.
        policy: None leaves each guard its own, and returns the pipeline itself.
        attempts: how often an answer is asked for anew; None leaves it to the guards.

    Raises:
        InvalidValueError: there is no such policy.
        ConfigurationError: the policy is about claims, and no guard at work is a `ConsistencyGuard`.
    """
    require_policy(policy)
    if policy is None:
        return pipeline
    if policy in _NEEDS_CLAIMS and not any(isinstance(s.guard, ConsistencyGuard) for s in _at_work(pipeline)):
        raise ConfigurationError(
            f"no guard here knows the policy {policy!r}",
            hint="add a ConsistencyGuard, or set it at your own guard and leave policy out",
        )
    return with_steps(pipeline, [replace(s, guard=_under(s.guard, policy, attempts)) for s in pipeline.steps])


def require_policy(policy: str | None, known: Any = Policy) -> None:
    """Return only for one of the policies, or None.

    Args:
        policy: as an adapter was given it.
        known: `Policy`, or a `Literal` of those that the framework can carry out.

    Raises:
        InvalidValueError: there is no such policy here.
    """
    if policy is not None and policy not in get_args(known):
        raise InvalidValueError(
            f"policy must be one of {', '.join(get_args(known))}", hint="None leaves it to the guards"
        )


def require_mode(mode: str, policy: str | None = None) -> None:
    """Return only for a mode of streaming that the policy goes with.

    Raises:
        InvalidValueError: there is no such mode.
        ConfigurationError: the policy needs the whole answer before any of it is shown.
    """
    if mode not in get_args(StreamMode):
        raise InvalidValueError(f"mode must be one of {', '.join(get_args(StreamMode))}")
    if mode == "sentence" and policy in _NEEDS_THE_WHOLE:
        raise ConfigurationError(f"policy {policy!r} needs the whole answer", hint='mode="withhold"')


def cutting(guard: Guard | Calibration | Path | str, **serve: Any) -> tuple[Guard, Calibration, str]:
    """Return a guard that cuts, its calibration, and the name of the guard in it that cuts.

    Args:
        guard: calibrated; or a `Calibration`, or the folder of one, to make it from.
        serve: arguments of the `Guard` that is made: retriever, guards, rewriter, ...

    Raises:
        ArtifactError: the calibration is unreadable, or for another retriever or guard.
        ConfigurationError: the guard has no calibration.
    """
    if not isinstance(guard, Guard):
        guard = Guard(guard if isinstance(guard, Calibration) else Calibration.load(guard), **serve)
    cuts = [s.guard.name for s in guard.pipeline.steps if isinstance(s.guard, ConformalRetrievalGuard)]
    if guard.calibration is None or not cuts:
        raise ConfigurationError("the guard has no calibration", hint="make one with calibrate")
    return guard, guard.calibration, cuts[0]


def require_path(calibration: Calibration, live: Mapping[str, Any]) -> None:
    """Return only if the calibration was made through what feeds the cut now.

    A guard's own fingerprints are not asked for again: `Guard` has compared the guards
    before the cut. Nor is the rewriter of follow-ups, unless `live` names one: a framework
    that rewrites does so before its retriever.

    Args:
        calibration: of the cut.
        live: fingerprint of the retriever in service.

    Raises:
        CalibrationMismatchError: it was not; every difference is named.
    """
    made = calibration.artifact.fingerprints
    calibration.verify({**{key: made[key] for key in ("rewriter", "upstream") if key in made}, **live})


def _at_work(pipeline: Pipeline) -> list[Step]:
    return [step for step in pipeline.steps if step.mode is not Mode.OFF]


def _under(guard: TurnGuard, policy: str, attempts: int | None) -> TurnGuard:
    if not isinstance(guard, ConsistencyGuard):
        return guard
    guard = copy.copy(guard)
    guard.policy = cast(Any, policy) if policy in _NEEDS_CLAIMS else "refuse"
    guard.attempts = guard.attempts if attempts is None else attempts
    return guard
