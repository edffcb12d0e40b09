"""Which guards judge answers: from what a pipeline's YAML can hold, or from live objects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import ValidationError

from ragguard.alignment.guard import ConsistencyGuard
from ragguard.build import build_pipeline
from ragguard.config import Settings, load_settings
from ragguard.conformal.calibration import Calibration
from ragguard.errors import ConfigurationError, InvalidValueError
from ragguard.guard import Guard
from ragguard.pipeline import Pipeline, Step
from ragguard.protocols import TurnGuard
from ragguard.types import Mode, Stage

Policy = Literal["refuse", "redact", "annotate", "regenerate", "raise"]


def require_policy(policy: str | None) -> None:
    """Return only for a policy that Haystack can carry out, or None.

    Raises:
        InvalidValueError: there is no such policy.
    """
    if policy is not None and policy not in get_args(Policy):
        raise InvalidValueError(
            f"policy must be one of {', '.join(get_args(Policy))}", hint="None leaves it to the guard"
        )


def answer_pipeline(guard: Any, *, calibration: Any = None, policy: str | None = None) -> Pipeline:
    """Return the pipeline that judges answers.

    Args:
        guard: None for the settings' default, a mapping of settings or the path of a file
            of them, or live: a `Guard`, a `Pipeline`, a guard, `Step`s.
        calibration: of the cut that the passages went through, a folder or a
            `Calibration`, so that its promise stays with the answer; not beside a live guard.
        policy: for the `ConsistencyGuard` among the guards; None leaves its own.

    Raises:
        ConfigurationError: no guard judges answers, or settings and arguments do not go together.
    """
    pipeline = _pipeline(guard, calibration)
    judging = [s for s in pipeline.steps if Stage.ANSWER in s.guard.stages and s.mode is not Mode.OFF]
    if not judging:
        raise ConfigurationError("no guard judges answers", hint="e.g. guard=ConsistencyGuard()")
    return pipeline if policy is None else _with_policy(pipeline, policy)


def plain_guard(guard: Any) -> Any:
    """Return the guard as YAML can hold it: None, a path, or a mapping of settings.

    Raises:
        ConfigurationError: it is a live object.
    """
    if guard is None or isinstance(guard, str):
        return guard
    if isinstance(guard, Path):
        return str(guard)
    if isinstance(guard, Settings):
        return guard.model_dump(mode="json")
    if isinstance(guard, Mapping):
        return _settings(guard).model_dump(mode="json", exclude_unset=True)
    raise ConfigurationError(
        f"a {type(guard).__name__} cannot be written into a pipeline's YAML",
        hint="pass guard={'guards': [{'use': 'consistency'}]}, or the path of a settings file",
    )


def plain_calibration(calibration: Any) -> str | None:
    """Return the calibration's folder, or None for none.

    Raises:
        ConfigurationError: it is a live object.
    """
    if calibration is None or isinstance(calibration, str | Path):
        return None if calibration is None else str(calibration)
    raise ConfigurationError("a live calibration cannot be written into YAML", hint="pass its folder")


def warm_up(pipeline: Pipeline) -> None:
    """Load what the guards need now, so that the first turn does not wait for it."""
    for step in pipeline.steps:
        if callable(warm := getattr(step.guard, "warm_up", None)):
            warm()


def _pipeline(guard: Any, calibration: Any) -> Pipeline:
    if guard is None or isinstance(guard, str | Path | Mapping | Settings):
        known = Calibration.load(calibration) if isinstance(calibration, str | Path) else calibration
        return build_pipeline(_settings(guard), known)
    if calibration is not None:
        raise ConfigurationError(
            "a live guard has its own calibration", hint="give guard=Guard.load(folder), or settings"
        )
    if isinstance(guard, Guard):
        return guard.pipeline
    if isinstance(guard, Pipeline):
        return guard
    guards = guard if isinstance(guard, list | tuple) else [guard]
    if any(not isinstance(g, Step | TurnGuard) for g in guards):
        raise ConfigurationError("guard is neither settings, a Guard, a Pipeline nor guards in a list")
    return Pipeline(guards)


def _settings(guard: str | Path | Mapping[str, Any] | Settings | None) -> Settings:
    if isinstance(guard, Settings):
        return guard
    if isinstance(guard, str | Path):
        return load_settings(guard)
    try:
        return Settings.model_validate(dict(guard or {}))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(
            f"guard: {wrong}", hint=f"known: {', '.join(Settings.model_fields)}"
        ) from error


def _with_policy(pipeline: Pipeline, policy: str) -> Pipeline:
    """The same pipeline with its consistency guards at the policy; "raise" refuses first."""
    wanted: Any = "refuse" if policy == "raise" else policy
    steps = [Step(_at(s.guard, wanted), mode=s.mode, on_error=s.on_error) for s in pipeline.steps]
    if wanted != "refuse" and all(type(s.guard) is not ConsistencyGuard for s in steps):
        raise ConfigurationError(
            f"no guard here knows the policy {policy!r}",
            hint="set it at your own guard, and leave policy out",
        )
    return Pipeline(
        steps, deadline=pipeline.deadline, observers=pipeline.observers, messages=pipeline.messages
    )


def _at(guard: TurnGuard, policy: Any) -> TurnGuard:
    if type(guard) is not ConsistencyGuard or guard.policy == policy:
        return guard
    return ConsistencyGuard(
        guard.aligner, threshold=guard.threshold, policy=policy, attempts=guard.attempts, name=guard.name
    )
