"""A shield from a folder: index, clauses, vectors and calibration as they lie there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ragguard.protocols import Aligner, Embedder
from ragguard.trace.calibrate import FILE_NAME, TraceCalibration
from ragguard.trace.index import TraceIndex
from ragguard.trace.shield import TraceShield
from ragguard.trace.tracer import Tracer


def open_tracer(
    index: str | Path,
    *,
    embedder: Embedder | str | Mapping[str, Any] | None = "bundled",
    aligner: Aligner | None = None,
    **settings: Any,
) -> Tracer:
    """Return a tracer over the index in a folder.

    Args:
        index: the folder.
        embedder: one, what `ragguard.models.embedders.load_embedder` takes, or None for verbatim matches alone.
        aligner: see `Tracer`.
        settings: of the tracer.

    Raises:
        IndexFileError: there is no index, or it is damaged.
        ConfigurationError: it has policy clauses, and there is no embedder or aligner to check them with.
    """
    if isinstance(embedder, str | Mapping):
        from ragguard.models.embedders import load_embedder

        embedder = load_embedder(embedder)
    return Tracer(TraceIndex.open(index), embedder=embedder, aligner=aligner, **settings)


def open_shield(
    index: str | Path,
    *,
    embedder: Embedder | str | Mapping[str, Any] | None = "bundled",
    aligner: Aligner | None = None,
    least: int = 6,
    sentences: bool = True,
    windows: bool = True,
    **options: Any,
) -> TraceShield:
    """Return a shield over the index in a folder, with the calibration that lies there, if any.

    Args:
        index, embedder, aligner: see `open_tracer`.
        least, sentences, windows: see `Tracer`; as they were when it was calibrated.
        options: of `TraceShield`; a `threshold` stands in for the calibration.

    Raises:
        IndexFileError: there is no index, or it is damaged.
        ArtifactError: the calibration is damaged, or was made for other settings.
    """
    tracer = open_tracer(
        index, embedder=embedder, aligner=aligner, least=least, sentences=sentences, windows=windows
    )
    if options.get("threshold") is None and (Path(index) / FILE_NAME).exists():
        options.setdefault("calibration", TraceCalibration.load(index))
    return TraceShield(tracer, **options)
