"""Fits the monotone combiner of the bundled aligner on the tuning halves of the consistency sets.

    python -m benchmarks.combiner --data ../shared/data --model bundled --output combiner.json

Prints, for each set, the AUC of the least supported claim when the combiner was
fitted without that set, and when it was fitted with it. Nothing of an evaluation
half is read. Features are kept in a cache folder by model and by item.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.progress import Progress

from benchmarks.consistency_aligners import claims_of, passages_of
from benchmarks.consistency_metrics import auc
from benchmarks.consistency_sets import Item, load_items
from benchmarks.question_sets import AbsentDataError
from ragguard.alignment.aligner import AlignmentAligner
from ragguard.alignment.combiner import Combiner
from ragguard.alignment.features import NAMES
from ragguard.alignment.training.combining import Answers, fit_combiner

_PER_CALL = 16


def main() -> int:
    options = _options()
    try:
        sets = load_items(options.data, half="tuning")
    except AbsentDataError as error:
        print(f"skipped: {error}", file=sys.stderr)
        return 0
    aligner = AlignmentAligner(model=options.model, dtype=options.dtype)
    answers = observed(aligner, sets, options.cache, most=options.limit)
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
    aligner: AlignmentAligner, sets: Mapping[str, Sequence[Item]], cache: Path, *, most: int | None = None
) -> dict[str, Answers]:
    """Return the features of every item's claims; read from the cache where they are there."""
    key = hashlib.sha256(json.dumps(aligner.reading_fingerprint(), sort_keys=True).encode()).hexdigest()[:16]
    found = {}
    with Progress() as progress:
        for name, items in sets.items():
            chosen = list(items)[:: max(1, -(-len(items) // most)) if most else 1]
            file = cache / f"{key}-{name}-{len(chosen)}.npz"
            if not file.exists():
                features = _features(aligner, chosen, progress, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                np.savez_compressed(
                    file, rows=np.concatenate(features), sizes=np.array([len(f) for f in features])
                )
            saved = np.load(file)
            parts = np.split(saved["rows"], np.cumsum(saved["sizes"])[:-1])
            found[name] = Answers(parts, np.array([item.label for item in chosen]))
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
    parser.add_argument("--cache", type=Path, default=Path(".training/features"))
    parser.add_argument("--output", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
