"""`ragguard check`: turns made elsewhere in, reports out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from ragguard.cli.output import ITEM_FAILED, failed, read_items, report_line, write_lines
from ragguard.cli.serving import loaded_guard
from ragguard.errors import DataError, QuestionSetError
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


def reports(
    guard: Guard, items: Iterator[tuple[str, Mapping[str, Any] | DataError]]
) -> Iterator[dict[str, Any]]:
    """Yield one JSON-ready report a turn, in order; a failed item becomes an error line."""
    for where, item in items:
        identity = item.get("id", where) if isinstance(item, Mapping) else where
        try:
            if isinstance(item, DataError):
                raise item
            yield report_line(identity, guard.check(_turn(item, where)))
        except Exception as error:  # noqa: BLE001 - one bad item must not stop the others
            yield failed(identity, error)


def _turn(item: Mapping[str, Any], where: str) -> Turn:
    try:
        return Turn.model_validate({key: value for key, value in item.items() if key != "id"})
    except ValidationError as error:
        fields = sorted({".".join(str(p) for p in e["loc"]) for e in error.errors()})
        raise QuestionSetError(f"{where}: invalid or unknown {', '.join(fields)}") from error
