"""What one training run is made of: which data, how much of each, and how long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ragguard.errors import ConfigurationError, UnreadableFileError

_NAMED = ("bundled", "bundled-large", "smollm2")


class Recipe(BaseModel):
    """Settings of a training run, read from YAML; everything that shapes the weights is here.

    Attributes:
        data: folder of the data sets.
        output: folder of the run: its state, its log, and what it was made of.
        backbone: "bundled" or a folder of an encoder to start from; "smollm2" or the folder of a
            Llama to train an adapter on.
        start: folder of an alignment model or of another run to go on from, of the same
            shape as `backbone`; None for fresh heads.
        sets: data set -> how often each of its examples is used, e.g. 0.5 or 2.
        corpora: JSON files, lists of {"title", "text"}, from which examples are made.
        made_per_passage: sentences used of each passage; 0 makes none.
        dialogues: how often examples with a conversation as their source are made; 0: never.
        questions: how often question-answer and relevance examples are used; 0: never.
        max_tokens: longest pair, special tokens included; longer ones lose the end of the source.
        batch_tokens: rows x length of a batch.
        learning_rate: at its highest, after the warm-up; it falls linearly to 0.
        head_rate: the heads' own rate, as a multiple.
        epochs: passes over the mixture.
        threads: of torch.
        lora_rank: of the adapter on a decoder; encoders are trained whole.
        lora_alpha: the adapter is scaled by lora_alpha / lora_rank.
        bidirectional: every token of a decoder sees every other.
        teacher: "bundled", "bundled-large" or a model's folder, for soft labels; None for none.
        distil_weight: share of the soft labels in the loss, in [0, 1].
        unlabelled: corpora as above, from which pairs without labels are made for the teacher.
        unlabelled_per_passage: sentences used of each of their passages.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Path
    output: Path
    backbone: str = "bundled"
    start: Path | None = None
    sets: dict[str, float] = Field(default_factory=dict)
    corpora: tuple[str, ...] = ()
    made_per_passage: int = Field(default=2, ge=0)
    made_rounds: int = Field(default=1, ge=0)
    dialogues: float = Field(default=0.0, ge=0)
    questions: float = Field(default=1.0, ge=0)
    max_tokens: int = Field(default=224, ge=16, le=512)
    batch_tokens: int = Field(default=4096, ge=32)
    learning_rate: float = Field(default=1e-4, gt=0)
    head_rate: float = Field(default=5.0, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    warm_up: float = Field(default=0.06, ge=0, lt=1)
    epochs: int = Field(default=1, ge=1)
    most_steps: int | None = Field(default=None, ge=1)
    save_every: int = Field(default=200, ge=1)
    seed: int = 2026
    threads: int | None = Field(default=None, ge=1)
    freeze_embeddings: bool = True
    lora_rank: int = Field(default=16, ge=1, le=256)
    lora_alpha: float = Field(default=32.0, gt=0)
    bidirectional: bool = False
    teacher: str | None = None
    distil_weight: float = Field(default=0.5, ge=0, le=1)
    unlabelled: tuple[str, ...] = ()
    unlabelled_per_passage: int = Field(default=1, ge=0)

    @model_validator(mode="after")
    def _is_taught(self) -> Recipe:
        if self.unlabelled and self.teacher is None:
            raise ValueError("`unlabelled` needs a `teacher`")
        return self


def read_recipe(path: Path) -> Recipe:
    """Return the recipe of a YAML file; relative paths in it count from the file's folder.

    Raises:
        UnreadableFileError: it cannot be read, or is no YAML.
        ConfigurationError: a setting is unknown or out of range; the message names it.
    """
    try:
        values: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UnreadableFileError(f"cannot read {path.name} as YAML", hint="check the file") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path.name} holds no mapping", hint="write `data: ...` and so on")
    try:
        recipe = Recipe(**values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{path.name}: {where}: {first['msg']}", hint="see docs") from error
    base = path.resolve().parent
    moved = {
        name: (base / value).resolve() for name in ("data", "output") if (value := getattr(recipe, name))
    }
    if recipe.start is not None:
        moved["start"] = (base / recipe.start).resolve()
    backbone = (base / recipe.backbone).resolve()
    named = {"backbone": str(backbone)} if recipe.backbone not in _NAMED and backbone.is_dir() else {}
    if recipe.teacher is not None and recipe.teacher not in _NAMED:
        named["teacher"] = str((base / recipe.teacher).resolve())
    return recipe.model_copy(update={**moved, **named})
