"""`ragguard evaluate`: measured coverage on held-out questions, beside the promise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ragguard.cli.output import emit
from ragguard.corpus.progress import ProgressBar
from ragguard.errors import ConfigurationError


def evaluate(
    folder: Annotated[Path, typer.Argument(help="Calibrated folder.")],
    questions: Annotated[Path | None, typer.Option(help="Held-out questions, as for calibrate.")] = None,
    runs: Annotated[
        Path | None, typer.Option(help="Held-out runs, for a calibration made from runs.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="Of the interval.")] = 0.95,
    by_cluster: Annotated[bool, typer.Option("--by-cluster", help="Interval by cluster bootstrap.")] = False,
    splits: Annotated[
        int, typer.Option(help="Random splits over which every score is compared at equal alpha; 0: none.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line on stdout.")] = False,
) -> None:
    """Measure coverage and cost of a calibrated folder."""
    if (questions is None) == (runs is None):
        raise ConfigurationError("give either --questions or --runs")
    if runs is not None:
        from ragguard.cli.calibrating import evaluated_runs

        result = evaluated_runs(folder, runs, confidence=confidence, by_cluster=by_cluster, splits=splits)
    else:
        from ragguard.guard import Guard

        with ProgressBar() as progress:
            guard = Guard.load(folder, guards=())
            result = guard.evaluate(
                questions or "",
                confidence=confidence,
                by_cluster=by_cluster,
                splits=splits,
                progress=progress,
            )
    emit(result, as_json=as_json, title=f"evaluated {folder}")
