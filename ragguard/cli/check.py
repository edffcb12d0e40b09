"""`ragguard check`: turns made elsewhere in, reports out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from ragguard.cli.output import ITEM_FAILED, Items, judged, read_items, write_lines
from ragguard.cli.serving import loaded_guard
from ragguard.errors import QuestionSetError
from ragguard.types import Turn

if TYPE_CHECKING:
    from ragguard.guard import Guard


def check(
    folder: Annotated[Path, typer.Argument(help="Calibrated folder.")],
    source: Annotated[
        str, typer.Option("--input", help='JSONL of {"id","question","passages"?,"answer"?,...}, or -.')
    ] = "-",
    output: Annotated[str, typer.Option(help="File for JSON lines, or -.")] = "-",
    config: Annotated[Path | None, typer.Option(help="Settings file, YAML or TOML.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Accepted for symmetry: the output is JSON lines.")
    ] = True,
) -> None:
    """Judge turns: their passages (retrieved if absent) and their answers."""
    guard = loaded_guard(folder, config)
    if write_lines(output, reports(guard, read_items(source))):
        raise typer.Exit(ITEM_FAILED)


def reports(guard: Guard, items: Items) -> Iterator[dict[str, Any]]:
    """Yield one JSON-ready report a turn, in order; a failed item becomes an error line."""
    return judged(items, lambda item, where: guard.check(_turn(item, where)))


def _turn(item: Mapping[str, Any], where: str) -> Turn:
    try:
        return Turn.model_validate({key: value for key, value in item.items() if key != "id"})
    except ValidationError as error:
        fields = sorted({".".join(str(p) for p in e["loc"]) for e in error.errors()})
        raise QuestionSetError(f"{where}: invalid or unknown {', '.join(fields)}") from error
