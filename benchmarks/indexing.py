"""Index many short passages with the bundled embedder, killed half-way and resumed.

Prints one JSON document: passages a second, peak resident memory at each tenth, and how
many passages the second process embedded. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from ragguard.corpus.index import PassageIndex
from ragguard.models.embedders import SentenceTransformerEmbedder
from ragguard.protocols import FloatArray, Progress
from ragguard.types import Passage

_THINGS = "valve pump filter gasket rotor sensor bearing piston nozzle manifold".split()
_FACTS = "weighs costs reaches tolerates needs replaces measures limits carries holds".split()
_UNITS = "grams degrees bars litres volts amps metres hours newtons lumens".split()


def passages(count: int) -> list[Passage]:
    """Return short passages, all different, made by rule."""
    return [Passage(id=f"p{i}", text=_sentence(i)) for i in range(count)]


def _sentence(i: int) -> str:
    thing, fact, unit = _THINGS[i % 10], _FACTS[i // 10 % 10], _UNITS[i // 100 % 10]
    return f"Part {i}: the {thing} of unit {i // 1000} {fact} {(i * 7919) % 1009} {unit}."


class Watch:
    """A progress callback that records passages done, time and resident memory, and may kill its process."""

    def __init__(self, log: Path, kill_at: float) -> None:
        self._log, self._kill_at, self._first = log, kill_at, -1

    def __call__(self, what: str, done: int, total: int, /) -> None:
        if self._first < 0:
            self._first = done
        memory = psutil.Process().memory_info().rss >> 20
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"done": done, "seconds": time.monotonic(), "mib": memory}) + "\n")
        if done >= self._kill_at * total:
            os.kill(os.getpid(), signal.SIGKILL)


class CountingEmbedder(SentenceTransformerEmbedder):
    """The bundled embedder, writing down how many texts it was given."""

    def __init__(self, log: Path) -> None:
        super().__init__()
        self._log = log

    def embed_passages(self, texts: Sequence[str], /, *, progress: Progress | None = None) -> FloatArray:
        """Embed, then count: texts of a batch that was killed are not counted."""
        vectors = super().embed_passages(texts, progress=progress)
        with self._log.open("a", encoding="utf-8") as file:
            file.write(f"{len(texts)}\n")
        return vectors


def build(folder: str, count: int, log: str, kill_at: float) -> None:
    """Build the index in this process."""
    PassageIndex.build(
        Path(folder) / "index",
        passages(count),
        CountingEmbedder(Path(log).with_suffix(".count")),
        progress=Watch(Path(log), kill_at),
    )


def _run(folder: Path, count: int, name: str, kill_at: float) -> tuple[list[dict[str, Any]], int, int | None]:
    log = folder / name
    process = multiprocessing.get_context("spawn").Process(
        target=build, args=(str(folder), count, str(log), kill_at)
    )
    process.start()
    process.join()
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    embedded = sum(int(line) for line in log.with_suffix(".count").read_text().split())
    return rows, embedded, process.exitcode


def _tenths(rows: list[dict[str, Any]]) -> Iterator[int]:
    step = max(1, len(rows) // 10)
    yield from (row["mib"] for row in rows[::step])


def measure(count: int) -> dict[str, Any]:
    """Return the figures of a killed build and of the one that resumes it."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        killed, before, code = _run(folder, count, "killed.jsonl", 0.5)
        resumed, after, resumed_code = _run(folder, count, "resumed.jsonl", 2.0)
    rows = [*killed, *resumed]
    done = resumed[-1]["done"] - resumed[0]["done"]
    spent = resumed[-1]["seconds"] - resumed[0]["seconds"]
    return {
        "passages": count,
        "killed_by_signal": -(code or 0),
        "kept_before_the_kill": before,
        "embedded_after_resuming": after,
        "embedded_twice": before + after - count,
        "resumed_exit_code": resumed_code,
        "passages_a_second": round(done / spent, 1),
        "resident_mib_by_tenth": list(_tenths(rows)),
        "resident_mib_growth": rows[-1]["mib"] - min(r["mib"] for r in rows[len(rows) // 10 :]),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="accepted for symmetry: the output is JSON")
    print(json.dumps(measure(parser.parse_args().count)))


if __name__ == "__main__":
    main()
