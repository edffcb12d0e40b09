"""Which guards judge answers: from what a pipeline's YAML can hold, or from live objects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ragguard.adapting import as_pipeline, under_policy
from ragguard.build import build_pipeline
from ragguard.config import Settings, load_settings
from ragguard.conformal.calibration import Calibration
from ragguard.errors import ConfigurationError
from ragguard.pipeline import Pipeline


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
    return under_policy(as_pipeline(_live(guard, calibration)), policy)


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


def _live(guard: Any, calibration: Any) -> Any:
    if guard is None or isinstance(guard, str | Path | Mapping | Settings):
        known = Calibration.load(calibration) if isinstance(calibration, str | Path) else calibration
        return build_pipeline(_settings(guard), known)
    if calibration is not None:
        raise ConfigurationError(
            "a live guard has its own calibration", hint="give guard=Guard.load(folder), or settings"
        )
    return guard


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
