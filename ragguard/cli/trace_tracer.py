"""Which models trace: the options that commands over an index share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragguard.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ragguard.cli.output import Items
    from ragguard.trace.belief import Belief
    from ragguard.trace.calibrate import TraceCalibration
    from ragguard.trace.shield import TraceShield
    from ragguard.trace.tracer import Tracer

SemanticOption = Annotated[
    bool | None,
    typer.Option(
        "--semantic/--no-semantic",
        help="Look for paraphrases and policy conflicts too, or for verbatim text alone; "
        "default: as calibrated, else both.",
    ),
]
LeastOption = Annotated[
    int | None,
    typer.Option("--least", help="Words of a verbatim match; default: as calibrated, else 6."),
]
ThresholdOption = Annotated[
    float | None, typer.Option("--threshold", help="BCI in [0, 1) above which to refuse; no calibration.")
]


class Subject(StrEnum):
    """What a text is."""

    answer = "answer"
    question = "question"
    passage = "passage"


def calibrated_in(folder: Path, subject: Subject) -> Path:
    """Return where an index keeps the calibration for texts of that kind: answers beside it, others below."""
    return folder if subject is Subject.answer else folder / f"{subject.value}s"


def opened_tracer(
    folder: Path, semantic: bool | None, least: int | None, held: TraceCalibration | None
) -> Tracer:
    """Return a tracer over an index; a setting that is not given is the one calibrated.

    Raises:
        IndexFileError: there is no index, or it is damaged.
        InvalidValueError: `least` is below 1.
    """
    from ragguard.trace.opened import open_tracer

    means, words = settled(held, semantic, least)
    if not means:
        return open_tracer(folder, embedder=None, policy=(), least=words)
    from ragguard.alignment.aligner import AlignmentAligner

    return open_tracer(folder, aligner=AlignmentAligner(), least=words)


def settled(held: TraceCalibration | None, semantic: bool | None, least: int | None) -> tuple[bool, int]:
    """Return whether models are used, and the words of a match: as given, as calibrated, or as ever."""
    settings: Mapping[str, Any] = {} if held is None else held.statement.fingerprints
    tracer = settings.get("tracer") or {}
    words: int = tracer.get("least", 6) if least is None else least
    return (settings.get("embedder", True) is not None if semantic is None else semantic), words


def opened_shield(
    folder: Path,
    semantic: bool | None,
    least: int | None,
    threshold: float | None,
    *,
    subject: Subject = Subject.answer,
    **options: Any,
) -> TraceShield:
    """Return a shield over an index with its calibration, if it has one and no threshold is given.

    Raises:
        ArtifactError: the calibration is damaged, or was made for other settings.
    """
    from ragguard.trace.shield import TraceShield

    held = stored_calibration(calibrated_in(folder, subject)) if threshold is None else None
    tracer = opened_tracer(folder, semantic, least, held)
    return TraceShield(tracer, calibration=held, threshold=threshold, **options)


def counting(shield: TraceShield, belief: Belief) -> bool:
    """Whether a text is refused for this belief."""
    if shield.calibration is not None:
        return shield.calibration.refuses(belief.kind, belief.bci)
    return belief.bci > shield.threshold


def texts_of(items: Items, *, also: str | None = None) -> Iterator[dict[str, str]]:
    """Yield the "id" and "text" of each line, and one more field; the first line without one ends it.

    Raises:
        DataError: a line is malformed; file and line are named.
    """
    for where, item in items:
        if isinstance(item, DataError):
            raise item
        found = {"id": str(item.get("id", where))}
        for field in ("text", also) if also else ("text",):
            value = item.get(field)
            if not isinstance(value, str):
                raise DataError(f"{where}: no {field}", hint=f'each line is {{"id","text"{_named(also)}}}')
            found[field] = value
        yield found


def require_file(source: str) -> None:
    """Return when the input is a file or stdin.

    Raises:
        ConfigurationError: it is a folder.
    """
    if source != "-" and Path(source).is_dir():
        raise ConfigurationError(f"{source} is a folder", hint="give a JSONL file, or -")


def _named(field: str | None) -> str:
    return f',"{field}"' if field else ""


def stored_calibration(folder: Path) -> TraceCalibration | None:
    """Return the calibration that lies with an index, or None.

    Raises:
        ArtifactCorruptedError: it is damaged.
    """
    from ragguard.trace.calibrate import FILE_NAME, TraceCalibration

    return TraceCalibration.load(folder) if (folder / FILE_NAME).exists() else None
