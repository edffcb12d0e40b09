"""A finished run as a model's folder, with a card that says what it was made of."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ragguard._version import __version__
from ragguard.alignment.training.mixture import SQUAD
from ragguard.alignment.training.sources import OTHER_LICENCES, SOURCES
from ragguard.alignment.training.trainer import MIXTURE, RECIPE, progressed, recorded, trained
from ragguard.errors import UnreadableFileError
from ragguard.models.bundled import model_folder
from ragguard.models.decoder_pair_base import decoder_base, is_decoder
from ragguard.models.lora_folder import save_adapter_folder
from ragguard.models.pair_model import save_pair_model
from ragguard.models.pair_tokens import PairTokens


def export(output: Path, folder: Path, *, storage: str = "int8", name: str = "") -> Path:
    """Write the model of a run's last state as a folder, and return the folder.

    Args:
        output: the run's folder.
        folder: to write; a model of ours there is replaced.
        storage: of the weights, as in `save_pair_model`; an adapter is always in float16.
        name: of the model; the folder's by default.

    Raises:
        UnreadableFileError: `output` holds no run.
        InvalidValueError: something else is at `folder`, or unknown storage.
    """
    recipe, encoder = recorded(output), trained(output)
    most = recipe["max_tokens"]
    if is_decoder(recipe["backbone"]):
        return save_adapter_folder(
            folder,
            encoder,
            base=decoder_base(recipe["backbone"]),
            rank=recipe["lora_rank"],
            alpha=recipe["lora_alpha"],
            max_tokens=most,
            card=card_of(output),
            name=name,
        )
    tokens = PairTokens.from_folder(model_folder(recipe["backbone"]), max_tokens=most)
    return save_pair_model(
        folder,
        encoder,
        tokenizer=tokens.definition,
        max_tokens=most,
        card=card_of(output),
        storage=storage,
        name=name,
    )


def card_of(output: Path) -> dict[str, Any]:
    """Return what a run's model was made of: data with licences, pairs seen, steps, the recipe's sha256.

    Raises:
        UnreadableFileError: `output` holds no run.
    """
    recipe, done = recorded(output), progressed(output)
    examples = _examples(output)
    data = list(_data(recipe, examples))
    settings = {
        k: v for k, v in recipe.items() if k not in ("sets", "corpora", "backbone", "start", "teacher")
    }
    return {
        "trained_with": f"ragguard {__version__}",
        "recipe_sha256": hashlib.sha256((output / RECIPE).read_bytes()).hexdigest(),
        # Names, not paths: these would be somebody's machine.
        "backbone": Path(recipe["backbone"]).name,
        "start": None if recipe["start"] is None else Path(recipe["start"]).name,
        "teacher": None if recipe.get("teacher") is None else Path(recipe["teacher"]).name,
        "settings": settings,
        "data": data,
        "licensed": all(one["licensed"] for one in data),
        "examples": examples,
        "steps": done.step,
        "pairs_seen": done.pairs,
        "loss": None if math.isnan(done.loss) else done.loss,
    }


def _data(recipe: Mapping[str, Any], examples: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    known = {s.name: (s.licence, s.licensed) for s in SOURCES} | OTHER_LICENCES
    squad = [SQUAD] if any(origin.startswith("squad") for origin in examples) else []
    for name, used in (
        *recipe["sets"].items(),
        *((c, None) for c in (*recipe["corpora"], *recipe.get("unlabelled", ()), *squad)),
    ):
        licence, licensed = known.get(name, ("not known", False))
        yield {"name": name, "licence": licence, "licensed": licensed, "times": used}


def _examples(output: Path) -> dict[str, int]:
    try:
        found: dict[str, int] = json.loads((output / MIXTURE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnreadableFileError(f"{output.name} holds no {MIXTURE}", hint="train first") from error
    return found
