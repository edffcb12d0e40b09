"""Options that `ask` and `check` share: which guard serves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ragguard.config import Settings, load_settings
from ragguard.errors import QuestionSetError
from ragguard.types import Message

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


def messages(history: Any, where: str) -> list[Message]:
    """Return the messages of a JSON history of {"role", "text"} objects.

    Raises:
        QuestionSetError: it is anything else.
    """
    try:
        return [Message.model_validate(m) for m in history or ()]
    except (ValidationError, TypeError):
        hint = 'a list of {"role": "user" | "assistant" | "system", "text": "..."}'
        raise QuestionSetError(f"{where}: history cannot be used", hint=hint) from None
