"""The training loop: resumable at any step, and the same for the same recipe.

State is written every few minutes as safetensors and JSON, each file in full
before it takes the old one's place; a run that was killed goes on from there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ragguard.alignment.training.backbones import kept_state, near_words, put_back, start_of
from ragguard.alignment.training.batches import Encoded, collate, encode, plan
from ragguard.alignment.training.distilling import distillation_loss
from ragguard.alignment.training.loss import alignment_loss
from ragguard.alignment.training.mixture import check_paths, counts, mixture
from ragguard.alignment.training.recipe import Recipe
from ragguard.alignment.training.teaching import soft_labels_of, unlabelled_of
from ragguard.errors import ConfigurationError, UnreadableFileError
from ragguard.models.cpu import has_bfloat16
from ragguard.models.lora import load_adapter
from ragguard.models.lora_folder import ADAPTER, is_adapter_folder
from ragguard.models.pair_encoder import PairEncoder
from ragguard.models.pair_model import load_pair_model
from ragguard.protocols import Progress

RECIPE, MIXTURE = "recipe.json", "mixture.json"
_STATE = "state.safetensors"
_PROGRESS = "progress.json"
_LOG = "log.jsonl"


@dataclass
class Progressed:
    """How far a run is: steps done of steps in all, pairs seen, seconds spent, last mean loss."""

    step: int = 0
    steps: int = 0
    pairs: int = 0
    seconds: float = 0.0
    loss: float = float("nan")


Watch = Callable[[Progressed], bool]
"""Called after every step; False stops the run there, its state written."""


def train(recipe: Recipe, *, progress: Progress | None = None, watch: Watch | None = None) -> Path:
    """Train by a recipe, going on where an earlier run with this output folder stopped.

    Args:
        progress: called as progress("training", steps done, steps in all).
        watch: sees every step, and may stop the run.

    Returns:
        The output folder: `state.safetensors` (weights and optimiser), `progress.json`,
        `mixture.json` (examples by origin) and `log.jsonl` (loss every 20 steps).

    Raises:
        ConfigurationError: the output folder holds a run of another recipe.
        UnreadableFileError: its state, the data, or the model to start from cannot be read.
    """
    check_paths(recipe)
    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    return _Run(recipe).go(progress or (lambda *_: None), watch or (lambda _: True))


class _Run:
    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        recipe.output.mkdir(parents=True, exist_ok=True)
        self._same_recipe()
        self.model, self.tokens = start_of(recipe.model_dump())
        if recipe.start is not None:
            put_back(self.model, _start(recipe.start))
        self.data, self.plans, self.soft = self._data()
        _require_a_batch(self.plans)
        self.optimiser = _optimiser(self.model, recipe)
        self.done = Progressed(steps=self._steps())
        self._resume()

    def go(self, progress: Progress, watch: Watch) -> Path:
        recipe, done = self.recipe, self.done
        bf16 = has_bfloat16()
        self.model.train()
        losses: list[float] = []
        started = time.monotonic() - done.seconds
        while done.step < done.steps:
            epoch, place = divmod(done.step, len(self.plans))
            if place == 0 and epoch:
                self.plans = plan(self.data, batch_tokens=recipe.batch_tokens, seed=recipe.seed + epoch)
            batch = collate(self.data, self.plans[place], pad=self.tokens.pad_id)
            _set_rate(self.optimiser, recipe, done.step / done.steps)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
                logits = self.model(batch.ids, batch.mask, batch.types)
            loss = alignment_loss(logits.float(), batch.binary, batch.three_way, batch.similarity)
            if self.soft is not None:
                told, share = self.soft[torch.from_numpy(self.plans[place])], recipe.distil_weight
                loss = (1 - share) * loss + share * distillation_loss(logits.float(), told)
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimiser.step()
            self.optimiser.zero_grad(set_to_none=True)
            losses.append(float(loss.detach()))
            done.step, done.pairs = done.step + 1, done.pairs + len(batch.ids)
            done.seconds = time.monotonic() - started
            if done.step % 20 == 0:
                done.loss = sum(losses) / len(losses)
                losses.clear()
                self._log()
            progress("training", done.step, done.steps)
            goes_on = watch(replace(done))
            if done.step % recipe.save_every == 0 or done.step == done.steps or not goes_on:
                self._save()
            if not goes_on:
                break
        return recipe.output

    def _same_recipe(self) -> None:
        path = self.recipe.output / RECIPE
        mine = self.recipe.model_dump(mode="json", exclude={"threads", "save_every", "data", "output"})
        # A run begun before a setting existed had its default.
        defaults = {name: mine[name] for name in mine if mine[name] == _default(name)}
        if path.exists() and defaults | json.loads(path.read_text(encoding="utf-8")) != mine:
            raise ConfigurationError(
                f"{self.recipe.output.name} holds a run of another recipe", hint="choose another `output`"
            )
        _write(path, json.dumps(mine, indent=1))

    def _data(self) -> tuple[Encoded, list[Any], Tensor | None]:
        recipe = self.recipe
        near = near_words(self.model, self.tokens) if recipe.made_per_passage else None
        examples = mixture(recipe, near=near) + unlabelled_of(recipe)
        _write(self.recipe.output / MIXTURE, json.dumps(counts(examples), indent=1))
        data = encode(examples, self.tokens)
        plans = plan(data, batch_tokens=recipe.batch_tokens, seed=recipe.seed)
        return data, plans, soft_labels_of(recipe, examples)

    def _steps(self) -> int:
        steps = len(self.plans) * self.recipe.epochs
        return min(steps, self.recipe.most_steps or steps)

    def _resume(self) -> None:
        if not (self.recipe.output / _PROGRESS).exists():
            return
        self.done, state = progressed(self.recipe.output), _state(self.recipe.output)
        put_back(self.model, {k[6:]: v for k, v in state.items() if k.startswith("model.")})
        restored = _optimiser_state(self.optimiser, state)
        self.optimiser.load_state_dict(restored)
        epoch = self.done.step // len(self.plans)
        if epoch:
            seed = self.recipe.seed + epoch
            self.plans = plan(self.data, batch_tokens=self.recipe.batch_tokens, seed=seed)

    def _save(self) -> None:
        state = {f"model.{name}": value.contiguous() for name, value in kept_state(self.model).items()}
        for place, values in self.optimiser.state_dict()["state"].items():
            for name, value in values.items():
                state[f"optimiser.{place}.{name}"] = torch.as_tensor(value).contiguous()
        new = self.recipe.output / f"{_STATE}.new"
        # With the weights: a run killed between the two files goes on from what the weights have seen.
        save_file(state, new, metadata={"progress": json.dumps(asdict(self.done))})
        new.replace(self.recipe.output / _STATE)
        _write(self.recipe.output / _PROGRESS, json.dumps(asdict(self.done)))

    def _log(self) -> None:
        with (self.recipe.output / _LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(self.done)) + "\n")


def progressed(output: Path) -> Progressed:
    """Return how far the run of this folder has come, as its last state has it.

    Raises:
        UnreadableFileError: the folder holds no run, or a file of it is damaged.
    """
    try:
        with safe_open(output / _STATE, framework="pt") as file:
            kept = (file.metadata() or {}).get("progress")
        return Progressed(**json.loads(kept or (output / _PROGRESS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise UnreadableFileError(f"{output.name} holds no run to go on from", hint="train anew") from error


def _require_a_batch(plans: Sequence[Any]) -> None:
    if not plans:
        raise ConfigurationError("the recipe gives too few examples for a batch", hint="name more `sets`")


def _default(name: str) -> Any:
    value = Recipe.model_fields[name].get_default(call_default_factory=True)
    return list(value) if isinstance(value, tuple) else value  # as JSON has it


def trained(output: Path) -> PairEncoder:
    """Return the model of a run's last state.

    Raises:
        UnreadableFileError: the folder holds no run, or a file of it is damaged.
    """
    model, _ = start_of(recorded(output))
    put_back(model, _weights(output))
    model.eval()
    return model


def recorded(output: Path) -> dict[str, Any]:
    """Return the recipe that a run's folder was trained by: all that shapes the weights.

    Raises:
        UnreadableFileError: the folder holds no run.
    """
    try:
        found: dict[str, Any] = json.loads((output / RECIPE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnreadableFileError(f"{output.name} holds no run", hint="train first") from error
    return found


def _start(folder: Path) -> dict[str, Any]:
    """The weights to go on from: of another run's folder, or of a model's."""
    if (folder / _STATE).exists():
        return _weights(folder)
    if is_adapter_folder(folder):
        return dict(load_adapter(folder / ADAPTER).state)
    return dict(load_pair_model(folder).encoder.state_dict())


def _weights(output: Path) -> dict[str, Any]:
    return {k[6:]: v for k, v in _state(output).items() if k.startswith("model.")}


def _state(output: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = load_file(output / _STATE)
    except (OSError, ValueError, SafetensorError) as error:
        raise UnreadableFileError(f"{_STATE} of {output.name} cannot be read", hint="train anew") from error
    return found


def _optimiser(model: PairEncoder, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW; no decay on biases and norms, a higher rate for the fresh heads."""
    if recipe.freeze_embeddings:
        model.base_model.get_input_embeddings().weight.requires_grad_(False)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            head = recipe.head_rate if "_layer." in name or "pooler" in name else 1.0
            decay = 0.0 if parameter.ndim < 2 else recipe.weight_decay
            groups.setdefault((head, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": p, "weight_decay": decay, "multiple": head} for (head, decay), p in groups.items()],
        lr=recipe.learning_rate,
        betas=(0.9, 0.98),
        fused=True,
    )


def _set_rate(optimiser: torch.optim.Optimizer, recipe: Recipe, share: float) -> None:
    up = recipe.warm_up
    factor = share / up if share < up else (1 - share) / (1 - up)
    for group in optimiser.param_groups:
        group["lr"] = recipe.learning_rate * group["multiple"] * max(factor, 0.01)


def _optimiser_state(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    found: dict[int, dict[str, Any]] = {}
    for key, value in state.items():
        if key.startswith("optimiser."):
            _, place, name = key.split(".")
            found.setdefault(int(place), {})[name] = value
    return {"state": found, "param_groups": optimiser.state_dict()["param_groups"]}


def _write(path: Path, text: str) -> None:
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)
