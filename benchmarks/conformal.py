"""Coverage and cost of every nonconformity score, and of the published CONFLARE rule, on public question sets.

    python benchmarks/conformal.py --data ../shared/data --json

Each set is embedded with the bundled MiniLM (float32), the whole store is ranked for
each question, and thresholds are taken on n random questions and tested on the
others, again and again. Temperatures and scores are chosen on documents that no
figure comes from. One JSON document goes to stdout, progress to stderr. Without the
data it says so and exits 0; with a failed check it exits 1.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

if not __package__:  # run as a script: modules are found from the repository's root, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.conformal_checks import checks
from benchmarks.conformal_tables import markdown
from benchmarks.embedded import CachedEmbedder, observe_all
from benchmarks.question_sets import LOADERS, AbsentDataError, load
from benchmarks.set_report import ALPHAS, DELTA, Plan, report
from ragguard._version import __version__
from ragguard.models.embedders import SentenceTransformerEmbedder

QUICK = ("squad", "cranfield")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for, print it, and return the exit status."""
    options = _parser().parse_args(arguments)
    found = json.loads(options.read.read_text(encoding="utf-8")) if options.read else _measured(options)
    document = _rounded(found)
    text = json.dumps(document, indent=1) + "\n"
    if options.output and "skipped" not in document:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")
    sys.stdout.write(markdown(document) if options.markdown else text)
    return 0 if all(check["passed"] for check in document.get("checks", [])) else 1


def _rounded(value: Any) -> Any:
    """The same with six significant digits: more would differ between machines."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder with retrieval/squad2 etc."
    )
    parser.add_argument("--datasets", nargs="+", choices=list(LOADERS), help="default: all")
    parser.add_argument("--splits", type=int, default=5000)
    parser.add_argument("--recall-splits", type=int, default=1000, help="splits for the recall target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "ragguard-benchmarks")
    parser.add_argument("--quick", action="store_true", help=f"{', '.join(QUICK)} alone, 500 and 100 splits")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the default")
    form.add_argument("--markdown", action="store_true", help="print tables instead")
    parser.add_argument("--output", type=Path, help="write the JSON to a file as well")
    parser.add_argument("--read", type=Path, help="print an earlier JSON file instead of measuring")
    return parser


def _measured(options: argparse.Namespace) -> dict[str, Any]:
    if not (options.data / "retrieval").is_dir():
        message = f"skipped: no question sets at {options.data}; give their folder with --data"
        sys.stderr.write(message + "\n")
        return {"benchmark": "conformal", "skipped": message}
    quick = options.quick
    plan = Plan(500 if quick else options.splits, 100 if quick else options.recall_splits, options.seed)
    names = options.datasets or (QUICK if quick else tuple(LOADERS))
    bar = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}")
    with Progress(*bar, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        return measure(options.data, names, plan, options.cache, progress)


def measure(data: Path, names: Sequence[str], plan: Plan, cache: Path, progress: Progress) -> dict[str, Any]:
    """Return the whole report; a set whose files are absent is named under `absent`."""
    model, start = SentenceTransformerEmbedder(), time.perf_counter()
    embedding = progress.add_task("embedding", total=None, visible=False)

    def embedded(what: str, done: int, total: int) -> None:
        progress.update(embedding, description=what, completed=done, total=total, visible=True)

    embedder = CachedEmbedder(model, cache, embedded)
    reports: dict[str, Any] = {}
    absent: dict[str, str] = {}
    for name in names:
        try:
            questions = load(name, data, model)
        except AbsentDataError as error:
            absent[name] = str(error)
            sys.stderr.write(f"skipped {name}: {error}\n")
            continue
        observations = observe_all(questions, embedder)
        progress.update(embedding, visible=False)
        reports[name] = report(questions, observations, model, plan, progress)
        progress.console.print(f"{name}: {reports[name]['seconds']} s", highlight=False)
    return {
        "benchmark": "conformal",
        "settings": _settings(model, plan),
        "absent": absent,
        "checks": checks(reports),
        "datasets": reports,
        "seconds": round(time.perf_counter() - start, 1),
    }


def _settings(model: SentenceTransformerEmbedder, plan: Plan) -> dict[str, Any]:
    installed = {name: version(name) for name in ("numpy", "sentence-transformers", "torch")}
    return {
        "embedder": model.fingerprint(),
        "splits": plan.splits,
        "recall_splits": plan.recall_splits,
        "seed": plan.seed,
        "alphas": list(ALPHAS),
        "delta": DELTA,
        "versions": {"ragguard": __version__, **installed, "python": platform.python_version()},
    }


if __name__ == "__main__":
    sys.exit(main())
