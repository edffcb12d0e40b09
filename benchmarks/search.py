"""Exact search against FAISS, side by side in one run: 100 queries over 100,000 x 384.

    python benchmarks/search.py --json

Times are the best of several alternating rounds, so that a busy machine slows
all alike; believe the ratios. Each runs three times a round: the first pays for
the other's OpenMP threads, which spin for a while after their work.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import faiss
import numpy as np

from ragguard.corpus.products import Bfloat16Product
from ragguard.corpus.search import above, top_k
from ragguard.models.cpu import has_bfloat16

_REPEATS = 3


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--neighbours", type=int, default=100, help="mean number above the threshold")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = compare(**{k: v for k, v in vars(options).items() if k != "json"})
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))


def compare(*, vectors: int, queries: int, dimension: int, neighbours: int, rounds: int) -> dict[str, Any]:
    """Return times in milliseconds, ratios, and whether the sets agree with FAISS."""
    rng = np.random.default_rng(0)
    base, asked = _unit(rng, vectors, dimension), _unit(rng, queries, dimension)
    store = faiss.IndexFlatIP(dimension)
    store.add(base)
    threshold = float(np.quantile(asked @ base.T, 1 - neighbours / vectors))
    runs: dict[str, Callable[[], object]] = {
        "faiss_range_search": lambda: store.range_search(asked, threshold),
        "faiss_search_100": lambda: store.search(asked, 100),
        "above": lambda: above(base, asked, threshold),
        "top_100": lambda: top_k(base, asked, 100),
        "above_one_query": lambda: above(base, asked[:1], threshold),
        "faiss_range_search_one_query": lambda: store.range_search(asked[:1], threshold),
    }
    if has_bfloat16():
        screen = Bfloat16Product(base)
        runs["above_bfloat16"] = lambda: above(base, asked, threshold, screen=screen)
        runs["top_100_bfloat16"] = lambda: top_k(base, asked, 100, screen=screen)
    times = _alternate(runs, rounds)
    return {
        "milliseconds": times,
        "above_times_faster_than_range_search": round(times["faiss_range_search"] / times["above"], 2),
        "above_over_flat_search": round(times["above"] / times["faiss_search_100"], 3),
        "same_sets": _same(store, base, asked, threshold),
        "settings": {"vectors": vectors, "queries": queries, "dimension": dimension, "threshold": threshold},
    }


def _unit(rng: np.random.Generator, count: int, dimension: int) -> np.ndarray:
    drawn = rng.standard_normal((count, dimension), dtype=np.float32)
    scaled: np.ndarray = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return scaled


def _alternate(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for name, run in runs.items():
            for _ in range(_REPEATS):
                start = time.perf_counter()
                run()
                best[name] = min(best[name], time.perf_counter() - start)
    return {name: round(seconds * 1000, 2) for name, seconds in best.items()}


def _same(store: faiss.Index, base: np.ndarray, asked: np.ndarray, threshold: float) -> bool:
    limits, _, labels = store.range_search(asked, float(np.nextafter(np.float32(threshold), np.float32(-1))))
    for i, (rows, _) in enumerate(above(base, asked, threshold)):
        differing = np.setxor1d(rows, labels[limits[i] : limits[i + 1]])
        if len(differing) and np.abs(base[differing] @ asked[i] - threshold).max() > 1e-6:
            return False
    return True


if __name__ == "__main__":
    main()
