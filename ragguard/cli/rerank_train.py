"""`ragguard rerank train`: preferences in, a reranker out, promoted only where it proves better."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ragguard.cli.output import emit
from ragguard.cli.rerank_options import JsonOption
from ragguard.corpus.progress import ProgressBar


def train(
    preferences: Annotated[Path, typer.Option(help="JSON lines as `rerank probe` writes them.")],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    base: Annotated[
        str, typer.Option(help="bundled, a model's folder, or a sentence-transformers CrossEncoder's.")
    ] = "bundled",
    settings: Annotated[Path | None, typer.Option(help="YAML of training settings.")] = None,
    reader: Annotated[
        str | None, typer.Option("--reader", help="Whose preferences, where the file holds several readers'.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a reranker; the same command goes on with a run that was stopped."""
    from transformers.utils.logging import disable_progress_bar

    from ragguard.preference.recipe import read_settings
    from ragguard.preference.records import read_examples
    from ragguard.preference.training import train_reranker

    # Its bar for reading the model would stand between ours.
    disable_progress_bar()
    examples = read_examples(preferences, reader=reader)
    with ProgressBar() as progress:
        trained = train_reranker(
            examples,
            base,
            output=out,
            settings=None if settings is None else read_settings(settings),
            reader=reader,
            progress=progress,
        )
    figures: dict[str, Any] = dict(trained.figures)
    emit(
        {
            "promoted": trained.promoted,
            "finding": trained.sentence,
            "model": str(trained.folder),
            "reader": trained.reader,
            "base": trained.base,
            "weighting": trained.weighting,
            "gain_over_base": figures["gain_over_base"],
            "query_only": figures["shortcut"]["query_only"],
            "within_question": {name: figures["shortcut"][name] for name in ("base", "trained")},
            "result": str(out / "result.json"),
        },
        as_json=as_json,
        title="trained",
    )
    if not trained.promoted:
        Console(stderr=True).print(trained.sentence, highlight=False, soft_wrap=True, markup=False)
