"""Whatever a user gives as a guard, as the pipeline that judges answers."""

from __future__ import annotations

from typing import Any

from ragguard.errors import ConfigurationError
from ragguard.guard import Guard
from ragguard.pipeline import Pipeline, Step
from ragguard.protocols import TurnGuard
from ragguard.types import Mode, Stage


def judging(guard: Any, stage: Stage = Stage.ANSWER) -> Pipeline:
    """Return the pipeline behind a guard; something in it judges at the stage.

    Args:
        guard: a `ragguard.Guard`, a `Pipeline`, or guards and `Step`s in order.
        stage: that must not be left to chance.

    Raises:
        ConfigurationError: it is something else, or no guard judges at that stage.
    """
    if isinstance(guard, Guard):
        pipeline = guard.pipeline
    elif isinstance(guard, Pipeline):
        pipeline = guard
    else:
        guards = guard if isinstance(guard, list | tuple) else [guard]
        if any(not isinstance(g, Step | TurnGuard) for g in guards):
            raise ConfigurationError("guard is neither a Guard, a Pipeline nor guards in a list")
        pipeline = Pipeline(guards)
    if not any(stage in s.guard.stages and s.mode is not Mode.OFF for s in pipeline.steps):
        raise ConfigurationError(f"no guard judges at the stage {stage.value!r}", hint=_HINTS.get(stage, ""))
    return pipeline


_HINTS = {
    Stage.ANSWER: "e.g. guard=ConsistencyGuard()",
    Stage.PASSAGES: "e.g. a Guard with a calibration",
}
