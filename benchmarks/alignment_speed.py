"""How fast pairs are scored: against AlignScore's published loop and sentence-transformers, in one run.

    python benchmarks/alignment_speed.py --json
    python -m benchmarks.alignment_speed --quick --parts loop encoder

Everything runs on the same weights (random, of RoBERTa-base's size unless `--shape
small`) and texts (`length_mix.py`). Repeats are interleaved, so that a busy machine
slows all alike; a ratio is the median of the ratios of each round. Believe the
ratios, not the rates. No cache of scores is on.

Parts: `loop`, the published loop re-created; `encoder`, `CrossEncoder.predict`;
`drift`, what a dtype or back end does to the verdicts of `--model`; `turns`, whole
answers through the aligner with `--model`.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

if not __package__:  # run as a script: modules are found from the repository's root, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from benchmarks.alignment_speed_drift import drift
from benchmarks.alignment_speed_models import SHAPES, cross_encoder, random_model
from benchmarks.length_mix import answers, evidence_pairs, long_pairs
from benchmarks.published_loop import PublishedLoop
from ragguard.alignment.compat import PublishedScorer
from ragguard.errors import ConfigurationError, MissingDependencyError, UnreadableFileError
from ragguard.models.backends.choose import DTYPES
from ragguard.models.cpu import has_bfloat16
from ragguard.models.pair_engine import PairEngine
from ragguard.models.pair_parts import PairModel

PARTS = ("loop", "encoder", "drift", "turns")
Run = Callable[[], object]
_DIGITS = 4
_WARMING = 5


def main() -> None:
    """Run the parts asked for and print one JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--shape", choices=SHAPES, default="base", help="of the random model")
    parser.add_argument("--model", default="bundled", help="trained model of `drift` and `turns`")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="texts of `drift`")
    parser.add_argument("--rounds", type=int, help="default: 5, with --quick 1")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--scale", type=float, help="share of the work; default: 1, with --quick 0.1")
    parser.add_argument("--json", action="store_true", help="on one line")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    document = measure(options)
    if options.output:
        options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(document) if options.json else json.dumps(document, indent=1))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of every part asked for."""
    scale = options.scale or (0.1 if options.quick else 1.0)
    rounds = options.rounds or (1 if options.quick else 5)
    result: dict[str, Any] = {"settings": settings(options)}
    model = random_model(options.shape) if {"loop", "encoder"} & set(options.parts) else None
    if model is not None and "loop" in options.parts:
        result["loop"] = against_loop(model, rounds=rounds, scale=scale)
    if model is not None and "encoder" in options.parts:
        result["encoder"] = against_encoder(model, rounds=rounds, scale=scale)
    if "drift" in options.parts:
        result["drift"] = drift(options.model, options.data, pairs=max(60, int(2000 * scale)))
    if "turns" in options.parts:
        result["turns"] = turns(options.model, count=max(10, int(200 * scale)))
    return result


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the figures depend on."""
    names = ("ragguard", "torch", "transformers", "sentence-transformers", "onnxruntime", "openvino", "numpy")
    return {
        "shape": options.shape,
        "model": options.model,
        "quick": options.quick,
        "bfloat16": has_bfloat16(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in names},
    }


def against_loop(model: PairModel, *, rounds: int, scale: float) -> dict[str, Any]:
    """Return how many times faster than the published loop its own scores are given."""
    loop = PublishedLoop(model)
    engines = _engines(model, [("torch", "float32"), ("torch", "bfloat16")])
    sets = {
        "evidence_to_128_tokens": evidence_pairs(max(4, int(32 * scale))),
        "contexts_of_2000_words": long_pairs(max(1, int(4 * scale))),
    }
    found: dict[str, Any] = {}
    for name, pairs in sets.items():
        sources, claims = [a for a, _ in pairs], [b for _, b in pairs]
        runs: dict[str, Run] = {"published_loop": lambda a=sources, b=claims: loop.score(a, b)}
        for label, engine in engines.items():
            scorer = PublishedScorer(engine)
            runs[label] = lambda s=scorer, a=sources, b=claims: s.score(a, b)
        scores = {label: np.array(run()) for label, run in runs.items()}  # also warms up every shape
        found[name] = {
            "examples": len(pairs),
            **timed(runs, rounds, baseline="published_loop"),
            "largest_difference": {
                label: float(np.abs(each - scores["published_loop"]).max()) for label, each in scores.items()
            },
        }
    return found


def against_encoder(model: PairModel, *, rounds: int, scale: float) -> dict[str, Any]:
    """Return pairs a second of every back end beside `CrossEncoder.predict`, on the same pairs."""
    pairs = evidence_pairs(max(16, int(256 * scale)))
    dtypes = ["float32", *(["bfloat16"] if has_bfloat16() else [])]
    engines = _engines(model, [(backend, dtype) for backend, each in DTYPES.items() for dtype in each])
    with tempfile.TemporaryDirectory() as name:
        runs: dict[str, Run] = {}
        for dtype in dtypes:
            encoder = cross_encoder(model, Path(name), dtype=dtype)
            runs[f"cross_encoder_{dtype}"] = lambda e=encoder: e.predict(pairs, show_progress_bar=False)
        runs |= {label: (lambda e=engine: e.logits(pairs)) for label, engine in engines.items()}
        logits = {label: np.asarray(run(), dtype=np.float32) for label, run in runs.items()}
        found = timed(runs, rounds, baseline="cross_encoder_float32", also=f"cross_encoder_{dtypes[-1]}")
    reference = logits["cross_encoder_float32"]
    return {
        "pairs": len(pairs),
        "pairs_per_second": {k: round(len(pairs) / v, 1) for k, v in found["seconds"].items()},
        **found,
        "largest_logit_difference": {k: float(np.abs(v - reference).max()) for k, v in logits.items()},
    }


def turns(model: str, *, count: int) -> dict[str, Any]:
    """Return the milliseconds of a turn with the gate off and on: 6 claims, 8 passages, one batch each."""
    from ragguard.alignment.aligner import AlignmentAligner
    from ragguard.alignment.guard import ConsistencyGuard
    from ragguard.pipeline import Pipeline, Step
    from ragguard.types import Mode, Passage, Turn

    engine = PairEngine(model, cache_size=0)
    guard = ConsistencyGuard(AlignmentAligner(model, engine=engine))
    try:
        guard.warm_up()
    except (ConfigurationError, UnreadableFileError) as error:
        return {"skipped": str(error)}
    gates = {"off": Pipeline([Step(guard, mode=Mode.OFF)]), "on": Pipeline([guard])}
    taken: dict[str, list[float]] = {gate: [] for gate in gates}
    for sources, texts in answers(count + _WARMING):
        passages = tuple(Passage(id=str(i), text=text) for i, text in enumerate(sources))
        turn = Turn(question="What happened there?", passages=passages, answer=" ".join(texts))
        for gate, pipeline in gates.items():
            began = time.perf_counter()
            pipeline.check(turn)
            taken[gate].append(time.perf_counter() - began)
    stats = engine.stats
    return {
        "turns": count,
        "milliseconds": {gate: _percentiles(each[_WARMING:]) for gate, each in taken.items()},
        "pairs_per_turn": round(stats.pairs / (count + _WARMING), 1),
        "passes_per_turn": round(stats.passes / (count + _WARMING), 1),
        "backend": engine.fingerprint()["backend"],
        "dtype": engine.fingerprint()["dtype"],
    }


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    return {f"p{q}": round(1000 * float(np.percentile(seconds, q)), 2) for q in (50, 95, 99)}


def timed(runs: dict[str, Run], rounds: int, *, baseline: str, also: str = "") -> dict[str, Any]:
    """Return median seconds, and the median over rounds of how many times faster than a baseline."""
    taken: dict[str, list[float]] = {label: [] for label in runs}
    for _ in range(rounds):
        for label, run in runs.items():
            began = time.perf_counter()
            run()
            taken[label].append(time.perf_counter() - began)
    found: dict[str, Any] = {
        "rounds": rounds,
        "seconds": {label: round(float(np.median(each)), _DIGITS) for label, each in taken.items()},
    }
    for name in dict.fromkeys(each for each in (baseline, also) if each):
        found[f"times_faster_than_{name}"] = {
            label: round(float(np.median(np.array(taken[name]) / np.array(each))), 2)
            for label, each in taken.items()
            if label != name
        }
    return found


def _engines(model: PairModel, kinds: Sequence[tuple[str, str]]) -> dict[str, PairEngine]:
    """The engines that run here, warm; what is not installed or has no bfloat16 is left out."""
    found = {}
    for backend, dtype in kinds:
        if dtype == "bfloat16" and not has_bfloat16():
            continue
        engine = PairEngine(model, backend=backend, dtype=dtype, cache_size=0)
        try:
            engine.warm_up()
        except MissingDependencyError as error:
            print(error, file=sys.stderr)
            continue
        found[f"{backend}_{dtype}"] = engine
    return found


def _version(name: str) -> str:
    try:
        return version(name)
    except ImportError:
        return "absent"


if __name__ == "__main__":
    main()
