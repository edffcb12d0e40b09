"""How well scores tell supported claims from unsupported ones, on public factual-consistency sets.

    python benchmarks/consistency.py --data ../shared/data --json
    python -m benchmarks.consistency --half tuning --aligner lexical overlap embedding

Each set is halved by source document. Thresholds are tuned on the `tuning` half; the
`evaluation` half gives the figures. One JSON document goes to stdout; tables and
progress to stderr. Without the data it says so and exits 0.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

if not __package__:  # run as a script: modules are found from the repository's root, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.consistency_aligners import Built
from benchmarks.consistency_metrics import Array
from benchmarks.consistency_report import FAMILIES, PUBLISHED, Scored, counts, report
from benchmarks.consistency_scorers import BASELINES, SCORERS, Setting
from benchmarks.consistency_sets import HALVES, SETS, Half, Item, document_key, load_set
from benchmarks.consistency_tables import markdown, tables
from benchmarks.question_sets import AbsentDataError
from ragguard._version import __version__
from ragguard.errors import RagGuardError

_DIGITS = 6


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for, print it, and return the exit status."""
    options = _parser().parse_args(arguments)
    if options.read:
        document = json.loads(options.read.read_text(encoding="utf-8"))
    else:
        given = " ".join(sys.argv[1:] if arguments is None else arguments)
        document = _rounded(
            {"command": f"python -m benchmarks.consistency {given}".strip()} | measure(options)
        )
    text = json.dumps(document, indent=1) + "\n"
    if options.output and "skipped" not in document:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")
    if not options.json and "skipped" not in document:
        console = Console(stderr=True)
        for shown in tables(document):
            console.print(shown)
    sys.stdout.write(markdown(document) if options.markdown else text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder with consistency/q2 etc."
    )
    parser.add_argument("--sets", nargs="+", choices=list(SETS), help="default: all")
    parser.add_argument(
        "--aligner", nargs="+", choices=list(SCORERS), default=list(BASELINES), help="default: the baselines"
    )
    parser.add_argument("--model", default="bundled", help="name or folder of the trained pair model")
    parser.add_argument("--dtype", default="auto", help="of the trained pair model, as PairEngine takes it")
    parser.add_argument("--half", choices=HALVES, help="report this half alone; default: both")
    parser.add_argument("--limit", type=int, help="at most so many items a set and half, drawn by hash")
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "ragguard-benchmarks")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="JSON alone, no tables on stderr")
    form.add_argument("--markdown", action="store_true", help="print Markdown tables instead of JSON")
    parser.add_argument("--output", type=Path, help="write the JSON to a file as well")
    parser.add_argument("--read", type=Path, help="print an earlier JSON file instead of measuring")
    return parser


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the whole report; sets and scorers that are not here are named under `absent`."""
    if not (options.data / "consistency").is_dir():
        message = f"skipped: no consistency sets at {options.data}; give their folder with --data"
        sys.stderr.write(message + "\n")
        return {"benchmark": "consistency", "skipped": message}
    start = time.perf_counter()
    halves: tuple[Half, ...] = HALVES if options.half is None else (options.half,)
    scored_halves = halves if halves == ("tuning",) else HALVES  # thresholds come from the tuning half
    bar = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}")
    with Progress(*bar, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
        absent: dict[str, str] = {}
        built = _built(options, progress, absent)
        sets = _sets(options, scored_halves, absent)
        scored, seconds = _scored(sets, built, progress)
    rows = list(next(iter(scored.values())).rows) if scored else []
    thresholds = {}
    for row in rows:
        name, _, part = row.partition(":")
        thresholds[row] = built[name].thresholds.get(part)
    drawn = {"resamples": options.resamples, "seed": options.seed}
    baselines = [row for row in rows if row.partition(":")[0] in BASELINES]
    return {
        "benchmark": "consistency",
        "settings": _settings(options, built),
        "absent": absent,
        "sets": {name: counts(items) for name, items in sets.items()},
        "families": {name: list(members) for name, members in FAMILIES.items()},
        "results": {half: report(scored, thresholds, half, baselines, **drawn) for half in halves},
        "published": [dict(row) for row in PUBLISHED],
        "seconds": {**seconds, "all": round(time.perf_counter() - start, 1)},
    }


def _built(options: argparse.Namespace, progress: Progress, absent: dict[str, str]) -> dict[str, Built]:
    task = progress.add_task("", total=None, visible=False)

    def told(what: str, done: int, total: int, /) -> None:
        progress.update(task, description=what, completed=done, total=total, visible=done < total)

    found = {}
    for name in dict.fromkeys(options.aligner):
        try:
            found[name] = SCORERS[name](Setting(options.model, options.dtype, options.cache, told))
        except RagGuardError as error:
            absent[name] = str(error)
            sys.stderr.write(f"skipped {name}: {error}\n")
    return found


def _sets(
    options: argparse.Namespace, halves: Sequence[Half], absent: dict[str, str]
) -> dict[str, list[Item]]:
    found = {}
    for name in options.sets or SETS:
        try:
            items = load_set(name, options.data)
        except AbsentDataError as error:
            absent[name] = str(error)
            sys.stderr.write(f"skipped {name}: {error}\n")
            continue
        found[name] = [item for half in halves for item in _drawn(items, half, options.limit)]
    return found


def _drawn(items: Sequence[Item], half: Half, limit: int | None) -> list[Item]:
    """The items of a half, or the first `limit` of them in the order of a hash."""
    inside = [item for item in items if item.half == half]
    if limit is None or len(inside) <= limit:
        return inside
    return sorted(inside, key=lambda item: document_key(f"{item.id} {item.claim}"))[:limit]


def _scored(
    sets: Mapping[str, Sequence[Item]], built: Mapping[str, Built], progress: Progress
) -> tuple[dict[str, Scored], dict[str, float]]:
    task = progress.add_task("scoring", total=len(sets) * len(built))
    rows: dict[str, dict[str, Array]] = {name: {} for name in sets}
    seconds = dict.fromkeys(built, 0.0)
    for scorer, each in built.items():  # one scorer after the other: one model is in memory's way at a time
        for name, items in sets.items():
            progress.update(task, description=f"{scorer}: {name}", advance=1)
            start = time.perf_counter()
            for row, values in each.score(items).items():
                if values.shape != (len(items),) or not np.isfinite(values).all():
                    raise ValueError(f"{scorer} gave no finite score for each item of {name}")
                rows[name][f"{scorer}:{row}" if row else scorer] = values
            seconds[scorer] = round(seconds[scorer] + time.perf_counter() - start, 1)
    return {name: Scored(items, rows[name]) for name, items in sets.items()}, seconds


def _settings(options: argparse.Namespace, built: Mapping[str, Built]) -> dict[str, Any]:
    installed = {name: version(name) for name in ("numpy", "sentence-transformers", "torch")}
    return {
        "half": options.half or "both",
        "limit": options.limit,
        "resamples": options.resamples,
        "seed": options.seed,
        "scorers": {name: dict(each.fingerprint) for name, each in built.items()},
        "versions": {"ragguard": __version__, **installed, "python": platform.python_version()},
    }


def _rounded(value: Any) -> Any:
    """The same with six significant digits, for more would differ between machines, and None for NaN."""
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None
    return value


if __name__ == "__main__":
    sys.exit(main())
