"""Tracing measured: the index, paraphrases and near misses, the safety data, retrieved passages.

    python -m benchmarks.trace --json                            # all parts, up to ten million tokens
    python -m benchmarks.trace --parts index --sizes 100000      # one part, one size
    python -m benchmarks.trace --read FILE --markdown            # tables of an earlier run

Interrupting prints what is measured so far and exits 130. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.trace_index import Plan, Row, Told, measure_index, summarise
from benchmarks.trace_tables import index_markdown
from ragguard._version import __version__

# Modules run by themselves, each printing one JSON document; one with `markdown` has tables, too.
OTHERS = {
    "paraphrases": "benchmarks.trace_paraphrases",
    "safety": "benchmarks.trace_safety",
    "passages": "benchmarks.trace_passages",
}
_WITHOUT_DATA = ("paraphrases",)
PARTS = ("index", *OTHERS)
_DIGITS = 6


def main() -> int:
    options = _parser().parse_args()
    interrupted = False
    if options.read is not None:
        document = json.loads(options.read.read_text(encoding="utf-8"))
    else:
        document = {"benchmark": "trace", "machine": _machine(), "settings": _settings(options)}
        try:
            _measure(options, document)
        except KeyboardInterrupt:
            document["interrupted"] = interrupted = True
    document = rounded(document)
    text = json.dumps(document, ensure_ascii=False, indent=None if options.json else 1) + "\n"
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")
    sys.stdout.write(markdown(document) if options.markdown else text)
    return 130 if interrupted else 0


def markdown(document: Mapping[str, Any]) -> str:
    """Return the tables of every part that was measured."""
    parts = []
    if "index" in document:
        parts.append(index_markdown(document["index"]))
    for name, module in OTHERS.items():
        if name in document:
            parts.append(_other_markdown(name, module, document[name]))
    return "\n\n".join(parts) + "\n"


def _other_markdown(name: str, module: str, found: Mapping[str, Any]) -> str:
    missing = found.get("skipped") or found.get("failed")
    if missing:
        return f"{name}: {missing}"
    tables = getattr(importlib.import_module(module), "markdown", None)
    return str(tables(found)) if tables else f"{name}: no tables; see the JSON"


def rounded(value: Any) -> Any:
    """Return the same with six significant digits, and None for what is not finite."""
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None
    return value


def _measure(options: argparse.Namespace, document: dict[str, Any]) -> None:
    bar = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}")
    with Progress(*bar, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)

        def told(what: str, done: int, total: int, /) -> None:
            progress.update(task, description=what, completed=done, total=total)

        for part in options.parts:
            if part == "index":
                _index(options, document, told)
                continue
            told(f"{part}, as {OTHERS[part]} tells below", 0, 1)
            document[part] = _other(part, OTHERS[part], options.data)
            told(part, 1, 1)


def _other(part: str, module: str, data: Path) -> dict[str, Any]:
    """What another benchmark prints; it runs in a process of its own, so that its models leave with it."""
    if importlib.util.find_spec(module) is None:
        return {"skipped": f"there is no {module}"}
    command = [sys.executable, "-m", module, "--json"]
    if part not in _WITHOUT_DATA:
        command += ["--data", str(data)]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if found.returncode:
        return {"failed": f"{module} ended with code {found.returncode}"}
    if not found.stdout.strip():
        return {"skipped": f"{module} found no data at {data}"}
    document: dict[str, Any] = json.loads(found.stdout)
    return document


def _index(options: argparse.Namespace, document: dict[str, Any], told: Told) -> None:
    rows: list[Row] = []
    plan = Plan(
        sizes=options.sizes,
        reference_sizes=options.reference_sizes,
        repeats=options.repeats,
        answers=options.answers,
        zipf_share=options.zipf_share,
        seed=options.seed,
        reference_memory=round(options.reference_memory * 2**30),
    )
    try:
        measure_index(plan, told, rows)
    finally:
        document["index"] = {"rows": rows, **summarise(rows)}


def _machine() -> dict[str, Any]:
    return {
        "system": platform.platform(),
        "cpu": _cpu(),
        "cores": psutil.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "load_before": psutil.getloadavg()[0],
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    kept = ("parts", "sizes", "reference_sizes", "repeats", "answers", "zipf_share", "seed")
    return {name: getattr(options, name) for name in kept} | {
        "versions": {"ragguard": __version__, "python": platform.python_version()}
        | {name: _installed(name) for name in ("numpy", "pydivsufsort", "infini-gram")}
    }


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _sizes(text: str) -> list[int]:
    return [int(float(part)) for part in text.split(",") if part]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    plan = Plan()
    add = parser.add_argument
    add("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="default: all")
    add("--sizes", type=_sizes, default=list(plan.sizes), help="tokens, e.g. 100000,1000000")
    add(
        "--reference-sizes",
        type=_sizes,
        default=list(plan.reference_sizes),
        help="tokens, of the list design",
    )
    add("--repeats", type=int, default=plan.repeats, help="builds a size up to two million tokens")
    add("--answers", type=int, default=plan.answers, help="answers looked up a size")
    add("--zipf-share", type=float, default=plan.zipf_share, help="share of made-up text in a corpus")
    add("--reference-memory", type=float, default=8.0, help="GiB of address space the list design may take")
    add("--data", type=Path, default=Path("../shared/data"), help="folder with safety/xstest etc.")
    add("--seed", type=int, default=plan.seed)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one line of JSON")
    form.add_argument("--markdown", action="store_true", help="Markdown tables instead of JSON")
    add("--output", type=Path, help="write the JSON to a file as well")
    add("--read", type=Path, help="print an earlier JSON file instead of measuring")
    return parser


if __name__ == "__main__":
    sys.exit(main())
