"""`ragguard calibrate`: a corpus or a retriever's runs in, a calibrated folder out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from ragguard.cli.output import emit
from ragguard.conformal.calibrate import Settings
from ragguard.conformal.calibration import Calibration
from ragguard.conformal.groups import WHOLE
from ragguard.corpus.progress import ProgressBar
from ragguard.errors import ConfigurationError

T = TypeVar("T")


class TargetName(StrEnum):
    """What must be kept."""

    any = "any"
    all = "all"
    recall = "recall"


class ScoreName(StrEnum):
    """Nonconformity scores; auto chooses one on the tuning share."""

    softmax = "softmax"
    cosine = "cosine"
    gap = "gap"
    ratio = "ratio"
    rank = "rank"
    reranker = "reranker"
    auto = "auto"


class Scope(StrEnum):
    """What an id in `relevant` names."""

    passage = "passage"
    document = "document"


class IndexKind(StrEnum):
    """FAISS index kinds."""

    flat = "flat"
    hnsw = "hnsw"
    ivf = "ivf"


class UnseenGroup(StrEnum):
    """What a group without a threshold becomes."""

    abstain = "abstain"
    error = "error"


class Provenance(StrEnum):
    """Which questions to calibrate on."""

    auto = "auto"
    human = "human"
    synthetic = "synthetic"


def calibrate(
    context: typer.Context,
    corpus: Annotated[
        list[Path] | None, typer.Option(help="Folder or file (.jsonl .txt .md .html .pdf); repeatable.")
    ] = None,
    questions: Annotated[
        Path | None, typer.Option(help='JSONL: {"id","question","relevant":[ids],...}.')
    ] = None,
    runs: Annotated[
        Path | None, typer.Option(help="JSONL of another retriever's results, instead of a corpus.")
    ] = None,
    refresh: Annotated[
        Path | None, typer.Option(help="Re-score the stored questions of a calibrated folder.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write.")] = None,
    alpha: Annotated[float, typer.Option(help="Allowed miscoverage, in (0, 1).")] = 0.1,
    delta: Annotated[float | None, typer.Option(help="Allowed share of unlucky calibration sets.")] = None,
    target: Annotated[TargetName, typer.Option(help="What must be kept.")] = TargetName.any,
    score: Annotated[ScoreName, typer.Option(help="Nonconformity score.")] = ScoreName.softmax,
    temperature: Annotated[float | None, typer.Option(help="Of softmax; default: tuned.")] = None,
    tune_share: Annotated[float, typer.Option(help="Share of the questions to tune on.")] = 0.2,
    group_field: Annotated[
        str | None, typer.Option(help="Question field with the group: one threshold each.")
    ] = None,
    cluster_field: Annotated[
        str | None, typer.Option(help="Question field within which questions depend.")
    ] = None,
    unseen_group: Annotated[
        UnseenGroup, typer.Option(help="For a group without a threshold.")
    ] = UnseenGroup.abstain,
    max_passages: Annotated[int | None, typer.Option(help="Cap on passages, inside the guarantee.")] = None,
    no_chunk: Annotated[bool, typer.Option("--no-chunk", help="Every document is one passage.")] = False,
    max_tokens: Annotated[int, typer.Option(help="Most tokens of a passage.")] = 200,
    relevant_scope: Annotated[Scope, typer.Option(help="What `relevant` names.")] = Scope.passage,
    depth: Annotated[
        int | None,
        typer.Option(help="Candidates retrieved for each question; default 1000, with a reranker 50."),
    ] = None,
    reranker: Annotated[
        str | None,
        typer.Option(help="bundled or a folder: reranks before the cut; --score reranker implies bundled."),
    ] = None,
    reader: Annotated[
        str | None, typer.Option(help="Id of the reader served, for a reranker trained for one.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings file: its guards of passages stand before the cut.")
    ] = None,
    index: Annotated[IndexKind, typer.Option(help="Index kind.")] = IndexKind.flat,
    embedder: Annotated[
        str, typer.Option(help="bundled, or a sentence-transformers name or path.")
    ] = "bundled",
    lower_is_better: Annotated[
        bool, typer.Option("--lower-is-better", help="Scores in --runs are distances.")
    ] = False,
    novelty_level: Annotated[
        float, typer.Option(help="Share of answerable questions that may be turned away; 0: no test.")
    ] = 0.05,
    provenance: Annotated[
        Provenance, typer.Option(help="Which questions to calibrate on.")
    ] = Provenance.auto,
    tolerance: Annotated[
        float, typer.Option(help="Share of passages that may change before serving is an error.")
    ] = 0.1,
    valid_days: Annotated[float, typer.Option(help="Days until the calibration expires.")] = 180.0,
    seed: Annotated[int, typer.Option(help="Of the tuning split.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line on stdout.")] = False,
) -> None:
    """Calibrate retrieval so that the needed passage is kept with probability 1 - alpha."""
    from ragguard.cli import calibrating

    _require_one_source(refresh=refresh, runs=runs, questions=questions)
    if refresh is not None:
        _require_nothing_else(context)
    if runs is not None and corpus:
        raise ConfigurationError("give either --corpus or --runs", hint="runs bring their own results")
    promise = Settings(
        alpha=alpha,
        delta=delta,
        target=target.value,
        score=score.value,
        temperature=temperature,
        tune_share=tune_share,
        cap=max_passages,
        grouped=group_field is not None,
        unseen_group=unseen_group.value,
        novelty_level=novelty_level or None,
        provenance=provenance.value,
        tolerance=tolerance,
        valid_days=valid_days,
        seed=seed,
    )
    with ProgressBar() as progress:
        if refresh is not None:
            calibration, folder = calibrating.refreshed(refresh, corpus, progress), refresh
        elif runs is not None:
            if reranker is not None or score is ScoreName.reranker:
                raise ConfigurationError(
                    "a reranker reads passages, and --runs holds none", hint="use --corpus"
                )
            if config is not None:
                raise ConfigurationError(
                    "guards of passages read them, and --runs holds none", hint="use --corpus"
                )
            folder = _required("--out", out)
            calibration = calibrating.from_runs(
                runs, promise, folder, group_field, cluster_field, lower_is_better=lower_is_better
            )
        else:
            folder = _required("--out", out)
            recipe = calibrating.Recipe(
                corpus=_required("--corpus", corpus),
                questions=_required("--questions", questions),
                group_field=group_field,
                cluster_field=cluster_field,
                scope=relevant_scope.value,
                split=not no_chunk,
                max_tokens=max_tokens,
                depth=depth,
                kind=index.value,
                embedder=embedder,
                reranker="bundled" if reranker is None and score is ScoreName.reranker else reranker,
                reader=reader,
                config=config,
            )
            calibration = calibrating.from_corpus(recipe, promise, folder, progress)
    emit(summary(calibration, folder), as_json=as_json, title="calibrated")


def summary(calibration: Calibration, folder: Path) -> dict[str, Any]:
    """Return what the command prints."""
    artifact = calibration.artifact
    whole = artifact.categories.get(WHOLE)
    return {
        "artifact": str(folder),
        "id": artifact.id,
        "n": artifact.n,
        "n_tuning": artifact.n_tuning,
        "n_unanswerable": artifact.n_unanswerable,
        "alpha": artifact.alpha,
        "delta": artifact.delta,
        "target": artifact.target,
        "score": artifact.score,
        "temperature": artifact.parameters.get("temperature"),
        "threshold": whole.threshold if whole is not None else None,
        "unreachable": sum(c.unreachable for c in artifact.categories.values()),
        "groups": {
            name: {
                "threshold": c.threshold,
                "n": c.n,
                "unreachable": c.unreachable,
                "members": list(c.members),
            }
            for name, c in artifact.categories.items()
            if name != WHOLE
        },
        "expires": artifact.expires.isoformat(),
        "by_provenance": dict(artifact.by_provenance),
        "notes": list(artifact.notes),
    }


def _require_one_source(**given: Path | None) -> None:
    named = [f"--{name}" for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise ConfigurationError(
            f"give one of {', '.join(named)}", hint="--corpus with --questions, or --runs, or --refresh"
        )


def _required(name: str, value: T | None) -> T:
    if not value:
        raise ConfigurationError(f"{name} is missing", hint="see `ragguard calibrate --help`")
    return value


def _require_nothing_else(context: typer.Context) -> None:
    """A refresh keeps every setting of its folder; an option given beside it would be ignored."""
    given = [
        name
        for name in context.params
        if name not in ("refresh", "corpus", "as_json")
        and (source := context.get_parameter_source(name)) is not None
        and source.name == "COMMANDLINE"
    ]
    if given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ConfigurationError(
            f"--refresh keeps the settings of its folder and takes no {options}",
            hint="calibrate anew with --corpus and --questions to change them",
        )
