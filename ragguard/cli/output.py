"""Reading items and writing results the same way in every command."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, TypeAlias

from rich.console import Console
from rich.table import Table

from ragguard.corpus.jsonl import json_object, read_text
from ragguard.errors import DataError, RagGuardError
from ragguard.types import Report

ITEM_FAILED = 3

Items: TypeAlias = Iterator[tuple[str, "dict[str, Any] | DataError"]]
"""(where, object or why there is none), one a line of input."""


def emit(body: Mapping[str, Any], *, as_json: bool, title: str = "") -> None:
    """Print one result to stdout: one JSON line, or a table for people."""
    if as_json:
        sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")
        return
    table = Table(title=title or None, show_header=False, box=None, pad_edge=False)
    for key, value in body.items():
        table.add_row(f"[bold]{key}[/bold]", _cell(value))
    Console().print(table)


def failed(identity: Any, error: Exception) -> dict[str, Any]:
    """Return a failed item as its JSON line; unexpected errors give their type alone, never the user's text."""
    if isinstance(error, RagGuardError):
        return {"id": identity, "error": {"code": error.code, "message": str(error)}}
    return {"id": identity, "error": {"code": "unexpected", "message": type(error).__name__}}


def read_items(source: str) -> Items:
    """Return (where, object or its error) for each line of a JSONL file, or of stdin for "-".

    A file is read at once, so that it may be missing before an output is opened, or be that output.

    Raises:
        UnreadableFileError: the file is missing, or not UTF-8.
    """
    if source == "-":
        return items_of("stdin", sys.stdin.buffer)
    return items_of(Path(source).name, io.BytesIO(read_text(Path(source)).encode()))


def items_of(name: str, lines: Iterable[bytes]) -> Items:
    """Return (where, object or its error) for each line that is not blank; `name` says whose lines they are."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        try:
            yield where, json_object(line.decode("utf-8-sig"), where=where, error=DataError)
        except UnicodeDecodeError:
            yield where, DataError(f"{where}: not UTF-8", hint="convert it to UTF-8")
        except DataError as error:
            yield where, error


def report_line(identity: Any, report: Report) -> dict[str, Any]:
    """Return a report as one JSON-ready line; a number that JSON cannot hold becomes null."""
    return {"id": identity, **json.loads(report.model_dump_json())}


def judged(items: Items, judge: Callable[[Mapping[str, Any], str], Report]) -> Iterator[dict[str, Any]]:
    """Yield one line an item, in order: its report, or why it failed; one bad item never stops the others."""
    for where, item in items:
        identity = item.get("id", where) if isinstance(item, Mapping) else where
        try:
            if isinstance(item, DataError):
                raise item
            yield report_line(identity, judge(item, where))
        except Exception as error:  # noqa: BLE001 - one bad item must not stop the others
            yield failed(identity, error)


@contextmanager
def opened(target: str) -> Iterator[TextIO]:
    """Open a file for writing, or stdout for "-"."""
    if target == "-":
        yield sys.stdout
        return
    with Path(target).open("w", encoding="utf-8") as file:
        yield file


def write_lines(target: str, lines: Iterable[Mapping[str, Any]]) -> int:
    """Write one JSON line an item, as they come; return how many failed."""
    bad = 0
    with opened(target) as file:
        for line in lines:
            bad += "error" in line
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
    return bad


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value) if isinstance(value, str | int | None) else json.dumps(value, ensure_ascii=False)
