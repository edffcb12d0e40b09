"""`ragguard align`: how well claims are supported by passages, and the model that says so."""

from __future__ import annotations

import typer

from ragguard.cli import align_convert, align_evaluate, align_explain, align_score, align_train

app = typer.Typer(
    help="Score how well claims are supported; explain, convert, train and measure.", no_args_is_help=True
)
app.command("score")(align_score.score)
app.command("explain")(align_explain.explain)
app.command("convert")(align_convert.convert)
app.command("train")(align_train.train)
app.command("evaluate")(align_evaluate.evaluate)
