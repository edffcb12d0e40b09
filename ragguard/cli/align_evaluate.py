"""`ragguard align evaluate`: labelled answers in, how well their scores tell them apart out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from ragguard.cli.align_fit import fitted
from ragguard.cli.align_items import Asked, Group, asked, groups, line_count
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
from ragguard.cli.output import emit
from ragguard.corpus.progress import ProgressBar
from ragguard.errors import ConfigurationError, DataError
from ragguard.evaluation.binary import (
    accuracy_draws,
    auc,
    auc_draws,
    balanced_accuracy,
    document_weights,
    interval,
)
from ragguard.protocols import Progress

if TYPE_CHECKING:
    from ragguard.alignment.aligner import AlignmentAligner
    from ragguard.evaluation.binary import Array


@dataclass(frozen=True)
class Labelled:
    """A line with its label.

    Attributes:
        label: 1 where the passages support the whole claim, else 0.
        document: lines of one are drawn together; the line's own place where it names none.
        features: of every claim, shape (claims, features); None where nothing could be read.
        outcomes: of every claim; an answer passes where all are "supported".
    """

    label: int
    document: str
    features: Array | None
    outcomes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the guard would let it through."""
        return bool(self.outcomes) and set(self.outcomes) == {"supported"}

    def score(self, aligner: AlignmentAligner) -> float:
        """The least supported claim's; 0 where there is none to read: such an answer is not let through."""
        return 0.0 if self.features is None else float(aligner.combiner.scores(self.features).min())


def evaluate(
    source: Annotated[
        str,
        typer.Option(
            "--input", help='JSONL as for score, with "label" (1: supported) and "document"?; or -.'
        ),
    ] = "-",
    model: ModelOption = "bundled",
    tokenizer: TokenizerOption = None,
    backend: BackendOption = BackendName.auto,
    dtype: DtypeOption = DtypeName.auto,
    combiner: CombinerOption = None,
    threshold: ThresholdOption = None,
    fit: Annotated[
        Path | None, typer.Option(help="Fit a combiner on these answers and write it to this file.")
    ] = None,
    resamples: Annotated[int, typer.Option(min=100, help="Draws of documents for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line on stdout.")] = False,
) -> None:
    """Measure how well the least supported claim's score tells supported answers from others."""
    if fit is not None and not fit.parent.is_dir():
        raise ConfigurationError(f"there is no folder {fit.parent.name} to write {fit.name} to")
    total, lines = line_count(source), groups(source)
    engine = loaded_engine(model, tokenizer, backend, dtype)
    aligner = loaded_aligner(engine, model, combiner=combiner, threshold=threshold)
    with ProgressBar() as progress:
        found = list(_read(lines, aligner, progress, total))
    _require_both_labels(found)
    body = measured(found, aligner, resamples=resamples, seed=seed)
    if fit is not None:
        rows = [one for one in found if one.features is not None]
        answers = [one.features for one in rows if one.features is not None]
        labels, documents = [one.label for one in rows], [one.document for one in rows]
        body["fitted"] = fitted(answers, labels, documents, fit)
    emit(body, as_json=as_json, title="measured")


def measured(
    found: Sequence[Labelled], aligner: AlignmentAligner, *, resamples: int, seed: int
) -> dict[str, Any]:
    """Return AUC and balanced accuracy of the answers, with intervals over resampled documents."""
    scores = np.array([one.score(aligner) for one in found])
    labels = np.array([one.label for one in found])
    documents = [one.document for one in found]
    weights = document_weights(documents, resamples=resamples, seed=seed, name="")
    at = aligner.default_threshold
    passed = np.array([one.passed for one in found])
    return {
        "n": len(found),
        "n_supported": int(labels.sum()),
        "n_documents": len(set(documents)),
        "n_unread": sum(one.features is None for one in found),
        "n_conflicting": sum("conflicting" in one.outcomes for one in found),
        "auc": float(auc(scores, labels)[0]),
        "auc_ci": interval(auc_draws(scores, labels, weights)),
        "threshold": at,
        "balanced_accuracy": float(balanced_accuracy(scores, labels, at)[0]),
        "balanced_accuracy_ci": interval(accuracy_draws(scores, labels, at, weights)),
        "supported_passed": float(passed[labels == 1].mean()),
        "unsupported_passed": float(passed[labels == 0].mean()),
        "resamples": resamples,
        "seed": seed,
        "aligner": aligner.fingerprint(),
    }


def _read(
    lines: Iterator[Group], aligner: AlignmentAligner, progress: Progress, total: int | None
) -> Iterator[Labelled]:
    done = 0
    for group in lines:
        items = [_labelled(where, item) for where, item in group]
        readable = [one for one, _, _ in items if not one.unread]
        readings = iter(
            aligner.read_many([(one.claims, one.passages, one.question) for one in readable])
            if readable
            else []
        )
        for one, label, document in items:
            reading = None if one.unread else next(readings)
            if reading is None or not reading.claims:
                yield Labelled(label, document, None)
                continue
            outcomes = tuple(e.outcome for e in aligner.judge(reading, one.claims, one.passages))
            yield Labelled(label, document, reading.features(), outcomes)
        done += len(group)
        progress("reading", done, max(done, total or 0))


def _labelled(where: str, item: Mapping[str, Any] | DataError) -> tuple[Asked, int, str]:
    """What a line asks, its label and its document; a bad line stops the measurement, which it would bend."""
    if isinstance(item, DataError):
        raise item
    label, document = item.get("label"), item.get("document", where)
    if not isinstance(label, int) or label not in (0, 1):
        raise DataError(f"{where}: the label is not 0 or 1", hint="1: the passages support the whole claim")
    if not isinstance(document, str | int):
        raise DataError(f"{where}: the document is no name", hint="a string or a number")
    return asked(item, where), int(label), str(document)


def _require_both_labels(found: Sequence[Labelled]) -> None:
    labels = {one.label for one in found}
    if labels != {0, 1}:
        held = f"only label {labels.pop()}" if labels else "no line"
        raise DataError(f"the input holds {held}", hint="give answers of both labels")
