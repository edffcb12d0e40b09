"""One question set from observations to its part of the report."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from rich.progress import Progress

from benchmarks.question_sets import QuestionSet, split_documents
from benchmarks.recall_report import published_recall_cell, recall_cell
from benchmarks.splits_report import Row, cell, pac_cell, published_cell, shift
from ragguard.conformal.observations import Observation
from ragguard.conformal.scores import Score, make_score
from ragguard.conformal.thresholds import find_threshold
from ragguard.conformal.tuning import choose
from ragguard.corpus.chunk import oversized
from ragguard.errors import TargetUnattainableError
from ragguard.models.embedders import SentenceTransformerEmbedder
from ragguard.types import Passage

ALPHAS = (0.2, 0.1, 0.05)
DELTA = 0.05
PAC_SIZES = (100, 500)
FIXED = ("softmax", "cosine", "gap", "ratio", "rank")
TUNED = {"softmax_tuned": "softmax", "auto": "auto"}
LEAST_TESTED = 25
"""With fewer questions left to test on, a size is not run."""

Step = tuple[str, Callable[[], Row]]


@dataclass(frozen=True)
class Plan:
    """How much to run.

    Attributes:
        splits: random splits a cell.
        recall_splits: the same for the recall target, where each split searches its threshold.
        seed: of every draw.
    """

    splits: int
    recall_splits: int
    seed: int


def report(
    questions: QuestionSet,
    observations: Sequence[Observation],
    model: SentenceTransformerEmbedder,
    plan: Plan,
    progress: Progress,
) -> dict[str, Any]:
    """Return description, choices, cells and shift of one question set, JSON-ready."""
    start = time.perf_counter()
    tuning, rest = split_documents(questions.questions, questions.tuning_share)
    pool = [observations[i] for i in rest]
    scores, chosen = _scores([observations[i] for i in tuning], questions)
    found: dict[str, Any] = {
        **_about(questions, observations, model),
        "tuning_questions": len(tuning),
        "pool": len(pool),
        "chosen": chosen,
    }
    steps = [*_cells(questions, pool, scores, plan), *_extras(questions, observations, plan)]
    task = progress.add_task(questions.name, total=len(steps))
    for part, step in steps:
        found.setdefault(part, []).append(step())
        progress.advance(task)
    found["seconds"] = round(time.perf_counter() - start, 1)
    return found


def _about(
    questions: QuestionSet, observations: Sequence[Observation], model: SentenceTransformerEmbedder
) -> dict[str, Any]:
    passages = [Passage(id=i, text=t) for i, t in questions.passages.items()]
    first = np.array([min((p for p in o.positions if p >= 0), default=10**9) for o in observations])
    depths = [len(o.similarities) for o in observations]
    return {
        "relevant": questions.description,
        "target": questions.target,
        "passages": len(passages),
        "passages_cut_by_embedder": len(oversized(passages, model)),
        "questions": len(observations),
        "documents": len({q.document for q in questions.questions}),
        "relevant_per_question": dict(sorted(Counter(len(o.positions) for o in observations).items())),
        "depth": {"smallest": min(depths), "largest": max(depths), "whole_store": True},
        "first_relevant_within": {str(k): float(np.mean(first < k)) for k in (1, 5, 10, 100)},
    }


def _scores(
    tuning: Sequence[Observation], questions: QuestionSet
) -> tuple[dict[float, dict[str, Score]], dict[str, dict[str, Row]]]:
    """Return the scores at each level, and which were chosen on the tuning questions."""
    scores: dict[float, dict[str, Score]] = {}
    chosen: dict[str, dict[str, Row]] = {}
    for alpha in ALPHAS:
        scores[alpha] = {name: make_score(name) for name in FIXED}
        for label, name in TUNED.items():
            best = choose(tuning, name, alpha=alpha, target=questions.target)[0]
            scores[alpha][label] = best.score
            chosen.setdefault(f"{alpha:g}", {})[label] = {
                "score": best.score.name,
                "parameters": dict(best.score.parameters),
                "mean_passages_tuning": best.mean_passages,
            }
    return scores, chosen


def _cells(
    questions: QuestionSet, pool: Sequence[Observation], scores: dict[float, dict[str, Score]], plan: Plan
) -> Iterator[Step]:
    recall = questions.target == "recall"
    known: dict[str, Row] = {}
    for alpha in ALPHAS:
        for n in questions.sizes:
            common: Row = {"n": n, "alpha": alpha, "seed": plan.seed}
            if len(pool) - n < LEAST_TESTED:
                why = f"{len(pool)} questions leave fewer than {LEAST_TESTED} to test on"
                yield "cells", partial(dict, score="every", alpha=alpha, n=n, skipped=why)
                continue
            for name, score in scores[alpha].items():
                yield "cells", _cell(pool, name, score, questions, common, plan, known)
                if n in PAC_SIZES:
                    confident = {**common, "delta": DELTA}
                    yield "pac", _cell(pool, name, score, questions, confident, plan, known)
            published = published_recall_cell if recall else partial(published_cell, target=questions.target)
            yield "cells", partial(published, pool, splits=plan.splits, **common)


def _cell(
    pool: Sequence[Observation],
    name: str,
    score: Score,
    questions: QuestionSet,
    common: Row,
    plan: Plan,
    known: dict[str, Row],
) -> Callable[[], Row]:
    """Return the step for one score; a score chosen is often one that was run already."""

    def step() -> Row:
        key = repr((score.name, sorted(score.parameters.items()), sorted(common.items())))
        if key not in known:
            if questions.target == "recall":
                known[key] = recall_cell(pool, name, score, splits=plan.recall_splits, **common)
            else:
                made = pac_cell if "delta" in common else cell
                known[key] = made(pool, name, score, splits=plan.splits, target=questions.target, **common)
        return {**known[key], "score": name}

    return step


def _extras(questions: QuestionSet, observations: Sequence[Observation], plan: Plan) -> Iterator[Step]:
    """Splits by document, and for SQuAD all its questions: with scores that nothing was chosen for."""
    if questions.clustered:
        for alpha in ALPHAS:
            for name in FIXED:
                yield (
                    "shift",
                    partial(
                        shift,
                        observations,
                        name,
                        make_score(name),
                        alpha=alpha,
                        splits=plan.splits,
                        seed=plan.seed,
                    ),
                )
    if questions.name == "squad":
        for name in FIXED:
            yield (
                "whole",
                partial(
                    cell,
                    observations,
                    name,
                    make_score(name),
                    n=500,
                    alpha=0.1,
                    splits=plan.splits,
                    seed=plan.seed,
                    target=questions.target,
                ),
            )
        yield "cap", partial(capped, observations, cap=5, alpha=0.1)


def capped(observations: Sequence[Observation], *, cap: int, alpha: float) -> Row:
    """Return what `find_threshold` says to a cap on passages: a threshold, or why there is none."""
    try:
        found = find_threshold(observations, make_score("softmax"), alpha=alpha, cap=cap)
    except TargetUnattainableError as error:
        return {"raised": type(error).__name__, "message": str(error), **error.details}
    return {"raised": None, "alpha": alpha, "cap": cap, "threshold": found.value, "n": found.n}
