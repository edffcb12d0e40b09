"""`ragguard trace export`: traced answers as preference pairs, for those who train their own model."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragguard.cli.align_items import line_count
from ragguard.cli.output import emit, read_items
from ragguard.cli.trace_options import IndexArgument, JsonOption, private
from ragguard.cli.trace_tracer import (
    LeastOption,
    SemanticOption,
    ThresholdOption,
    counting,
    opened_shield,
    require_file,
    texts_of,
)
from ragguard.corpus.progress import ProgressBar
from ragguard.protocols import Progress

if TYPE_CHECKING:
    from ragguard.trace.belief import Belief
    from ragguard.trace.pairs import TracedAnswer
    from ragguard.trace.shield import TraceShield


class Chosen(StrEnum):
    """What should have been said."""

    refusal = "refusal"
    redacted = "redacted"


def export(
    folder: IndexArgument,
    out: Annotated[Path, typer.Option(help="JSONL to write, for its owner alone.")],
    refusal: Annotated[str, typer.Option(help="What should have been said instead.")],
    source: Annotated[str, typer.Option("--input", help='JSONL of {"id","prompt","text"}, or -.')] = "-",
    chosen: Annotated[
        Chosen, typer.Option(help="The refusal, or the answer less its traced sentences.")
    ] = Chosen.refusal,
    threshold: ThresholdOption = None,
    semantic: SemanticOption = None,
    least: LeastOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write {"prompt","chosen","rejected","spans"} for every answer that would be refused."""
    from ragguard.trace.pairs import preference_pairs, write_pairs

    require_file(source)
    shield = opened_shield(folder, semantic, least, threshold)
    total = line_count(source)
    with private(), ProgressBar() as progress:
        watched = _Watched(shield, progress, total)
        pairs = preference_pairs(
            watched.answers(source),
            refusal=refusal,
            redact=chosen is Chosen.redacted,
            clean=lambda text: not watched.beliefs(text),
        )
        written = write_pairs(out, pairs)
    emit({"path": str(out), "answers": watched.done, "pairs": written}, as_json=as_json, title="exported")


class _Watched:
    """Traces answers one by one, and counts them."""

    def __init__(self, shield: TraceShield, progress: Progress, total: int | None) -> None:
        self._shield = shield
        self._progress = progress
        self._total = total
        self.done = 0

    def answers(self, source: str) -> Iterator[TracedAnswer]:
        from ragguard.trace.pairs import TracedAnswer

        for item in texts_of(read_items(source), also="prompt"):
            self.done += 1
            self._progress("tracing", self.done, max(self.done, self._total or 0))
            yield TracedAnswer(item["id"], item["prompt"], item["text"], self.beliefs(item["text"]))

    def beliefs(self, text: str) -> list[Belief]:
        """Those that a text is refused for."""
        return [
            belief for belief in self._shield.tracer.trace(text).beliefs if counting(self._shield, belief)
        ]
