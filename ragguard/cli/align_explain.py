"""`ragguard align explain`: why one answer scores what it scores, claim by claim."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ragguard.cli.align_items import Asked
from ragguard.cli.align_lines import answer_line, nothing
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
from ragguard.cli.align_showing import show
from ragguard.cli.output import emit
from ragguard.corpus.load import load_corpus
from ragguard.errors import ConfigurationError
from ragguard.types import Passage

if TYPE_CHECKING:
    from ragguard.alignment.aligner import AlignmentAligner
    from ragguard.alignment.checks import Finding
    from ragguard.alignment.reading import Reading


def explain(
    claim: Annotated[str, typer.Option(help="The answer to explain; its claims are judged one by one.")],
    context: Annotated[str | None, typer.Option(help="The text that may support it.")] = None,
    passages: Annotated[
        Path | None,
        typer.Option(help="Or a file or folder (.jsonl .txt .md .html .pdf); a document is a passage."),
    ] = None,
    question: Annotated[str, typer.Option(help="What the claim answers.")] = "",
    model: ModelOption = "bundled",
    tokenizer: TokenizerOption = None,
    backend: BackendOption = BackendName.auto,
    dtype: DtypeOption = DtypeName.auto,
    combiner: CombinerOption = None,
    threshold: ThresholdOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line on stdout.")] = False,
) -> None:
    """Show the claims of an answer, what supports them, and what their scores are made of."""
    if (context is None) == (passages is None):
        raise ConfigurationError("give either --context or --passages")
    given = [Passage(id="context", text=context or "")]
    if passages is not None:
        given = [Passage(id=each.id, text=each.text) for each in load_corpus(passages)]
    item = Asked(claim, tuple(given), question)
    engine = loaded_engine(model, tokenizer, backend, dtype)
    body = explained(item, loaded_aligner(engine, model, combiner=combiner, threshold=threshold))
    if as_json:
        emit(body, as_json=True)
    else:
        show(Console(), item, body)


def explained(item: Asked, aligner: AlignmentAligner) -> dict[str, Any]:
    """Return the line that `score` would write for the item, and for each claim what stands behind it."""
    settings = {"threshold": aligner.default_threshold, "base": aligner.combiner.intercept}
    if item.unread:
        return {**nothing(item.unread), **settings}
    reading = aligner.read(item.claims, item.passages, question=item.question)
    line = answer_line(item, aligner.judge(reading, item.claims, item.passages), aligner)
    behind: Sequence[Mapping[str, Any]] = [_behind(item, one, aligner) for one in reading.claims]
    # Without a chunk to read there is nothing behind a claim.
    behind = behind or [_NOTHING_BEHIND] * len(line["claims"])
    claims = [{**one, **more} for one, more in zip(line["claims"], behind, strict=True)]
    return {**line, **settings, "claims": claims}


_NOTHING_BEHIND: Mapping[str, Any] = {"read_as": [], "contributions": {}, "features": {}, "findings": []}


def _behind(item: Asked, reading: Reading, aligner: AlignmentAligner) -> dict[str, Any]:
    from ragguard.alignment.features import NAMES

    features = reading.features()
    added = aligner.combiner.contributions(features[None])[0]
    return {
        "read_as": list(reading.inquiry.texts),
        "contributions": dict(zip(aligner.combiner.names, map(float, added), strict=True)),
        "features": dict(zip(NAMES, map(float, features), strict=True)),
        "findings": list(_findings(item, reading)),
    }


def _findings(item: Asked, reading: Reading) -> Iterator[dict[str, Any]]:
    first = reading.unit.claim.span.start
    for finding in reading.comparison.findings:
        yield {
            "kind": finding.kind,
            "outcome": finding.outcome,
            "start": first + finding.claim_start,
            "end": first + finding.claim_end,
            "note": finding.note,
            "source": _place(item, finding),
        }


def _place(item: Asked, finding: Finding) -> dict[str, int] | None:
    """Where a finding stands in the passages: the checks read them as one text."""
    if finding.source_start is None or finding.source_end is None:
        return None
    first = 0
    for place, passage in enumerate(item.passages):
        if finding.source_start <= first + len(passage.text):
            start, end = finding.source_start - first, finding.source_end - first
            return {"passage": place, "start": max(0, start), "end": min(end, len(passage.text))}
        first += len(passage.text) + len("\n\n")
    return None
