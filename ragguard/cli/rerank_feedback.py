"""`ragguard rerank feedback`: rated answers in, weak preferences out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragguard.cli.output import ITEM_FAILED, Items, emit, failed, read_items
from ragguard.cli.rerank_options import JsonOption
from ragguard.errors import DataError

if TYPE_CHECKING:
    from ragguard.preference.feedback import FeedbackRecord

_HINT = (
    '{"id","question","passages":[{"id","text","position","propensity"?}],"cited":[ids],'
    '"rating":"up"|"down"|null,"reader","ts"?,"answer"?,"rater"?,"cluster"?}'
)


class WeightingName(StrEnum):
    """How citations count."""

    labels = "labels"
    ips = "ips"


def feedback(
    source: Annotated[str, typer.Option("--input", help=f"JSONL of {_HINT}, or -.")],
    output: Annotated[Path, typer.Option(help="File for preferences, JSON lines.")],
    log: Annotated[
        Path | None, typer.Option(help="Feedback log to add to; preferences are then of the whole log.")
    ] = None,
    weighting: Annotated[
        WeightingName, typer.Option(help="ips: divide by the propensity logged for each position.")
    ] = WeightingName.labels,
    clip: Annotated[float, typer.Option(help="Largest weight of one citation, with ips.")] = 20.0,
    as_json: JsonOption = False,
) -> None:
    """Import rated answers; an uncited passage has no label, and a position teaches nothing."""
    from ragguard.preference.feedback import FeedbackLog
    from ragguard.preference.feedback_rules import convert
    from ragguard.preference.records import write_examples

    records, wrong = _read(read_items(source))
    added = len(records)
    if log is not None:
        kept = FeedbackLog(log)
        added = kept.add(records)
        records = kept.records()
    converted = convert(records, weighting=weighting.value, clip=clip)
    write_examples(output, converted.examples)
    emit(
        {
            "preferences": str(output),
            "records": len(records),
            "added": added,
            "examples": len(converted.examples),
            "pairs": len(converted.pairs),
            "left_out": dict(converted.left_out),
            "failed": wrong,
        },
        as_json=as_json,
        title="feedback",
    )
    if wrong:
        raise typer.Exit(ITEM_FAILED)


def _read(items: Items) -> tuple[list[FeedbackRecord], list[dict[str, Any]]]:
    """Return the records, of one id the first, and the lines that hold none, each with why."""
    from ragguard.preference.feedback import FeedbackRecord
    from ragguard.preference.records import record_of

    found: dict[str, FeedbackRecord] = {}
    wrong = []
    for where, item in items:
        try:
            if isinstance(item, DataError):
                raise item
            record = record_of(item, FeedbackRecord, where)
            found.setdefault(record.id, record)
        except DataError as error:
            wrong.append(failed(item.get("id", where) if isinstance(item, dict) else where, error))
    return list(found.values()), wrong
