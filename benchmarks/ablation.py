"""What each kind of feature adds: combiners fitted on the tuning halves, measured on the evaluation halves.

    python -m benchmarks.ablation --data ../shared/data --model bundled

Prints the AUC of the least supported claim by family of sets, and the mean over
SummEdits, Q2, WiCE and FactCC, for a combiner of all features, of the model's alone, of
the checks alone, and of everything but likeness of words. Logits are kept in a cache.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.cached_engine import CachedEngine
from benchmarks.combiner import families, observed
from benchmarks.consistency_sets import load_items
from benchmarks.question_sets import AbsentDataError
from ragguard.alignment.aligner import AlignmentAligner
from ragguard.alignment.checks import FEATURES as CHECKS
from ragguard.alignment.checks.overlap import OVERLAP
from ragguard.alignment.combiner import Combiner
from ragguard.alignment.features import BACKED, MODEL_FEATURES, NAMES
from ragguard.alignment.training.combining import Answers, fit_combiner
from ragguard.evaluation.binary import auc
from ragguard.models.pair_engine import PairEngine

KINDS: Mapping[str, tuple[str, ...]] = {
    "everything": NAMES,
    "the model alone": MODEL_FEATURES,
    "the checks alone": CHECKS,
    "without likeness of words": tuple(n for n in NAMES if n not in OVERLAP and n not in BACKED),
}
FAMILIES = ("summedits", "q2", "wice", "factcc", "begin", "fever", "halueval_qa_matched")
MEAN = ("summedits", "q2", "wice", "factcc")


def main() -> int:
    """Print one JSON document; without the data say so and return 0."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--limit", type=int, help="items of a set at most")
    parser.add_argument("--cache", type=Path, default=Path(".training/logits"), help="folder of logits")
    options = parser.parse_args()
    engine = CachedEngine(PairEngine(options.model, dtype=options.dtype), options.cache)
    aligner = AlignmentAligner(options.model, engine=engine)  # type: ignore[arg-type]
    try:
        halves = {
            half: observed(aligner, load_items(options.data, half=half), most=options.limit)
            for half in ("tuning", "evaluation")
        }
    except AbsentDataError as error:
        print(f"skipped: {error}", file=sys.stderr)
        return 0
    engine.save()
    usable = {name: one for name, one in halves["tuning"].items() if len(set(one.labels.tolist())) == 2}
    weights = {name: weight for name, weight in families(list(usable)).items() if weight}
    fitted = {
        kind: fit_combiner({name: usable[name] for name in weights}, names=names, weights=weights)
        for kind, names in KINDS.items()
    }
    report = {
        "command": " ".join(["python", "-m", "benchmarks.ablation", *sys.argv[1:]]),
        "auc": {kind: by_family(combiner, halves["evaluation"]) for kind, combiner in fitted.items()},
        "operating points": operating_points(aligner.combiner, halves["evaluation"]),
    }
    print(json.dumps(report, indent=1))
    return 0


def by_family(combiner: Combiner, answers: Mapping[str, Answers]) -> dict[str, float]:
    """Return family -> mean AUC of its sets, in percent, and the mean over the four that count."""
    each = {
        name: 100 * float(auc(np.array([combiner.scores(f).min() for f in one.features]), one.labels)[0])
        for name, one in answers.items()
    }
    found = {
        family: float(np.mean([value for name, value in each.items() if name.startswith(family)]))
        for family in FAMILIES
        if any(name.startswith(family) for name in each)
    }
    if all(family in found for family in MEAN):
        found["mean of four"] = float(np.mean([found[family] for family in MEAN]))
    return {family: round(value, 1) for family, value in found.items()}


def operating_points(combiner: Combiner, answers: Mapping[str, Answers]) -> dict[str, dict[str, float]]:
    """Return, for each threshold of a combiner, the share of answers passed, a mean over the sets."""
    scored = [
        (np.array([combiner.scores(f).min() for f in one.features]), one.labels) for one in answers.values()
    ]
    return {
        name: {
            "threshold": threshold,
            "supported passed": round(float(np.mean([(s[y == 1] > threshold).mean() for s, y in scored])), 3),
            "unsupported passed": round(
                float(np.mean([(s[y == 0] > threshold).mean() for s, y in scored])), 3
            ),
        }
        for name, threshold in combiner.thresholds.items()
    }


if __name__ == "__main__":
    raise SystemExit(main())
