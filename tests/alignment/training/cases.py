"""A tiny backbone and data sets in their published formats, for training in a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from ragguard.alignment.training.recipe import Recipe
from tests.models.random_models import bert_tokenizer, random_config

NAMES = ("Ada", "Rex", "Dino", "Acme", "Oslo", "Berlin")


def backbone(folder: Path, *, width: int = 64) -> Path:
    """A BERT of one layer with random weights, as transformers saves it."""
    from transformers import BertModel

    with torch.random.fork_rng():
        torch.manual_seed(3)
        BertModel(random_config(kind="bert", layers=1, width=width, positions=64)).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(bert_tokenizer(), encoding="utf-8")
    return folder


def put(path: Path, text: str) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def fever(data: Path, rows: list[tuple[str, str, str]]) -> None:
    """FEVER's three line-aligned files: evidence, claim, label."""
    for place, part in enumerate(("raw.input0", "raw.input1", "label")):
        lines = "".join(row[place] + "\n" for row in rows)
        put(data / f"train/fever_dev/RTE-Fever__processed__dev.{part}", lines)


def table(path: Path, rows: list[dict[str, Any]]) -> None:
    """A tab-separated file with a line of names."""
    lines = ["\t".join(rows[0]), *("\t".join(map(str, row.values())) for row in rows)]
    put(path, "".join(line + "\n" for line in lines))


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """A JSON Lines file."""
    put(path, "".join(json.dumps(row) + "\n" for row in rows))


def data_of(folder: Path, *, count: int = 60) -> Path:
    """A data folder with FEVER pairs that can be learned: the evidence says so, or names somebody else."""
    rows = []
    for i in range(count):
        name, other = NAMES[i % 6], NAMES[(i + 1 + i // 6 % 5) % 6]
        supported = i % 2 == 0
        source = f"{name if supported else other} founded the company in Oslo ."
        rows.append((source, f"{name} founded the company.", "entailment" if supported else "not_entailment"))
    fever(folder, rows)
    return folder


def recipe_of(folder: Path, **change: Any) -> Recipe:
    """A recipe for the tiny backbone and data below a folder."""
    settings: dict[str, Any] = {
        "data": folder / "data",
        "output": folder / "run",
        "backbone": str(folder / "backbone"),
        "sets": {"fever": 1},
        "made_per_passage": 0,
        "questions": 0,
        "max_tokens": 64,
        "batch_tokens": 256,
        "learning_rate": 1e-3,
        "epochs": 2,
        "save_every": 3,
        **change,
    }
    return Recipe(**settings)
