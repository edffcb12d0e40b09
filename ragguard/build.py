"""From settings to a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import TYPE_CHECKING, Any

from ragguard import protocols, registry
from ragguard.config import GuardSettings, Settings
from ragguard.conformal.guard import ConformalRetrievalGuard
from ragguard.pipeline import Pipeline, Step
from ragguard.types import Stage

if TYPE_CHECKING:
    from ragguard.conformal.calibration import Calibration, CorpusChange


_GIVEN_THE_ALIGNER = frozenset({"leave_one_out", "trace"})
"""Guards that read with an aligner and, living in another pillar, know none by themselves."""


def build_pipeline(
    settings: Settings,
    calibration: Calibration | None,
    *,
    guards: Sequence[protocols.TurnGuard | Step] | None = None,
    change: Callable[[], CorpusChange | None] = lambda: None,
    weight: Callable[[str], float] | None = None,
    observers: Sequence[protocols.Observer] = (),
) -> Pipeline:
    """Return the pipeline of the settings: guards before the cut, the cut, and the others, in order.

    Args:
        settings: how to serve.
        calibration: of the cut, or None for a pipeline without one.
        guards: instead of those of the settings. Those that judge passages and are in
            the calibration's `upstream` come before the cut. Those of them that are not
            given, and that the calibration says how to make, are made.
        change: returns how the served corpus differs from the calibrated one.
        weight: of a question, for a weighted calibration.
        observers: see `Pipeline`.
    """
    steps = _steps(settings) if guards is None else [g if isinstance(g, Step) else Step(g) for g in guards]
    upstream = () if calibration is None else calibration.artifact.upstream
    steps = [*map(Step, recorded_guards(calibration, {s.guard.name for s in steps})), *steps]
    before = [s for s in steps if s.guard.name in upstream or Stage.QUESTION in s.guard.stages]
    after = [s for s in steps if s not in before]
    cut = [] if calibration is None else [_cut(settings, calibration, change, weight)]
    return Pipeline(
        [*before, *cut, *after], deadline=settings.deadline, observers=observers, messages=settings.messages
    )


def passage_steps(settings: Settings) -> list[Step]:
    """Return the guards of the settings that judge passages: a cut is calibrated behind them."""
    return [step for step in _steps(settings) if Stage.PASSAGES in step.guard.stages]


def build_generator(settings: Settings) -> protocols.Generator | None:
    """Return the generator of the settings, or None."""
    if settings.generator is None:
        return None
    made: protocols.Generator = registry.create(
        "ragguard.generators", settings.generator, **settings.generator_options
    )
    return made


def _steps(settings: Settings) -> list[Step]:
    return [_step(s, registry.create("ragguard.guards", s.use, **_options(s))) for s in settings.guards]


def recorded_guards(calibration: Calibration | None, given: Set[str]) -> list[protocols.TurnGuard]:
    """Return the guards before the cut that the calibration says how to make and nobody gave."""
    if calibration is None:
        return []
    recipes = calibration.artifact.informative.get("guards") or {}
    return [
        registry.create("ragguard.guards", recipes[name]["use"], **recipes[name]["options"])
        for name in calibration.artifact.upstream
        if name not in given and name in recipes
    ]


def _options(settings: GuardSettings) -> dict[str, Any]:
    """The options, with an aligner given by name made from its entry point; null is none at all."""
    options = dict(settings.options)
    if settings.use in _GIVEN_THE_ALIGNER:
        options.setdefault("aligner", "alignment")
    if isinstance(options.get("aligner"), str):
        options["aligner"] = registry.create("ragguard.aligners", options["aligner"])
    return options


def _cut(
    settings: Settings,
    calibration: Calibration,
    change: Callable[[], CorpusChange | None],
    weight: Callable[[str], float] | None,
) -> Step:
    guard = ConformalRetrievalGuard(calibration, change=change, weight=weight, on_expired=settings.on_expired)
    return _step(settings.retrieval, guard)


def _step(settings: GuardSettings, guard: protocols.TurnGuard) -> Step:
    return Step(guard, mode=settings.mode, on_error=settings.on_error)
