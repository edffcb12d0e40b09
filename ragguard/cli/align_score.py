"""`ragguard align score`: claims and passages in, how well each claim is supported out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragguard.cli.align_items import Group, groups, line_count
from ragguard.cli.align_lines import published, scored, strict
from ragguard.cli.align_model import (
    BackendName,
    BackendOption,
    CombinerOption,
    DtypeName,
    DtypeOption,
    ModelOption,
    ThresholdOption,
    TokenizerOption,
    loaded_aligner,
    loaded_engine,
)
from ragguard.cli.output import ITEM_FAILED, write_lines
from ragguard.corpus.progress import ProgressBar
from ragguard.errors import ConfigurationError
from ragguard.protocols import Progress

if TYPE_CHECKING:
    from ragguard.cli.align_lines import Judge


class Profile(StrEnum):
    """How an answer becomes one number."""

    strict = "strict"
    compat = "compat"


class Mode(StrEnum):
    """Which head and which split the published profile takes."""

    nli_sp = "nli_sp"
    nli = "nli"
    bin_sp = "bin_sp"
    bin = "bin"
    reg_sp = "reg_sp"
    reg = "reg"


def score(
    source: Annotated[
        str,
        typer.Option("--input", help='JSONL of {"id","claim","question"?,"context" or "passages"}, or -.'),
    ] = "-",
    output: Annotated[str, typer.Option(help="File for JSON lines, or -.")] = "-",
    profile: Annotated[
        Profile, typer.Option(help="strict: the least supported claim; compat: as the published AlignScore.")
    ] = Profile.strict,
    mode: Annotated[Mode | None, typer.Option(help="Of --profile compat; default: nli_sp.")] = None,
    model: ModelOption = "bundled",
    tokenizer: TokenizerOption = None,
    backend: BackendOption = BackendName.auto,
    dtype: DtypeOption = DtypeName.auto,
    combiner: CombinerOption = None,
    threshold: ThresholdOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Accepted for symmetry: the output is JSON lines.")
    ] = True,
) -> None:
    """Score how well claims are supported by passages; higher is better supported."""
    if profile is Profile.strict and mode is not None:
        raise ConfigurationError("--mode is for --profile compat")
    if profile is Profile.compat and (combiner is not None or threshold is not None):
        raise ConfigurationError("--combiner and --threshold are for --profile strict")
    total, lines = line_count(source), groups(source)
    engine = loaded_engine(model, tokenizer, backend, dtype)
    judge: Judge
    if profile is Profile.compat:
        from ragguard.alignment.compat import PublishedScorer

        judge = published(PublishedScorer(engine, (mode or Mode.nli_sp).value))
    else:
        judge = strict(loaded_aligner(engine, model, combiner=combiner, threshold=threshold))
    # A bar would be drawn across lines that come out on the same terminal.
    shown = False if output == "-" and sys.stdout.isatty() else None
    with ProgressBar(shown=shown) as progress:
        if write_lines(output, _watched(lines, judge, progress, total)):
            raise typer.Exit(ITEM_FAILED)


def _watched(
    lines: Iterator[Group], judge: Judge, progress: Progress, total: int | None
) -> Iterator[dict[str, Any]]:
    done = 0
    for group in lines:
        yield from scored(group, judge)
        done += len(group)
        progress("scoring", done, max(done, total or 0))
