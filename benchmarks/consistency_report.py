"""Scores of the consistency sets as figures with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.consistency_metrics import (
    Array,
    accuracy_draws,
    auc,
    auc_draws,
    balanced_accuracy,
    best_threshold,
    document_weights,
    interval,
    mean_draws,
    shared_threshold,
)
from benchmarks.consistency_sets import HALVES, Half, Item

FAMILIES: Mapping[str, Sequence[str]] = {
    "summedits": [f"summedits_{d}" for d in ("podcast", "sales_call", "sales_email", "samsum")],
    "q2": ["q2"],
    "wice": ["wice"],
    "factcc": ["factcc"],
}
"""What the mean is over; the domains of SummEdits count as one set."""

REFERENCE = "overlap"
"""Every other row's gain is over this one."""

PUBLISHED: Sequence[Mapping[str, Any]] = [
    {"row": f"AlignScore-{size}", "set": name, "auc": value, "status": "published", "note": note}
    for name, base, large, note in (
        ("q2", 0.761, 0.786, "TRUE's Q2, whole; here half of it, by document"),
        ("factcc", 0.933, 0.937, "the SummaC benchmark's FactCC; here half of 311 items"),
        ("begin", 0.824, 0.827, "TRUE's BEGIN, one set of another release; here three dev sets"),
    )
    for size, value in (("base", base), ("large", large))
]
"""Zha et al. 2023, "AlignScore", AUC-ROC; taken over, never computed here."""


@dataclass(frozen=True)
class Scored:
    """One set with every row's scores.

    Attributes:
        items: of the halves that were scored.
        rows: row name -> (n,) scores.
    """

    items: Sequence[Item]
    rows: Mapping[str, Array] = field(default_factory=dict)

    def part(self, half: Half, row: str) -> tuple[Array, Any]:
        """Return (scores, labels) of one half."""
        inside = np.array([i.half == half for i in self.items], dtype=bool)
        return self.rows[row][inside], np.array([i.label for i in self.items], dtype=np.int64)[inside]


def counts(items: Sequence[Item]) -> dict[str, dict[str, int]]:
    """Return half -> items, supported ones and documents."""
    return {
        half: {
            "items": len(inside),
            "supported": sum(i.label for i in inside),
            "documents": len({i.document for i in inside}),
        }
        for half in HALVES
        if (inside := [i for i in items if i.half == half])
    }


def report(
    sets: Mapping[str, Scored],
    thresholds: Mapping[str, float | None],
    half: Half,
    baselines: Sequence[str] = (),
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Return row -> set -> figures on one half, and the means over `FAMILIES` under "mean".

    Args:
        sets: by name.
        thresholds: row -> fixed threshold or None.
        half: figures come from it; thresholds are tuned on the other half or, for
            `tuning`, on itself ("in_sample").
        baselines: rows; every other one's gain is also over the best of them on this half.
        resamples: of documents.
        seed: of the resampling.
    """
    shared = {row: shared_threshold([s.part("tuning", row) for s in _averaged(sets)]) for row in thresholds}
    found: dict[str, Any] = {row: {} for row in thresholds}
    draws: dict[str, dict[str, dict[str, Array]]] = {row: {} for row in thresholds}
    for name, scored in sets.items():
        documents = [i.document for i in scored.items if i.half == half]
        if not documents:
            continue
        weights = document_weights(documents, resamples=resamples, seed=seed, name=f"{name}:{half}")
        for row, fixed in thresholds.items():
            tuned = best_threshold(*scored.part("tuning", row))
            cuts = {"fixed": fixed, "tuned": tuned, "shared": shared[row]}
            found[row][name], draws[row][name] = _figures(*scored.part(half, row), cuts, weights)
            if half == "tuning":
                found[row][name]["in_sample"] = True
    for row in thresholds:
        found[row]["mean"], draws[row]["mean"] = _mean(found[row], draws[row])
    for name in (*sets, "mean"):
        _add_gains(found, draws, name, baselines)
    return found


def _figures(
    scores: Array, labels: Any, cuts: Mapping[str, float | None], weights: Array
) -> tuple[dict[str, Any], dict[str, Array]]:
    draws = {"auc": auc_draws(scores, labels, weights)}
    figures: dict[str, Any] = {
        "auc": float(auc(scores, labels)[0]),
        "auc_interval": interval(draws["auc"]),
        "resamples_without_both_labels": int(np.isnan(draws["auc"]).sum()),
    }
    for name, cut in cuts.items():
        if cut is None or np.isnan(cut):
            continue
        draws[name] = accuracy_draws(scores, labels, cut, weights)
        figures[f"balanced_accuracy_{name}"] = float(balanced_accuracy(scores, labels, cut)[0])
        figures[f"balanced_accuracy_{name}_interval"] = interval(draws[name])
        figures[f"threshold_{name}"] = cut
    return figures, draws


def _mean(
    found: Mapping[str, Any], draws: Mapping[str, Mapping[str, Array]]
) -> tuple[dict[str, Any] | None, dict[str, Array]]:
    """The means of a row over families, with their draws; None where a set of them is missing."""
    names = [name for family in FAMILIES.values() for name in family]
    if any(name not in found for name in names):
        return None, {}
    means: dict[str, Any] = {}
    drawn: dict[str, Array] = {}
    for kind, key in (("auc", "auc"), *((c, f"balanced_accuracy_{c}") for c in ("fixed", "tuned", "shared"))):
        if all(key in found[name] for name in names):
            parts = [np.mean([found[name][key] for name in family]) for family in FAMILIES.values()]
            drawn[kind] = mean_draws({name: draws[name][kind] for name in names}, FAMILIES)
            means[key], means[f"{key}_interval"] = float(np.mean(parts)), interval(drawn[kind])
    return means, drawn


def _add_gains(
    found: Mapping[str, Any],
    draws: Mapping[str, Mapping[str, Mapping[str, Array]]],
    name: str,
    baselines: Sequence[str],
) -> None:
    """Add to the figures of a set what each row's AUC is above `REFERENCE`, and above the best baseline."""
    here = {row: figures[name] for row, figures in found.items() if figures.get(name)}
    rivals = [row for row in baselines if row in here and np.isfinite(here[row]["auc"])]
    best = max(rivals, key=lambda row: here[row]["auc"], default=None)
    drawn = {row: draws[row][name]["auc"] for row in here}
    for row, figures in here.items():
        if REFERENCE in here and row != REFERENCE:
            figures["auc_gain_interval"] = interval(drawn[row] - drawn[REFERENCE])
        if best is not None and row not in baselines:
            figures["best_baseline"] = best
            figures["auc_above_best"] = figures["auc"] - here[best]["auc"]
            figures["auc_above_best_interval"] = interval(drawn[row] - drawn[best])


def _averaged(sets: Mapping[str, Scored]) -> list[Scored]:
    """The sets that the mean is over, as far as they are there."""
    return [sets[name] for family in FAMILIES.values() for name in family if name in sets]
