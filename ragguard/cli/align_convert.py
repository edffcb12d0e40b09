"""`ragguard align convert`: a published checkpoint in, a folder that loads without a pickle out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ragguard.cli.output import emit
from ragguard.errors import ConfigurationError, UnreadableFileError

COMBINER = "combiner.json"


class Storage(StrEnum):
    """How weights lie on disk."""

    float32 = "float32"
    int8 = "int8"


def convert(
    source: Annotated[Path, typer.Argument(help="A .ckpt file, or a model's folder.")],
    target: Annotated[Path, typer.Argument(help="Folder to write.")],
    tokenizer: Annotated[
        Path | None, typer.Option(help="tokenizer.json for a .ckpt without one beside it.")
    ] = None,
    storage: Annotated[Storage, typer.Option(help="int8 takes a quarter of the size.")] = Storage.float32,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line on stdout.")] = False,
) -> None:
    """Write a model as a folder; a checkpoint's code is never run."""
    from ragguard.models.pair_checkpoint import convert_checkpoint
    from ragguard.models.pair_model import load_pair_model

    if not source.exists():
        raise UnreadableFileError(f"there is no {source.name}", hint="check the path")
    if tokenizer is not None and source.is_dir():
        raise ConfigurationError("--tokenizer is for a .ckpt file", hint="a model's folder holds its own")
    # Read first: the target may be the source. Without it the same weights would give other scores.
    combiner = (source / COMBINER).read_bytes() if (source / COMBINER).is_file() else None
    folder = convert_checkpoint(source, target, tokenizer=tokenizer, storage=storage.value)
    if combiner is not None:
        (folder / COMBINER).write_bytes(combiner)
    written = load_pair_model(folder)
    body = {
        "folder": str(folder),
        **written.fingerprint(),
        "storage": storage.value,
        "combiner": combiner is not None,
    }
    emit(body, as_json=as_json, title=f"converted {source.name}")
