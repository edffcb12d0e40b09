"""Fits the monotone combiner of the bundled aligner on the tuning halves of the consistency sets.

    python -m benchmarks.combiner --data ../shared/data --model bundled --output combiner.json

Prints, for each set, the AUC of the least supported claim when the combiner was
fitted without that set's family, on other documents only, and on everything. Nothing of an evaluation
half is read. Logits are kept in a cache folder, for the next run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
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
_FOLDS = 5


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
    documents = {name: [item.document for item in chosen(sets[name], options.limit)] for name in sets}
    report["auc, other documents"] = across_documents(answers, documents, options.penalty)
    fitted = fitted_on(answers, options.penalty)
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
            some = chosen(items, most)
            features = _features(aligner, some, progress, name)
            found[name] = Answers(features, np.array([item.label for item in some]))
    return found


def chosen(items: Sequence[Item], most: int | None) -> list[Item]:
    """Return all items, or about `most` of them, evenly spread."""
    return list(items)[:: max(1, -(-len(items) // most)) if most else 1]


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


def families(names: Sequence[str]) -> dict[str, float]:
    """Return set -> weight: every family (SummEdits, BEGIN, ...) counts alike, its sets share that.

    HaluEval counts only where its answers are matched in length, and half: elsewhere
    length alone tells right from wrong.
    """
    sizes = Counter(name.split("_")[0] for name in names)
    weights = {name: 1 / sizes[name.split("_")[0]] for name in names}
    return weights | {name: weights[name] * (name != "halueval_qa") for name in names if "halueval" in name}


def across_documents(
    answers: Mapping[str, Answers], documents: Mapping[str, Sequence[str]], penalty: float
) -> dict[str, float]:
    """Return set -> AUC when every answer is scored by a combiner fitted on other documents."""
    found = {name: np.zeros(len(one.labels)) for name, one in answers.items()}
    fold = {name: np.array([int(d[:8], 16) % _FOLDS for d in documents[name]]) for name in answers}
    for number in range(_FOLDS):
        others = {name: _part(one, fold[name] != number) for name, one in answers.items()}
        combiner = fitted_on(others, penalty)
        for name, one in answers.items():
            for place in np.flatnonzero(fold[name] == number):
                found[name][place] = combiner.scores(one.features[place]).min()
    return {name: round(100 * float(auc(found[name], answers[name].labels)[0]), 1) for name in answers}


def fitted_on(answers: Mapping[str, Answers], penalty: float) -> Combiner:
    """Return the combiner of these sets, each family counting alike; sets of one label are left out."""
    usable = {name: one for name, one in answers.items() if len(set(one.labels.tolist())) == 2}
    weights = families(list(usable))
    usable = {name: one for name, one in usable.items() if weights[name]}
    return fit_combiner(usable, penalty=penalty, weights={name: weights[name] for name in usable})


def _part(one: Answers, kept: np.ndarray) -> Answers:
    places = np.flatnonzero(kept)
    return Answers([one.features[i] for i in places], one.labels[places])


def left_out(answers: Mapping[str, Answers], penalty: float) -> dict[str, dict[str, float]]:
    """Return set -> AUC of the least supported claim: fitted without the set, and with all sets."""
    together = fitted_on(answers, penalty)
    found = {}
    for name, one in answers.items():
        others = {other: answers[other] for other in answers if other.split("_")[0] != name.split("_")[0]}
        found[name] = {
            "without": _auc(fitted_on(others, penalty), one),
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
