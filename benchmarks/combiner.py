"""Fits the monotone combiner of the bundled aligner on the tuning halves of the consistency sets.

    python -m benchmarks.combiner --data ../shared/data --model bundled --output combiner.json

Prints, for each set, the AUC of the least supported claim when the combiner was
fitted without that set, and when it was fitted with it. Nothing of an evaluation
half is read. Logits are kept in a cache folder, for the next run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from benchmarks.cached_engine import CachedEngine
from benchmarks.consistency_aligners import claims_of, passages_of
from benchmarks.consistency_sets import Item, load_items
from benchmarks.question_sets import AbsentDataError
from ragguard.alignment.aligner import AlignmentAligner
from ragguard.alignment.combiner import Combiner
from ragguard.alignment.features import NAMES
from ragguard.alignment.training.combining import Answers, fit_combiner
from ragguard.evaluation.binary import auc
from ragguard.models.pair_engine import PairEngine

_PER_CALL = 16


def main() -> int:
    options = _options()
    try:
        sets = load_items(options.data, half="tuning")
    except AbsentDataError as error:
        print(f"skipped: {error}", file=sys.stderr)
        return 0
    engine = CachedEngine(PairEngine(options.model, dtype=options.dtype), options.cache)
    answers = observed(AlignmentAligner(engine=engine), sets, most=options.limit)  # type: ignore[arg-type]
    engine.save()
    report = {
        "command": " ".join(["python", "-m", "benchmarks.combiner", *sys.argv[1:]]),
        "penalty": options.penalty,
        "sets": {
            name: {"answers": len(one.labels), "supported": int(one.labels.sum())}
            for name, one in answers.items()
        },
    }
    report["auc"] = left_out(answers, options.penalty)
    fitted = fit_combiner(answers, penalty=options.penalty)
    what = {"sets": report["sets"], "half": "tuning", "penalty": options.penalty}
    fitted = replace(fitted, fitted=what)
    report["thresholds"] = dict(fitted.thresholds)
    report["answer_power"] = fitted.answer_power
    if options.output:
        options.output.write_text(fitted.to_json() + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))
    return 0


def observed(
    aligner: AlignmentAligner, sets: Mapping[str, Sequence[Item]], *, most: int | None = None
) -> dict[str, Answers]:
    """Return the features of every item's claims, or of `most` items of each set, evenly spread."""
    found = {}
    with Progress(console=Console(stderr=True)) as progress:
        for name, items in sets.items():
            step = max(1, -(-len(items) // most)) if most else 1
            chosen = list(items)[::step]
            features = _features(aligner, chosen, progress, name)
            found[name] = Answers(features, np.array([item.label for item in chosen]))
    return found


def _features(
    aligner: AlignmentAligner, items: Sequence[Item], progress: Progress, name: str
) -> list[np.ndarray]:
    task = progress.add_task(name, total=len(items))
    found = []
    for start in range(0, len(items), _PER_CALL):
        part = items[start : start + _PER_CALL]
        asked = [(claims_of(item), passages_of(item), item.question or "") for item in part]
        found += [reading.features() for reading in aligner.read_many(asked)]
        progress.advance(task, len(part))
    return found


def left_out(answers: Mapping[str, Answers], penalty: float) -> dict[str, dict[str, float]]:
    """Return set -> AUC of the least supported claim: fitted without the set, and with all sets."""
    together = fit_combiner(answers, penalty=penalty)
    found = {}
    for name, one in answers.items():
        others = {other: answers[other] for other in answers if other.split("_")[0] != name.split("_")[0]}
        found[name] = {
            "without": _auc(fit_combiner(others, penalty=penalty), one),
            "with": _auc(together, one),
            **{
                feature: _auc_of(one, NAMES.index(feature))
                for feature in ("chunk_entailed", "together_entailed", "together_aligned", "words_in_window")
            },
        }
    return found


def _auc(combiner: Combiner, answers: Answers) -> float:
    worst = np.array([combiner.scores(f).min() for f in answers.features])
    return round(100 * float(auc(worst, answers.labels)[0]), 1)


def _auc_of(answers: Answers, column: int) -> float:
    worst = np.array([f[:, column].min() for f in answers.features])
    return round(100 * float(auc(worst, answers.labels)[0]), 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--penalty", type=float, default=1.0)
    parser.add_argument("--limit", type=int, help="items of a set at most")
    parser.add_argument("--cache", type=Path, default=Path(".training/logits"), help="folder of logits")
    parser.add_argument("--output", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
