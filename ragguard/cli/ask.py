"""`ragguard ask`: a question in, a guarded answer with its certificate out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ragguard.cli.output import ITEM_FAILED, Items, judged, read_items, write_lines
from ragguard.cli.rendering import render_report
from ragguard.cli.serving import loaded_guard, messages
from ragguard.errors import ConfigurationError, QuestionSetError

if TYPE_CHECKING:
    from ragguard.guard import Guard
    from ragguard.types import Report


def ask(
    folder: Annotated[Path, typer.Argument(help="Calibrated folder.")],
    question: Annotated[str | None, typer.Argument(help="The question; or use --input.")] = None,
    source: Annotated[
        str | None, typer.Option("--input", help='JSONL of {"id","question","history"?,"metadata"?}, or -.')
    ] = None,
    output: Annotated[str, typer.Option(help="File for JSON lines, or -.")] = "-",
    group: Annotated[
        str | None, typer.Option(help="Of the one question, where groups were calibrated.")
    ] = None,
    generator: Annotated[str | None, typer.Option(help="extractive, smollm2, or a plugin's name.")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file, YAML or TOML.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Whole reports as JSON lines.")] = False,
) -> None:
    """Answer from the corpus, or say that it does not know."""
    if (question is None) == (source is None):
        raise ConfigurationError("give either a question or --input")
    chosen = generator or ("extractive" if config is None else None)
    guard = loaded_guard(folder, config, generator=chosen)
    if guard.retriever is None:
        raise ConfigurationError(
            f"{folder} was calibrated from runs and holds nothing to search",
            hint="use `ragguard check` with that retriever's passages",
        )
    metadata = {} if group is None else {"group": group}
    if source is None and not as_json and output == "-":
        render_report(Console(), guard.answer(question or "", metadata=metadata))
        return
    items: Items = iter([("", {"id": "1", "question": question, "metadata": metadata})])
    lines = answers(guard, read_items(source) if source is not None else items)
    if write_lines(output, lines):
        raise typer.Exit(ITEM_FAILED)


def answers(guard: Guard, items: Items) -> Iterator[dict[str, Any]]:
    """Yield one JSON-ready line an item, in order; a failed item becomes an error line."""

    def answer(item: Mapping[str, Any], where: str) -> Report:
        if not isinstance(item.get("question"), str):
            raise QuestionSetError(f"{where}: no question", hint='each line is {"id","question"}')
        history, metadata = messages(item.get("history"), where), item.get("metadata")
        if not isinstance(metadata, dict | None):
            raise QuestionSetError(f"{where}: metadata is no object", hint='e.g. {"group": "billing"}')
        return guard.answer(item["question"], history=history, metadata=metadata)

    return judged(items, answer)
