"""One training run: resumable at every evaluation, stopped where validation stops improving.

The state is one safetensors file with the progress inside, replaced whole: a run
that was killed goes on from there, and gives what it would have given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ragguard.errors import ConfigurationError, UnreadableFileError
from ragguard.preference.bases import Base
from ragguard.preference.batches import (
    StepPairs,
    represented,
    rows_of,
    scores_of,
    steps_of,
    teaches,
    tensors,
)
from ragguard.preference.descent import Step, descend, weighting_of
from ragguard.preference.groups import Group
from ragguard.preference.objective import losses
from ragguard.preference.ranking import ndcg, order_of
from ragguard.preference.recipe import Settings
from ragguard.protocols import Progress

Floats = NDArray[np.float64]

_STATE, _BEST, _RECIPE, _LOG = "state.safetensors", "best.safetensors", "recipe.json", "log.jsonl"


@dataclass
class Progressed:
    """How far a run is.

    Attributes:
        step: steps done.
        steps: in all, unless stopped early.
        best: mean within-question nDCG on validation at the best evaluation; the base's is the first.
        best_step: the step of it; 0 where nothing was better than the base.
        worse: evaluations since.
        history: (step, nDCG) of every evaluation.
        finished: whether training is over.
    """

    step: int = 0
    steps: int = 0
    best: float = float("-inf")
    best_step: int = 0
    worse: int = 0
    history: list[tuple[int, float]] = field(default_factory=list)
    finished: bool = False


class Run:
    """Trains a base in place, and leaves it with the weights of the best evaluation.

    Args:
        base: to train; a fresh one.
        weighting: "equal" or "mgda".
        settings: of the run.
        folder: of its state.
        identity: what else shapes the weights, e.g. a hash of the data.

    Raises:
        ConfigurationError: the folder holds a run of other settings, data or base.
        UnreadableFileError: its state is damaged.
    """

    def __init__(
        self, base: Base, *, weighting: str, settings: Settings, folder: Path, identity: Mapping[str, Any]
    ) -> None:
        self.base, self.settings, self.folder, self.weighting = base, settings, folder, weighting
        folder.mkdir(parents=True, exist_ok=True)
        shaped = settings.model_dump(mode="json", exclude={"threads", "weighting", "risk"})
        self._same_recipe({"settings": shaped, "weighting": weighting, **identity})
        self.parameters = base.trainable(freeze_embeddings=settings.freeze_embeddings)
        self.optimiser = _optimiser(self.parameters, settings)
        self.done = Progressed()
        self._resume()

    def go(
        self,
        train: Sequence[Group],
        validation: Sequence[Group],
        clusters: Mapping[str, str],
        *,
        progress: Progress,
    ) -> Progressed:
        """Train, unless it is done already, and return how it went."""
        taught = [group for group in train if teaches(group, self.settings)]
        done = self.done
        if not done.finished:
            self._train(taught, validation, clusters, progress)
        self._load(self.folder / _BEST)
        return done

    def _train(
        self,
        train: Sequence[Group],
        validation: Sequence[Group],
        clusters: Mapping[str, str],
        progress: Progress,
    ) -> None:
        done, settings = self.done, self.settings
        epoch_steps = -(-len(train) // settings.questions)
        done.steps = epoch_steps * settings.epochs
        every = max(1, epoch_steps // settings.evaluations)
        if not done.history:
            self._evaluate(validation)
        plan: list[StepPairs] = []
        planned = -1
        while done.step < done.steps and not done.finished:
            epoch, place = divmod(done.step, epoch_steps)
            if epoch != planned:
                plan = steps_of(train, clusters, settings=settings, epoch=epoch)
                planned = epoch
            self._log(self._step(plan[place]))
            done.step += 1
            progress(f"training ({self.weighting})", done.step, done.steps)
            if done.step % every == 0 or done.step == done.steps:
                self._evaluate(validation)
        done.finished = True
        self._save()

    def _step(self, step: StepPairs) -> Step:
        settings, base = self.settings, self.base
        _set_rate(self.optimiser, settings, self.done.step / self.done.steps)
        encoded = base.encode(step.pairs)
        batch = tensors(encoded, pad=base.pad_id, max_tokens=base.max_tokens)
        rows = rows_of(step, count=len(batch[0]))
        taken = descend(
            represented(base, batch),
            head=[p for p in base.head() if p.requires_grad],
            losses=lambda z: losses(z, base.score(z), rows, settings=settings),
            weighting=weighting_of(self.weighting, normalise=settings.mgda_normalise),
        )
        nn.utils.clip_grad_norm_(list(self.parameters.values()), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return taken

    def _evaluate(self, validation: Sequence[Group]) -> None:
        done = self.done
        value = mean_ndcg(scores_of(self.base, validation), validation)
        done.history.append((done.step, value))
        if value > done.best:
            done.best, done.best_step, done.worse = value, done.step, 0
            _save_whole(self._weights(), self.folder / _BEST, {})
        else:
            done.worse += 1
            done.finished = done.worse >= self.settings.patience
        self._save()

    def _weights(self) -> dict[str, Tensor]:
        return {name: p.detach().contiguous() for name, p in self.parameters.items()}

    def _load(self, path: Path) -> None:
        found = _read(path)
        if set(self.parameters) - set(found):
            raise UnreadableFileError(f"{path.name} lacks weights of the base", hint="train anew")
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(found[name])

    def _save(self) -> None:
        state = {f"model.{name}": value for name, value in self._weights().items()}
        for place, values in self.optimiser.state_dict()["state"].items():
            for name, value in values.items():
                state[f"optimiser.{place}.{name}"] = torch.as_tensor(value).contiguous()
        _save_whole(state, self.folder / _STATE, {"progress": json.dumps(asdict(self.done))})

    def _resume(self) -> None:
        path = self.folder / _STATE
        if not path.exists():
            return
        try:
            with safe_open(path, framework="pt") as file:
                kept = (file.metadata() or {})["progress"]
            self.done = Progressed(**json.loads(kept))
        except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
            raise UnreadableFileError(f"{path.name} holds no run to go on from", hint="train anew") from error
        self.done.history = [(int(step), float(value)) for step, value in self.done.history]
        state = _read(path)
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(state[f"model.{name}"])
        optimiser: dict[int, dict[str, Tensor]] = {}
        for key, value in state.items():
            if key.startswith("optimiser."):
                _, place, name = key.split(".")
                optimiser.setdefault(int(place), {})[name] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": optimiser, "param_groups": groups})

    def _same_recipe(self, mine: Mapping[str, Any]) -> None:
        path, text = self.folder / _RECIPE, json.dumps(mine, indent=1, sort_keys=True)
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise ConfigurationError(
                f"{self.folder.parent.name} holds a run of other settings, preferences or base",
                hint="choose another output folder",
            )
        new = path.with_name(f"{_RECIPE}.new")
        new.write_text(text, encoding="utf-8")
        new.replace(path)

    def _log(self, taken: Step) -> None:
        with (self.folder / _LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": self.done.step, **asdict(taken)}) + "\n")


def ndcgs(scores: Sequence[Floats], groups: Sequence[Group]) -> Floats:
    """Return the nDCG of every question, NaN where its passages all did the same."""
    return np.array(
        [
            ndcg(group.gains[order_of(found, ranks=group.ranks)])
            for found, group in zip(scores, groups, strict=True)
        ]
    )


def mean_ndcg(scores: Sequence[Floats], groups: Sequence[Group]) -> float:
    """Return the mean over questions with better and worse passages, 0 without any."""
    values = ndcgs(scores, groups)
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else 0.0


def _optimiser(parameters: Mapping[str, nn.Parameter], settings: Settings) -> torch.optim.Optimizer:
    """AdamW; no decay on biases and norms."""
    matrices = [p for p in parameters.values() if p.ndim > 1]
    others = [p for p in parameters.values() if p.ndim <= 1]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        fused=True,
    )


def _set_rate(optimiser: torch.optim.Optimizer, settings: Settings, share: float) -> None:
    up = settings.warm_up
    factor = share / up if share < up else (1 - share) / (1 - up)
    for group in optimiser.param_groups:
        group["lr"] = settings.learning_rate * max(factor, 0.01)


def _save_whole(state: Mapping[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    new = path.with_name(f"{path.name}.new")
    save_file(dict(state), new, metadata=metadata)
    new.replace(path)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        found: dict[str, Tensor] = load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise UnreadableFileError(f"{path.name} cannot be read", hint="train anew") from error
    return found
