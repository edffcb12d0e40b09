"""What `ragguard calibrate` does once its options are read: heavy imports live here."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragguard import registry
from ragguard.build import passage_steps, recorded_guards
from ragguard.config import load_settings
from ragguard.conformal.artifact import FILE_NAME
from ragguard.conformal.calibrate import Provided, Settings, calibrate
from ragguard.conformal.calibration import Calibration
from ragguard.conformal.observations import Observation, observe
from ragguard.conformal.ranks import conformal_rank
from ragguard.corpus.folder import QUESTIONS_FILE, RECIPE_FILE, CorpusFolder
from ragguard.corpus.load import load_corpus
from ragguard.corpus.questions import Scope, resolve
from ragguard.corpus.retrievers import DEFAULT_DEPTH
from ragguard.corpus.runs import Run, load_runs
from ragguard.corpus.vectors import Kind
from ragguard.errors import ConfigurationError, InvalidValueError, QuestionSetError, RagGuardError
from ragguard.evaluation.asked import as_questions
from ragguard.evaluation.observe import Fields
from ragguard.evaluation.upstream import DEFAULT_DEPTH as RERANKED
from ragguard.guard import Guard
from ragguard.protocols import Progress, TurnGuard

_STAGING = ".calibrating"


@dataclass(frozen=True)
class Recipe:
    """A corpus, a question set, and how the passages are cut and indexed."""

    corpus: Sequence[Path]
    questions: Path
    group_field: str | None
    cluster_field: str | None
    scope: Scope
    split: bool
    max_tokens: int
    depth: int | None
    kind: Kind
    embedder: str
    reranker: str | None = None
    reader: str | None = None
    config: Path | None = None


def from_corpus(recipe: Recipe, promise: Settings, folder: Path, progress: Progress | None) -> Calibration:
    """Index the corpus and calibrate on it; the folder changes only once both have succeeded.

    The questions are counted, and checked against the passages, before anything is
    embedded, so that a bad set costs nothing.
    """
    questions = as_questions(recipe.questions)
    fields = Fields(group=recipe.group_field, cluster=recipe.cluster_field, scope=recipe.scope)
    fields.require(questions)
    conformal_rank(sum(bool(q.relevant) for q in questions), promise.alpha, promise.delta)
    depth = recipe.depth
    if depth is None:
        depth = DEFAULT_DEPTH if recipe.reranker is None else RERANKED
    if depth < 1:
        raise InvalidValueError(f"depth must be at least 1, got {depth}", hint="e.g. 1000")
    shields = [] if recipe.config is None else passage_steps(load_settings(recipe.config))
    rerankers = [] if recipe.reranker is None else [_reranker(recipe.reranker, recipe.reader)]
    documents = load_corpus(recipe.corpus)
    with _staged(folder) as staging:
        _offer(folder / CorpusFolder.INDEX, staging / CorpusFolder.INDEX)
        corpus = CorpusFolder.build(
            staging,
            documents,
            embedder=recipe.embedder,
            max_tokens=recipe.max_tokens,
            split=recipe.split,
            kind=recipe.kind,
            inspect=lambda passages: resolve(questions, passages, scope=recipe.scope),
            progress=progress,
        )
        guard = Guard.calibrate(
            corpus.retriever(depth),
            questions,
            promise=promise,
            fields=fields,
            corpus=corpus,
            progress=progress,
            guards=[*shields, *rerankers],
        )
    return _of(guard)


def _reranker(model: str, reader: str | None) -> TurnGuard:
    """The reranker, its weights loaded: what is wrong with it is said before anything is embedded."""
    guard = registry.create("ragguard.guards", "rerank", model=model, reader=reader)
    guard.warm_up()
    made: TurnGuard = guard
    return made


def _offer(index: Path, staged: Path) -> None:
    """Put an earlier index where the build looks, so that calibrating again need not embed again."""
    if index.is_dir() and not staged.exists() and not staged.with_name(staged.name + ".partial").exists():
        shutil.copytree(index, staged)


def refreshed(folder: Path, paths: Sequence[Path] | None, progress: Progress | None) -> Calibration:
    """Re-score the folder's questions against its index, brought to the corpus at `paths` first if given.

    Where no threshold is found, index and calibration stay as they were.
    """
    old = Calibration.load(folder)
    recorded = old.artifact.informative
    if "promise" not in recorded:
        raise ConfigurationError(f"{folder} was calibrated from runs", hint="calibrate again with --runs")
    unnamed = set(old.artifact.upstream) - set(recorded.get("guards") or {})
    if unnamed or old.artifact.fingerprints.get("rewriter") is not None:
        # Calibrating without them would silently promise something else.
        raise ConfigurationError(
            f"{folder} was calibrated with guards or a rewriter that a command cannot name",
            hint="call Guard.calibrate again with the same ones",
        )
    documents = load_corpus(paths) if paths else None
    embedder = CorpusFolder.open(folder).embedder  # refuses a damaged index before it is copied
    with _staged(folder) as staging:
        shutil.rmtree(staging / CorpusFolder.INDEX, ignore_errors=True)
        shutil.copytree(folder / CorpusFolder.INDEX, staging / CorpusFolder.INDEX)
        shutil.copyfile(folder / RECIPE_FILE, staging / RECIPE_FILE)
        corpus = CorpusFolder.open(staging, embedder=embedder)
        if documents is not None:
            corpus.update(documents)
        guard = Guard.calibrate(
            corpus.retriever(old.artifact.depth),
            folder / QUESTIONS_FILE,
            promise=Settings(**recorded["promise"]),
            fields=Fields.restored(recorded.get("fields")),
            corpus=corpus,
            progress=progress,
            guards=recorded_guards(old, set()),
        )
    return _of(guard)


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """A folder to calibrate in, which takes the place of what `folder` holds once the block has succeeded.

    What an error of ours ends leaves nothing behind; what a kill ends is taken up again.
    """
    created = not folder.exists()
    staging = folder / _STAGING
    staging.mkdir(parents=True, exist_ok=True)
    try:
        yield staging
    except RagGuardError:
        shutil.rmtree(folder if created else staging, ignore_errors=True)
        raise
    _publish(staging, folder)


def _publish(staging: Path, folder: Path) -> None:
    """Move the files over, the calibration last: at no moment does it promise anything about another index."""
    (folder / FILE_NAME).unlink(missing_ok=True)
    for old in folder.glob("calibration-*.npz"):
        old.unlink()
    shutil.rmtree(folder / CorpusFolder.INDEX, ignore_errors=True)
    # "calibration-*.npz" sorts before "calibration.json".
    for path in sorted(staging.iterdir(), key=lambda p: (p.name.startswith("calibration"), p.name)):
        path.replace(folder / path.name)
    staging.rmdir()


def from_runs(
    path: Path,
    promise: Settings,
    folder: Path,
    group_field: str | None,
    cluster_field: str | None,
    *,
    lower_is_better: bool,
) -> Calibration:
    """Calibrate on another retriever's results."""
    if (folder / RECIPE_FILE).exists():
        raise ConfigurationError(
            f"{folder} holds an index with its own calibration", hint="choose another folder for --out"
        )
    runs = load_runs(path)
    for name in (group_field, cluster_field):
        if name is not None and all(run.field(name) is None for run in runs):
            raise QuestionSetError(f"no run has the field {name!r}", hint="check the field's name")
    observations = observe_runs(runs, group_field, cluster_field, lower_is_better=lower_is_better)
    fields = Fields(group=group_field, cluster=cluster_field)
    provided = Provided(
        fingerprints={"retriever": {"name": "runs"}, "orientation": "lower" if lower_is_better else "higher"},
        informative={
            "fields": fields.recorded(),
            "scores": "distances" if lower_is_better else "similarities",
        },
        depth=runs[0].k,
    )
    calibration = calibrate(observations, promise, provided=provided)
    calibration.save(folder)
    return calibration


def observe_runs(
    runs: Sequence[Run], group: str | None, cluster: str | None, *, lower_is_better: bool
) -> list[Observation]:
    """Return one observation a run."""
    sign = -1.0 if lower_is_better else 1.0
    return [
        observe(
            run.id,
            [r.id for r in run.results],
            [sign * r.score for r in run.results],
            run.relevant,
            group=run.field(group) if group else None,
            cluster=run.field(cluster) if cluster else None,
            provenance=run.provenance,
        )
        for run in runs
    ]


def evaluated_runs(folder: Path, path: Path, **how: Any) -> dict[str, Any]:
    """Evaluate a calibration made from runs on held-out runs."""
    from ragguard.conformal.evaluate import evaluate

    calibration = Calibration.load(folder)
    fields = Fields.restored(calibration.artifact.informative.get("fields"))
    lower = calibration.artifact.fingerprints.get("orientation") == "lower"
    observations = observe_runs(
        load_runs(path), fields.group if calibration.grouped else None, fields.cluster, lower_is_better=lower
    )
    return evaluate(observations, calibration, **how)


def _of(guard: Guard) -> Calibration:
    if guard.calibration is None:
        raise ConfigurationError("the guard was not calibrated")
    return guard.calibration
