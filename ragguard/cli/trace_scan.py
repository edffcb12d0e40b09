"""`ragguard trace scan`: texts in, what each was traced to and what becomes of it out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragguard.cli.align_items import Group, groups, line_count
from ragguard.cli.output import ITEM_FAILED, failed, write_lines
from ragguard.cli.trace_lines import scanner
from ragguard.cli.trace_options import IndexArgument, private
from ragguard.cli.trace_tracer import LeastOption, SemanticOption, Subject, ThresholdOption, require_file
from ragguard.corpus.progress import ProgressBar
from ragguard.errors import DataError
from ragguard.protocols import Progress

if TYPE_CHECKING:
    from ragguard.cli.trace_lines import Scan


class Found(StrEnum):
    """What becomes of an answer with a span at fault."""

    refuse = "refuse"
    redact = "redact"


def scan(
    folder: IndexArgument,
    source: Annotated[str, typer.Option("--input", help='JSONL of {"id","text"}, or -.')] = "-",
    output: Annotated[str, typer.Option(help="File for JSON lines, or -.")] = "-",
    subject: Annotated[Subject, typer.Option("--as", help="What the texts are.")] = Subject.answer,
    policy: Annotated[
        Found, typer.Option("--policy", help="Of answers: refuse whole, or redact sentences.")
    ] = Found.refuse,
    threshold: ThresholdOption = None,
    semantic: SemanticOption = None,
    least: LeastOption = None,
    show_text: Annotated[
        bool, typer.Option("--show-text", help="Also print the matched text; it is what must not be shown.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Accepted for symmetry: the output is JSON lines.")
    ] = True,
) -> None:
    """Trace texts to the registered corpora; offsets and ids come out, no matched text."""
    require_file(source)
    scan_one = scanner(
        folder, subject, policy.value, threshold=threshold, semantic=semantic, least=least, shown=show_text
    )
    total, lines = line_count(source), groups(source)
    # A bar would be drawn across lines that come out on the same terminal.
    visible = False if output == "-" and sys.stdout.isatty() else None
    with private(), ProgressBar(shown=visible) as progress:
        if write_lines(output, _watched(lines, scan_one, progress, total)):
            raise typer.Exit(ITEM_FAILED)


def _watched(
    lines: Iterator[Group], scan_one: Scan, progress: Progress, total: int | None
) -> Iterator[dict[str, Any]]:
    done = 0
    for group in lines:
        for where, item in group:
            yield _scanned(where, item, scan_one)
            done += 1
            progress("scanning", done, max(done, total or 0))


def _scanned(where: str, item: dict[str, Any] | DataError, scan_one: Scan) -> dict[str, Any]:
    """One line of output; one bad item never stops the others."""
    identity = where if isinstance(item, DataError) else item.get("id", where)
    if isinstance(item, DataError):
        return failed(identity, item)
    text = item.get("text")
    if not isinstance(text, str):
        return failed(identity, DataError(f"{where}: no text", hint='each line is {"id","text"}'))

    try:
        return {"id": identity, **scan_one(text)}
    except Exception as error:  # noqa: BLE001 - one bad item must not stop the others
        return failed(identity, error)
