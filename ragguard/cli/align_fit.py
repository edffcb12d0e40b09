"""A combiner fitted on answers of one's own, and what it is worth on answers it has not seen."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragguard.errors import InvalidValueError
from ragguard.evaluation.binary import auc

if TYPE_CHECKING:
    from ragguard.evaluation.binary import Array

_FOLDS = 5


def fitted(
    answers: Sequence[Array], labels: Sequence[int], documents: Sequence[str], file: Path
) -> dict[str, Any]:
    """Fit a combiner, write it, and return its figures.

    `auc` is on the answers it was fitted on; `auc_held_out` is on answers of documents
    that the fit had not seen, five parts in turn, None where a part leaves one label only.

    Raises:
        InvalidValueError: the answers that could be read are of one label only.
    """
    from dataclasses import replace

    from ragguard.alignment.training.combining import Answers, fit_combiner

    known = np.array(labels)
    found = fit_combiner({"given": Answers(answers, known)})
    held_out = _held_out(answers, known, documents)
    figures: dict[str, Any] = {
        "n": len(answers),
        "auc": float(auc(_worst(found.scores, answers), known)[0]),
        "auc_held_out": held_out,
    }
    file.write_text(replace(found, fitted=figures).to_json() + "\n", encoding="utf-8")
    thresholds = {"thresholds": dict(found.thresholds), "answer_power": found.answer_power}
    return {"file": str(file), **figures, **thresholds, "features": list(found.names)}


def _held_out(answers: Sequence[Array], labels: Any, documents: Sequence[str]) -> float | None:
    from ragguard.alignment.training.combining import Answers, fit_combiner

    part = np.array([_part(name) for name in documents])
    scores = np.full(len(answers), np.nan)
    for held in range(_FOLDS):
        if not (part == held).any():
            continue
        kept = [place for place in range(len(answers)) if part[place] != held]
        try:
            found = fit_combiner({"kept": Answers([answers[p] for p in kept], labels[kept])})
        except (InvalidValueError, ValueError):
            return None
        scores[part == held] = _worst(
            found.scores, [a for a, p in zip(answers, part, strict=True) if p == held]
        )
    return float(auc(scores, labels)[0])


def _part(document: str) -> int:
    return hashlib.sha256(document.encode("utf-8")).digest()[0] % _FOLDS


def _worst(scores: Any, answers: Sequence[Array]) -> Array:
    return np.array([scores(features).min() for features in answers])
