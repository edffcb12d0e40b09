"""Whatever a user gives as a guard, as the pipeline that judges at a stage."""

from __future__ import annotations

from typing import Any

from langchain_ragguard.verifier_input import as_pipeline
from ragguard.errors import ConfigurationError
from ragguard.pipeline import Pipeline
from ragguard.types import Mode, Stage

_HINTS = {
    Stage.ANSWER: "e.g. guard=ConsistencyGuard()",
    Stage.PASSAGES: "e.g. the guard of a calibrated GuardedRetriever",
}


def judging(guard: Any, stage: Stage = Stage.ANSWER) -> Pipeline:
    """Return the pipeline behind a guard; something in it judges at the stage.

    Args:
        guard: a `ragguard.Guard`, a `Pipeline`, or guards and `Step`s in order.
        stage: that must not be left to chance.

    Raises:
        ConfigurationError: it is something else, or no guard judges at that stage.
    """
    pipeline = as_pipeline(guard)
    if not any(stage in s.guard.stages and s.mode is not Mode.OFF for s in pipeline.steps):
        raise ConfigurationError(f"no guard judges at the stage {stage.value!r}", hint=_HINTS.get(stage, ""))
    return pipeline
