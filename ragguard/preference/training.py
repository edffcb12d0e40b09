"""From preferences to a reranker that may serve, or to the finding that the base should go on serving.

Questions are split by cluster. Training stops by the validation split; the test
split is looked at once, by the best checkpoint and the base together. The trained
reranker is promoted only where its gain there is above zero by more than chance.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ragguard._version import __version__
from ragguard.errors import PreferenceSetError
from ragguard.models.pair_model import PairModel
from ragguard.preference.bases import Base, base_of
from ragguard.preference.batches import scores_of, teaches, vectors
from ragguard.preference.card import KIND
from ragguard.preference.groups import Group, groups_of
from ragguard.preference.promotion import Gain, paired_gain
from ragguard.preference.ranking import means_of, metrics_of
from ragguard.preference.recipe import Settings
from ragguard.preference.records import PreferenceExample, readers_of
from ragguard.preference.runs import Run, ndcgs
from ragguard.preference.shortcut import aucs, question_scores, word_counts
from ragguard.preference.splits import Splits, foreign_groups, split
from ragguard.protocols import Progress

Floats = NDArray[np.float64]

PROMOTED, KEPT_ASIDE, RESULT = "model", "kept-aside", "result.json"
COMPARED = ("ndcg", "mrr@10", "hit@1", "aligned@1", "aligned@3", "harm@1", "harm@3")
_NAMED = 5


@dataclass(frozen=True)
class TrainedReranker:
    """What came of a training.

    Attributes:
        promoted: whether the trained reranker may take the base's place.
        folder: of its weights: "model" in the output folder, or "kept-aside".
        reader: id of the reader it learned from.
        base: name of what it was trained from.
        weighting: of the objectives, the one taken.
        sentence: the finding, for people.
        figures: JSON-serialisable: splits, validation by weighting, test by order,
            gains with intervals, and the query-only baseline.
    """

    promoted: bool
    folder: Path
    reader: str
    base: str
    weighting: str
    sentence: str
    figures: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return all of it for `json.dumps`."""
        return {**asdict(self), "folder": str(self.folder), "figures": dict(self.figures)}


def train_reranker(
    examples: Sequence[PreferenceExample],
    base: str | Path | PairModel = "bundled",
    *,
    output: str | Path,
    settings: Settings | None = None,
    reader: str | None = None,
    progress: Progress | None = None,
) -> TrainedReranker:
    """Train a reranker on one reader's preferences, going on where an earlier call stopped.

    Args:
        examples: as probing gives them.
        base: "bundled", a pair model or its folder, or a sentence-transformers CrossEncoder's folder.
        output: the run's folder: states, `result.json`, and the weights in `model` or `kept-aside`.
        settings: the defaults where None.
        reader: whose preferences, where the examples hold several readers'.
        progress: called as progress("training (equal)", steps done, steps in all).

    Raises:
        InvalidValueError: several readers and none is chosen, or the base has more than one output.
        PreferenceSetError: the preferences contradict one another, or say nothing of any order.
        SplitLeakageError: declared splits tear a cluster of questions apart.
        ConfigurationError: `output` holds another run, or the base cannot be used.
        UnreadableFileError: the base or an earlier state cannot be read.
    """
    chosen = settings or Settings()
    if chosen.threads is not None:
        torch.set_num_threads(chosen.threads)
    whose = reader or next(iter(readers_of(examples)), "")
    groups, report = _usable(groups_of(examples, reader=reader), chosen)
    parts = split(groups, shares=chosen.shares, seed=chosen.seed, similar=chosen.similar)
    _require_lessons(parts, chosen)
    work = _Work(base, parts, chosen, Path(output), progress or (lambda *_: None))
    runs = {name: work.run(name) for name in chosen.weightings}
    weighting, choice = _chosen(runs, parts, chosen)
    figures = {
        "examples": len(examples),
        "questions": len(groups),
        "splits": {**parts.report, **report},
        "validation": {name: run.validation for name, run in runs.items()},
        "weighting": choice,
        **work.test(runs[weighting].base),
    }
    return work.export(runs[weighting].base, whose, weighting, figures)


@dataclass(frozen=True)
class _Trained:
    base: Base
    validation: dict[str, Any]
    ndcgs: Floats


class _Work:
    """One base, one split, one output folder."""

    def __init__(
        self,
        base: str | Path | PairModel,
        parts: Splits,
        settings: Settings,
        output: Path,
        progress: Progress,
    ) -> None:
        self.source, self.parts, self.settings = base, parts, settings
        self.output, self.progress = output, progress
        self.base = base_of(base, max_tokens=settings.max_tokens)
        self.identity = {"base": self.base.sha256, "data": _data_sha256(parts)}

    def run(self, weighting: str) -> _Trained:
        fresh = base_of(self.source, max_tokens=self.settings.max_tokens)
        run = Run(
            fresh,
            weighting=weighting,
            settings=self.settings,
            folder=self.output / "runs" / weighting,
            identity=self.identity,
        )
        done = run.go(self.parts.train, self.parts.validation, self.parts.clusters, progress=self.progress)
        scores = scores_of(fresh, self.parts.validation)
        told = {
            "ndcg": done.best,
            "base_ndcg": done.history[0][1],
            "best_step": done.best_step,
            "steps": done.step,
            "history": done.history,
            **aucs(scores, self.parts.validation),
        }
        return _Trained(fresh, told, ndcgs(scores, self.parts.validation))

    def test(self, trained: Base) -> dict[str, Any]:
        """Return the figures of the test split, and the gains over the base."""
        test = self.parts.test
        scores = {
            "retriever": [-group.ranks.astype(np.float64) for group in test],
            "base": scores_of(self.base, test),
            "trained": scores_of(trained, test),
        }
        rows = {
            name: [metrics_of(s, g.gains, ranks=g.ranks) for s, g in zip(found, test, strict=True)]
            for name, found in scores.items()
        }
        clusters = [self.parts.clusters[group.query_id] for group in test]
        gains = {metric: self._gain(rows, metric, clusters, over="base").as_json() for metric in COMPARED}
        return {
            "test": {name: means_of(found) for name, found in rows.items()},
            "gain_over_base": gains,
            "gain_over_retriever": {"ndcg": self._gain(rows, "ndcg", clusters, over="retriever").as_json()},
            "shortcut": self._shortcut(scores),
        }

    def _gain(
        self,
        rows: Mapping[str, Sequence[Mapping[str, float]]],
        metric: str,
        clusters: list[str],
        *,
        over: str,
    ) -> Gain:
        before, after = ([row[metric] for row in rows[name]] for name in (over, "trained"))
        risk, seed = self.settings.risk, self.settings.seed
        return paired_gain(
            before, after, clusters=clusters, risk=risk, draws=max(4000, int(100 / risk)), seed=seed
        )

    def _shortcut(self, scores: Mapping[str, list[Floats]]) -> dict[str, Any]:
        """The query-only baseline beside what base and trained reranker achieve."""
        train, test = [*self.parts.train, *self.parts.validation], self.parts.test
        asked = [group.query for group in (*train, *test)]
        # Both what the base makes of a question without a passage, and its plain words.
        read = np.hstack([vectors(self.base, [(q, "") for q in asked]), word_counts(asked)])
        found = question_scores(read[: len(train)], train, read[len(train) :])
        alone = [np.full(len(g.members), s) for g, s in zip(test, found, strict=True)]
        return {
            "query_only": aucs(alone, test),
            "base": aucs(scores["base"], test),
            "trained": aucs(scores["trained"], test),
        }

    def export(
        self, trained: Base, reader: str, weighting: str, figures: Mapping[str, Any]
    ) -> TrainedReranker:
        gain = figures["gain_over_base"]["ndcg"]
        promoted = bool(gain["promotes"])
        sentence = _sentence(gain, promoted=promoted)
        card = {
            "kind": KIND,
            "trained_with": f"ragguard {__version__}",
            "reader": reader,
            "promoted": promoted,
            "finding": sentence,
            "base": {"name": self.base.name, "sha256": self.base.sha256},
            "weighting": weighting,
            "settings": self.settings.model_dump(mode="json", exclude={"threads"}),
            "data_sha256": self.identity["data"],
            "figures": json.loads(json.dumps(figures)),
        }
        folder = trained.save(self.output / (PROMOTED if promoted else KEPT_ASIDE), card)
        result = TrainedReranker(promoted, folder, reader, self.base.name, weighting, sentence, figures)
        new = self.output / f"{RESULT}.new"
        new.write_text(json.dumps(result.as_json(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        new.replace(self.output / RESULT)
        return result


def _usable(groups: list[Group], settings: Settings) -> tuple[list[Group], dict[str, Any]]:
    foreign = foreign_groups(groups)
    if foreign and settings.foreign == "refuse":
        raise PreferenceSetError(
            f"the passages of {len(foreign)} questions seem to be other questions': {', '.join(foreign[:_NAMED])}",
            hint="check how rows were joined, or set `foreign` to report or drop",
            details={"query_id": foreign},
        )
    dropped = set(foreign) if settings.foreign == "drop" else set()
    report = {"foreign": foreign, "foreign_dropped": bool(dropped)}
    return [group for group in groups if group.query_id not in dropped], report


def _require_lessons(parts: Splits, settings: Settings) -> None:
    if not any(teaches(group, settings) for group in parts.train):
        raise PreferenceSetError(
            "no training question has a passage that helped or harmed", hint="probe more questions"
        )
    for name, groups in (("validation", parts.validation), ("test", parts.test)):
        if not any(group.informative() for group in groups):
            raise PreferenceSetError(
                f"no {name} question has passages of different gain", hint="probe more questions"
            )


def _chosen(runs: Mapping[str, _Trained], parts: Splits, settings: Settings) -> tuple[str, dict[str, Any]]:
    """Equal weights, unless the other proves better on the validation questions."""
    if len(runs) == 1:
        (name,) = runs
        return name, {"taken": name}
    clusters = [parts.clusters[group.query_id] for group in parts.validation]
    gain = paired_gain(
        runs["equal"].ndcgs, runs["mgda"].ndcgs, clusters=clusters, risk=0.025, seed=settings.seed
    )
    name = "mgda" if gain.promotes else "equal"
    return name, {"taken": name, "mgda_over_equal": gain.as_json()}


def _sentence(gain: Mapping[str, Any], *, promoted: bool) -> str:
    figures = (
        f"within-question nDCG {gain['mean']:+.3f} over the base "
        f"(lower bound {gain['lower']:+.3f}, {gain['questions']} test questions)"
    )
    if promoted:
        return f"Promoted: {figures}."
    return f"Kept aside: {figures} is no proof of a gain, so the base should go on serving."


def _data_sha256(parts: Splits) -> str:
    digest = hashlib.sha256()
    for name in ("train", "validation", "test"):
        groups: tuple[Group, ...] = getattr(parts, name)
        text = json.dumps([name, [asdict(group) for group in groups]], sort_keys=True)
        digest.update(text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
