"""`ragguard align train`: a recipe in, a trained alignment model out; it goes on where it was stopped."""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ragguard.cli.align_convert import Storage
from ragguard.cli.output import emit

if TYPE_CHECKING:
    from ragguard.alignment.training.trainer import Progressed

INTERRUPTED = 130


def train(
    recipe: Annotated[Path, typer.Argument(help="YAML; what the weights are made of.")],
    output: Annotated[Path | None, typer.Option(help="Folder of the run, instead of the recipe's.")] = None,
    export: Annotated[Path | None, typer.Option(help="Folder to write the trained model to.")] = None,
    storage: Annotated[Storage, typer.Option(help="Of the exported weights.")] = Storage.int8,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line on stdout.")] = False,
) -> None:
    """Train the alignment model; the same command goes on with a run that was stopped."""
    from transformers.utils.logging import disable_progress_bar

    from ragguard.alignment.training.recipe import read_recipe
    from ragguard.alignment.training.trainer import progressed
    from ragguard.alignment.training.trainer import train as train_by

    # Its bar for reading the backbone would stand between ours.
    disable_progress_bar()
    settings = read_recipe(recipe)
    if output is not None:
        settings = settings.model_copy(update={"output": output.resolve()})
    with _watching() as watched:
        train_by(settings, watch=watched)
    done = progressed(settings.output)
    if done.step < done.steps:
        _say(f"stopped after step {done.step} of {done.steps}; the same command goes on from there")
        raise typer.Exit(INTERRUPTED)
    body: dict[str, Any] = {
        "run": str(settings.output),
        "steps": done.step,
        "pairs": done.pairs,
        "seconds": round(done.seconds, 1),
        "loss": None if math.isnan(done.loss) else done.loss,
    }
    if export is not None:
        from ragguard.alignment.training.export import export as write

        body["model"] = str(write(settings.output, export, storage=storage.value))
    emit(body, as_json=as_json, title=f"trained {recipe.name}")


class _Watched:
    """Draws a bar with the loss; the first Ctrl-C lets the step end, the second does not."""

    def __init__(self, bar: Any) -> None:
        self._bar, self._task = bar, bar and bar.add_task("reading data", total=None, loss="")
        self._begun = self._asked_to_stop = False

    def __call__(self, done: Progressed) -> bool:
        self._begun = True
        if self._bar is not None:
            loss = "" if math.isnan(done.loss) else f"loss {done.loss:.3f}"
            self._bar.update(
                self._task, description="training", completed=done.step, total=done.steps, loss=loss
            )
        return not self._asked_to_stop

    def interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        if self._asked_to_stop or not self._begun:
            raise KeyboardInterrupt
        self._asked_to_stop = True


@contextmanager
def _watching() -> Iterator[_Watched]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[loss]}"), TimeRemainingColumn())
    shown = sys.stderr.isatty()
    bar = Progress(
        TextColumn("{task.description}"), *columns, console=Console(stderr=True), disable=not shown
    )
    with bar:
        watched = _Watched(bar if shown else None)
        before = signal.signal(signal.SIGINT, watched.interrupt)
        try:
            yield watched
        finally:
            signal.signal(signal.SIGINT, before)


def _say(message: str) -> None:
    Console(stderr=True).print(message, highlight=False, soft_wrap=True, markup=False)
