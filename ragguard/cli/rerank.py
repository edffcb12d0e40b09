"""`ragguard rerank`: what a reader needs, and passages ordered by it."""

from __future__ import annotations

import typer

from ragguard.cli import (
    rerank_augment,
    rerank_evaluate,
    rerank_feedback,
    rerank_probe,
    rerank_score,
    rerank_train,
)

app = typer.Typer(help="Learn which passages help a reader, and order passages by it.", no_args_is_help=True)
app.command("probe")(rerank_probe.probe)
app.command("augment")(rerank_augment.augment)
app.command("train")(rerank_train.train)
app.command("evaluate")(rerank_evaluate.evaluate)
app.command("score")(rerank_score.score)
app.command("feedback")(rerank_feedback.feedback)
