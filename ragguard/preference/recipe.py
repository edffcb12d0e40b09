"""How a reranker is trained: every setting that shapes the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ragguard.errors import ConfigurationError, UnreadableFileError

Objective = Literal["point", "pair", "contrastive"]


class Settings(BaseModel):
    """Settings of a training run; the defaults suit a few hundred probed questions.

    Attributes:
        objectives: which losses.
        weighting: "equal"; "mgda"; "auto" trains with both and takes equal weights
            unless the other proves better on the validation questions.
        mgda_normalise: of gradients before solving, "l2" or "none" (the published form,
            which gives nearly all weight to the objective nearest to solved).
        point: "labelled" (aligned and unaligned passages) or "soft" (every gain).
        contrastive: "listwise" on scores, or "supervised" on representations.
        temperature: of the supervised form.
        tie: gains that differ by no more are equal.
        borrowed: passages of other questions a question is also scored with, as negatives.
        questions: of a step.
        passages: of a question in a step, at most; more are drawn anew each epoch.
        epochs: passes over the training questions, at most.
        learning_rate: at its highest; it falls linearly to 0.
        warm_up: share of the steps in which it rises.
        weight_decay: of matrices.
        max_tokens: of a pair; None for what the base takes.
        freeze_embeddings: leave the table of words as it is.
        evaluations: of the validation questions an epoch.
        patience: evaluations without a better one before training stops.
        shares: of questions held out for validation and for the test.
        similar: share of content words in common from which questions stay in one split.
        foreign: what becomes of questions whose passages seem to be another question's.
        risk: of promoting by chance, one-sided.
        seed: of everything drawn.
        threads: of torch; None leaves them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    objectives: tuple[Objective, ...] = ("point", "pair", "contrastive")
    weighting: Literal["equal", "mgda", "auto"] = "auto"
    mgda_normalise: Literal["l2", "none"] = "l2"
    point: Literal["labelled", "soft"] = "labelled"
    contrastive: Literal["listwise", "supervised"] = "listwise"
    temperature: float = Field(default=0.07, gt=0)
    tie: float = Field(default=0.0, ge=0, lt=2)
    borrowed: int = Field(default=2, ge=0, le=16)
    questions: int = Field(default=4, ge=1, le=64)
    passages: int = Field(default=6, ge=2, le=64)
    epochs: int = Field(default=3, ge=1)
    learning_rate: float = Field(default=2e-5, gt=0)
    warm_up: float = Field(default=0.1, ge=0, lt=1)
    weight_decay: float = Field(default=0.01, ge=0)
    max_tokens: int | None = Field(default=None, ge=16)
    freeze_embeddings: bool = True
    evaluations: int = Field(default=2, ge=1)
    patience: int = Field(default=3, ge=1)
    shares: tuple[float, float] = (0.2, 0.3)
    similar: float = Field(default=0.8, gt=0, le=1)
    foreign: Literal["report", "drop", "refuse"] = "report"
    risk: float = Field(default=0.025, gt=0, lt=0.5)
    seed: int = Field(default=2026, ge=0)
    threads: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _usable(self) -> Settings:
        if not self.objectives or len(set(self.objectives)) != len(self.objectives):
            raise ValueError("`objectives` names one to three, each once")
        if min(self.shares) <= 0 or sum(self.shares) >= 1:
            raise ValueError("`shares` are above 0 and below 1 together")
        return self

    @property
    def weightings(self) -> tuple[str, ...]:
        """The weightings to train with, the default first."""
        if self.weighting == "auto":
            return ("equal", "mgda") if len(self.objectives) > 1 else ("equal",)
        return (self.weighting,)


def read_settings(path: Path) -> Settings:
    """Return the settings of a YAML file.

    Raises:
        UnreadableFileError: it cannot be read, or is no YAML.
        ConfigurationError: a setting is unknown or out of range; the message names it.
    """
    try:
        values: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UnreadableFileError(f"cannot read {path.name} as YAML", hint="check the file") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path.name} holds no mapping", hint="write `epochs: 3` and so on")
    return settings_of(values, source=path.name)


def settings_of(values: dict[str, Any], *, source: str = "settings") -> Settings:
    """Return validated settings.

    Raises:
        ConfigurationError: a setting is unknown or out of range; the message names it.
    """
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        raise ConfigurationError(f"{source}: {where}: {first['msg']}", hint="see docs") from error
