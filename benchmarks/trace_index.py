"""The index measured: build, memory, disk, reopening and lookup, beside the reference design and infini-gram."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.trace_corpora import write_answers, write_corpus, write_single
from benchmarks.trace_engines import exponent
from benchmarks.trace_process import measured

ONCE_BEYOND = 2_000_000  # tokens: a larger build is measured once
REPEATED_PERIOD = 100  # tokens of the passage that the `repeated` text says over and over
Row = dict[str, Any]
Told = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        sizes: tokens of the corpora that this index and infini-gram share.
        reference_sizes: tokens of those that the reference design shares.
        repeats: builds a size; the median counts.
        answers: answers of 200 tokens looked up a size.
        zipf_share: share of made-up Zipf text in a corpus.
        seed: of the order of files, the Zipf text and the answers.
        reference_memory: most address space of the reference design's process, in bytes.
    """

    sizes: Sequence[int] = (100_000, 1_000_000, 10_000_000)
    reference_sizes: Sequence[int] = (2_000, 5_000, 10_000)
    repeats: int = 3
    answers: int = 1000
    zipf_share: float = 0.25
    seed: int = 0
    reference_memory: int = 8 << 30


def measure_index(plan: Plan, told: Told, rows: list[Row]) -> None:
    """Append a row for each engine, text and size; what is done is kept when interrupted."""
    reference = [(kind, n) for n in plan.reference_sizes for kind in ("files", "one document", "repeated")]
    cases = [*reference, *(("files", n) for n in plan.sizes)]
    for done, (kind, size) in enumerate(cases):
        small = (kind, size) in reference
        with tempfile.TemporaryDirectory(prefix="ragguard-trace-") as name:
            folder = Path(name)
            told(f"{size} tokens, {kind}: writing the text", done, len(cases))
            counts = _write(folder, kind, size, plan)
            engines = ("reference", "ours", "array") if small else ("ours", "infini_gram")
            for engine in engines:
                told(f"{size} tokens, {kind}: {engine}", done, len(cases))
                rows.append(
                    {"engine": engine, "text": kind, "asked": size, "sources": counts["sources"]}
                    | _ENGINES[engine](folder, plan, size)
                )
            if not small:
                rows[-1]["same_answers"] = _agreement(rows[-2], rows[-1])
            for row in rows:
                row.pop("spans", None)
    told("index", len(cases), len(cases))


def summarise(rows: Iterable[Row]) -> dict[str, Any]:
    """Return fitted exponents of build time and the ratios that compare engines at equal size."""
    good = [row for row in rows if "failed" not in row and "skipped" not in row]
    groups: dict[str, list[Row]] = {}
    for row in good:
        groups.setdefault(f"{row['engine']}, {row['text']}", []).append(row)
    fitted = {
        name: exponent([r["tokens"] for r in own], [r["build_seconds"] for r in own])
        for name, own in groups.items()
    }
    return {"build_exponents": fitted, "ratios": _ratios(good)}


def _ratios(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """For each text and size: how many times faster ours is to build, and how much slower to look up."""
    found = []
    by = {(row["text"], row["asked"], row["engine"]): row for row in rows}
    for (kind, size, engine), other in by.items():
        mine = by.get((kind, size, "ours"))
        if mine is None or engine not in ("reference", "infini_gram"):
            continue
        row = {
            "against": engine,
            "text": kind,
            "tokens": size,
            "build_times_faster": other["build_seconds"] / mine["build_seconds"],
            "lookup_over_theirs": mine["match"]["median_ms"] / other["match"]["median_ms"],
        }
        if (array := by.get((kind, size, "array"))) is not None:
            row["array_times_faster"] = other["sort_seconds"] / array["build_seconds"]
        found.append(row)
    return found


def _write(folder: Path, kind: str, size: int, plan: Plan) -> Mapping[str, int]:
    corpus = folder / "corpus.jsonl"
    if kind == "files":
        counts = write_corpus(corpus, size, zipf_share=plan.zipf_share, seed=plan.seed)
    else:
        period = REPEATED_PERIOD if kind == "repeated" else None
        counts = write_single(corpus, size, repeated=period, seed=plan.seed)
    write_answers(folder / "answers.jsonl", corpus, count=plan.answers, seed=plan.seed + 1)
    return counts


def _ours(folder: Path, plan: Plan, size: int) -> Row:
    return _built_and_looked_up("ours", folder, plan, size)


def _infini_gram(folder: Path, plan: Plan, size: int) -> Row:
    if find_spec("infini_gram") is None:
        return {"skipped": "infini-gram is not installed: pip install 'ragguard[infini-gram]'"}
    return _built_and_looked_up("infini_gram", folder, plan, size)


def _built_and_looked_up(engine: str, folder: Path, plan: Plan, size: int) -> Row:
    builds = []
    target = folder / engine
    for _ in range(1 if size > ONCE_BEYOND else plan.repeats):
        shutil.rmtree(target, ignore_errors=True)
        builds.append(measured(f"{engine}_build", folder / "corpus.jsonl", target))
        if "failed" in builds[-1]:
            return builds[-1]
    row = _row(builds) | {"disk_bytes_per_token": builds[-1]["disk"] / builds[-1]["tokens"]}
    row["disk_bytes"] = builds[-1]["disk"]
    if "rare" in builds[-1]:
        row["words_sharing_an_id"] = builds[-1]["rare"] / builds[-1]["tokens"]
    looked = measured(f"{engine}_lookup", target, folder / "answers.jsonl")
    return row | {key: value for key, value in looked.items() if key != "peak"}


def _reference(folder: Path, plan: Plan, size: int) -> Row:
    builds = []
    for _ in range(plan.repeats):
        files = folder / "corpus.jsonl", folder / "answers.jsonl"
        builds.append(measured("reference", *files, memory=plan.reference_memory))
        if "failed" in builds[-1]:
            return builds[-1]
    return _row(builds) | {key: builds[-1][key] for key in ("match", "hits", "windows")}


def _array(folder: Path, plan: Plan, size: int) -> Row:
    runs = [measured("ours_array", folder / "corpus.jsonl", folder) for _ in range(plan.repeats)]
    failed = [run for run in runs if "failed" in run]
    return failed[0] if failed else {"tokens": runs[0]["tokens"], "build_seconds": _middle(runs, "seconds")}


_ENGINES: dict[str, Callable[[Path, Plan, int], Row]] = {
    "ours": _ours,
    "array": _array,
    "reference": _reference,
    "infini_gram": _infini_gram,
}


def _row(builds: Sequence[Row]) -> Row:
    row: Row = {
        "tokens": builds[0]["tokens"],
        "builds": len(builds),
        "build_seconds": _middle(builds, "seconds"),
        "peak_bytes": max(b["peak"] for b in builds),
        "peak_bytes_per_token": max(b["peak"] - b["base"] for b in builds) / builds[0]["tokens"],
    }
    for part in ("sort_seconds", "index_seconds"):
        if part in builds[0]:
            row[part] = _middle(builds, part)
    return row


def _middle(runs: Sequence[Row], key: str) -> float:
    return float(median(run[key] for run in runs))


def _agreement(ours: Row, other: Row) -> float | None:
    """Share of answers in which both engines found the same matches."""
    if "spans" not in ours or "spans" not in other:
        return None
    pairs = list(zip(ours["spans"], other["spans"], strict=True))
    return sum([tuple(m) for m in a] == [tuple(m) for m in b] for a, b in pairs) / len(pairs)
