"""`ragguard trace calibrate`: benign answers in, the BCI above which to refuse out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragguard.cli.output import emit, read_items
from ragguard.cli.trace_options import IndexArgument, JsonOption, private
from ragguard.cli.trace_tracer import (
    LeastOption,
    SemanticOption,
    Subject,
    calibrated_in,
    opened_tracer,
    settled,
    texts_of,
)
from ragguard.corpus.progress import ProgressBar
from ragguard.protocols import Progress

if TYPE_CHECKING:
    from ragguard.trace.calibrate import Scorer, TraceCalibration

_AT_ONCE = 16


class SplitName(StrEnum):
    """How the rate is kept in total over all kinds of trace."""

    max = "max"
    bonferroni = "bonferroni"


def calibrate(
    folder: IndexArgument,
    benign: Annotated[str, typer.Option(help='JSONL of {"id","text"} that must not be refused, or -.')],
    max_false_refusal: Annotated[
        float, typer.Option(help="Share of benign texts that may be refused, in (0, 1).")
    ] = 0.01,
    subject: Annotated[Subject, typer.Option("--as", help="What the texts are.")] = Subject.answer,
    split: Annotated[SplitName, typer.Option(help="One test over all kinds, or one a kind.")] = SplitName.max,
    valid_days: Annotated[float, typer.Option(help="Days until the calibration expires.")] = 180.0,
    semantic: SemanticOption = None,
    least: LeastOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take the threshold at which at most a stated share of benign texts is refused."""
    from ragguard.trace.calibrate import calibrate_trace, needed_answers
    from ragguard.trace.tracer import Tracer

    needed = needed_answers(max_false_refusal)
    texts = [item["text"] for item in texts_of(read_items(benign))]
    scorer = _scorer(folder, subject, semantic, least)
    with private(folder), ProgressBar() as progress:
        # Too few are refused before any is scored.
        if len(texts) >= needed and isinstance(scorer, Tracer):
            scorer.prepare(progress=progress)
        calibration = calibrate_trace(
            _Watched(scorer, progress),
            texts,
            max_false_refusal=max_false_refusal,
            split=split.value,
            subject=subject.value,
            valid_days=valid_days,
        )
        calibration.save(calibrated_in(folder, subject))
    emit(summary(calibration, folder, needed), as_json=as_json, title="calibrated")


def summary(calibration: TraceCalibration, folder: Path, needed: int) -> dict[str, Any]:
    """Return what the command prints."""
    statement = calibration.statement
    return {
        "folder": str(folder),
        "id": statement.id,
        "n": statement.n,
        "needed": needed,
        "max_false_refusal": statement.max_false_refusal,
        "split": statement.split,
        "subject": statement.subject,
        "thresholds": dict(statement.thresholds),
        "expires": statement.expires.isoformat(timespec="seconds"),
    }


def _scorer(folder: Path, subject: Subject, semantic: bool | None, least: int | None) -> Scorer:
    """What scores such texts; what is not given is as ever, whatever was calibrated before."""
    if subject is not Subject.passage:
        return opened_tracer(folder, semantic, least, None)
    from ragguard.trace.opened_passages import open_scorer

    means, words = settled(None, semantic, least)
    return open_scorer(folder, embedder="bundled" if means else None, least=words)


class _Watched:
    """A scorer whose scores are taken a few at a time, so that one sees how far it is and can stop it."""

    def __init__(self, scorer: Scorer, progress: Progress) -> None:
        self._scorer = scorer
        self._progress = progress

    def scores(self, texts: Sequence[str], /) -> list[dict[str, float]]:
        found: list[dict[str, float]] = []
        for first in range(0, len(texts), _AT_ONCE):
            found += self._scorer.scores(texts[first : first + _AT_ONCE])
            self._progress("tracing", len(found), len(texts))
        return found

    def fingerprint(self) -> Mapping[str, Any]:
        return self._scorer.fingerprint()
