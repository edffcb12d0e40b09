"""Options that `ask` and `check` share: which guard serves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragguard.config import Settings, load_settings

if TYPE_CHECKING:
    from ragguard.guard import Guard


def loaded_guard(folder: Path, config: Path | None, *, generator: str | None = None) -> Guard:
    """Return the guard of a calibrated folder, served by a settings file if one is given."""
    from ragguard.conformal.calibration import Calibration
    from ragguard.corpus.folder import RECIPE_FILE
    from ragguard.guard import Guard

    settings = load_settings(config) if config is not None else Settings()
    if generator is not None:
        settings = settings.model_copy(update={"generator": generator, "generator_options": {}})
    if not (folder / RECIPE_FILE).exists():
        # Calibrated from runs: passages come with the turns, scored by that retriever.
        return Guard(Calibration.load(folder), settings=settings)
    return Guard.load(folder, settings=settings)


def messages(history: Any) -> list[tuple[str, str]]:
    """Return (role, text) pairs from a JSON history of {"role", "text"} objects."""
    return [(m["role"], m["text"]) for m in history or ()]
