"""A passage shield from settings: head, known attacks and calibration as they lie in folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ragguard.protocols import Embedder
from ragguard.trace.calibrate import FILE_NAME, TraceCalibration
from ragguard.trace.index import TraceIndex
from ragguard.trace.injection_scorer import InjectionScorer
from ragguard.trace.passage_shield import PassageShield
from ragguard.trace.tracer import Tracer

FOLDER = "passages"
"""Below an index: where the calibration for passages lies, apart from that for answers."""


def open_scorer(
    index: str | Path | None = None,
    *,
    embedder: Embedder | str | Mapping[str, Any] | None = "bundled",
    least: int = 6,
) -> InjectionScorer:
    """Return the scorer of passages, which also knows the deny corpus of an index.

    Args:
        index: folder of an index; a passage that holds text of its deny corpus is a known attack. Only
            verbatim: a page that merely speaks of the same matter as a leaked one is no attack.
        embedder: one, what `ragguard.models.embedders.load_embedder` takes, or None for rules and form alone.
        least: words of a verbatim match.

    Raises:
        IndexFileError: there is no index, or it is damaged.
    """
    if isinstance(embedder, str | Mapping):
        from ragguard.models.embedders import load_embedder

        embedder = load_embedder(embedder)
    tracer = None if index is None else Tracer(TraceIndex.open(index), policy=(), least=least)
    return InjectionScorer(embedder, tracer=tracer)


def open_passage_shield(
    index: str | Path | None = None,
    *,
    embedder: Embedder | str | Mapping[str, Any] | None = "bundled",
    least: int = 6,
    calibration: TraceCalibration | str | Path | None = None,
    **options: Any,
) -> PassageShield:
    """Return a passage shield, with the calibration that lies with the index, if any.

    Args:
        index, embedder, least: see `open_scorer`.
        calibration: one, or the folder of one; by default that in `passages` below the index.
        options: of `PassageShield`; a `threshold` stands in for the calibration.

    Raises:
        IndexFileError: there is no index, or it is damaged.
        ArtifactError: the calibration is damaged.
    """
    named = {"index": index, "embedder": embedder, "least": least, "calibration": calibration, **options}
    given = {key: str(value) if isinstance(value, Path) else value for key, value in named.items()}
    if calibration is None and index is not None and options.get("threshold") is None:
        calibration = Path(index) / FOLDER if (Path(index) / FOLDER / FILE_NAME).exists() else None
    if isinstance(calibration, str | Path):
        calibration = TraceCalibration.load(calibration)
    scorer = open_scorer(index, embedder=embedder, least=least)
    return _Opened(scorer, calibration=calibration, given=given, **options)


class _Opened(PassageShield):
    """A shield that a calibration of the cut can name, so that serving makes the same one again."""

    def __init__(self, scorer: InjectionScorer, *, given: Mapping[str, Any], **options: Any) -> None:
        super().__init__(scorer, **options)
        self._given = dict(given)

    def recipe(self) -> dict[str, Any] | None:
        """Return its registered name and options, or None where one cannot be written to a file."""
        plain = all(isinstance(value, str | int | float | None) for value in self._given.values())
        return {"use": "passages", "options": self._given} if plain else None
