"""How a guard is served: settings from a YAML or TOML file, or from keywords.

What was calibrated (alpha, score, thresholds, embedder) is not here: it lives in
the calibration artifact and cannot be changed when serving.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ragguard.errors import ConfigurationError
from ragguard.types import Mode, OnError


class GuardSettings(BaseModel):
    """One guard of the pipeline.

    Attributes:
        use: its registered name, e.g. "consistency".
        mode, on_error: see `Mode` and `OnError`.
        options: keyword arguments of the guard.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    use: str
    mode: Mode = Mode.ENFORCE
    on_error: OnError = OnError.REFUSE
    options: Mapping[str, Any] = Field(default_factory=dict)


class Settings(BaseModel):
    """How to serve.

    Attributes:
        generator: a registered generator, e.g. "extractive" or "smollm2", or None.
        generator_options: its keyword arguments.
        retrieval: mode and failure policy of the conformal cut.
        guards: before and after the cut, in order; the default is the answer gate alone.
        deadline: seconds for a whole turn, or None.
        messages: shown instead of an answer, by reason or action name.
        on_expired: what an expired calibration becomes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    generator: str | None = None
    generator_options: Mapping[str, Any] = Field(default_factory=dict)
    retrieval: GuardSettings = GuardSettings(use="conformal_retrieval")
    guards: tuple[GuardSettings, ...] = (GuardSettings(use="consistency"),)
    deadline: float | None = Field(default=None, gt=0)
    messages: Mapping[str, str] = Field(default_factory=dict)
    on_expired: Literal["degrade", "error"] = "degrade"


def load_settings(path: str | Path) -> Settings:
    """Read settings from a .yaml, .yml or .toml file.

    Raises:
        ConfigurationError: the file cannot be read or parsed, or a setting is unknown or invalid.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"settings file {path} cannot be read: {type(error).__name__}", hint="write valid YAML or TOML"
        ) from error
    if not isinstance(content, dict | None):
        raise ConfigurationError(f"settings file {path} holds no mapping", hint="write `name: value` lines")
    try:
        return Settings.model_validate(content or {})
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(
            f"settings file {path}: {wrong}", hint=f"known: {', '.join(Settings.model_fields)}"
        ) from error
