"""The examples of a recipe, read, made, weighted and shuffled: the same for the same seed."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from ragguard.alignment.training.dialogue import dialogue_examples
from ragguard.alignment.training.edits import names_of
from ragguard.alignment.training.examples import Example
from ragguard.alignment.training.made import made_examples
from ragguard.alignment.training.questions import (
    asked_examples,
    read_policyqa,
    read_trecqa,
    squad_examples,
)
from ragguard.alignment.training.recipe import Recipe
from ragguard.alignment.training.sources import SOURCES
from ragguard.errors import UnknownNameError, UnreadableFileError

SQUAD = "retrieval/squad2/dev-v2.0.json"
Near = Callable[[str], Sequence[str]]


def mixture(recipe: Recipe, *, near: Near | None = None) -> list[Example]:
    """Return every example of one epoch.

    Raises:
        UnknownNameError: the recipe names a data set that has no reader.
        UnreadableFileError: a file is missing or damaged.
    """
    rng = random.Random(recipe.seed)
    examples = _read(recipe, rng)
    passages = passages_of(recipe)
    examples += _made(recipe, passages, near, rng)
    examples = [one for one in examples if one.source.strip() and one.claim.strip()]
    rng.shuffle(examples)
    return examples


def counts(examples: Sequence[Example]) -> dict[str, int]:
    """Return how many examples come from each origin, most first."""
    return dict(Counter(one.origin for one in examples).most_common())


def _read(recipe: Recipe, rng: random.Random) -> list[Example]:
    readers = {source.name: source.read for source in SOURCES} | {
        "trecqa": read_trecqa,
        "policyqa": read_policyqa,
    }
    found: list[Example] = []
    for name, times in recipe.sets.items():
        if name not in readers:
            raise UnknownNameError(f"unknown data set {name!r}", hint=f"known: {', '.join(sorted(readers))}")
        found += repeated(readers[name](recipe.data, rng), times, rng)
    return found


def repeated(examples: list[Example], times: float, rng: random.Random) -> list[Example]:
    """Return each example floor(times) times, and a random part of them once more."""
    whole = int(times)
    rest = round((times - whole) * len(examples))
    return examples * whole + rng.sample(examples, rest)


def passages_of(recipe: Recipe) -> list[str]:
    """Return the passages of the recipe's corpora, each once.

    Raises:
        UnreadableFileError: a corpus is missing or damaged.
    """
    found = []
    for name in recipe.corpora:
        path = recipe.data / name
        try:
            text = path.read_text(encoding="utf-8")
            rows = (
                json.loads(text) if text.startswith("[") else [json.loads(x) for x in text.split("\n") if x]
            )
        except (OSError, ValueError) as error:
            raise UnreadableFileError(f"cannot read {path.name} as JSON", hint="check `corpora`") from error
        found += [text for row in rows if (text := _text(row).strip())]
    return list(dict.fromkeys(found))


def _text(row: object) -> str:
    if not isinstance(row, dict):
        return ""
    text = row.get("text") or row.get("paragraph_text") or row.get("text_a") or ""
    return " ".join(text) if isinstance(text, list) else str(text)


def _made(recipe: Recipe, passages: Sequence[str], near: Near | None, rng: random.Random) -> list[Example]:
    names = sorted({name for passage in passages for name in names_of(passage)[:3]})
    found: list[Example] = []
    for _ in range(recipe.made_rounds if recipe.made_per_passage else 0):
        for passage in passages:
            few = rng.sample(names, min(5, len(names)))
            found += made_examples(passage, rng, names=few, near=near, per_passage=recipe.made_per_passage)
    if recipe.dialogues:
        talks = [
            one
            for passage in passages
            for one in dialogue_examples(passage, rng, names=rng.sample(names, min(5, len(names))))
        ]
        found += repeated(talks, recipe.dialogues, rng)
    if recipe.questions:
        asked = [
            one
            for passage in passages
            for one in asked_examples(passage, rng, names=rng.sample(names, min(5, len(names))))
        ]
        squad = recipe.data / SQUAD
        found += repeated(
            asked + (squad_examples(squad, rng) if squad.exists() else []), recipe.questions, rng
        )
    return found


def check_paths(recipe: Recipe) -> None:
    """Return if the data folder exists.

    Raises:
        UnreadableFileError: it does not.
    """
    if not Path(recipe.data).is_dir():
        raise UnreadableFileError(f"there is no folder {recipe.data.name}", hint="set `data` in the recipe")
