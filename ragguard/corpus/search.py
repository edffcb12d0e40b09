"""Exact search over a matrix of unit vectors, by blocked products.

Two steps. A blocked matrix product *screens*: it keeps every pair that could
reach the threshold, given the product's own worst rounding error. Each pair kept
is then scored again on its own, in double precision and in a fixed order, and
that similarity decides. So a pair's similarity depends on the two vectors alone,
never on how many questions were asked together: a threshold calibrated on a
batch holds for a single question, and a passage exactly at it is returned.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ragguard.corpus.products import Product, Screen, product_for
from ragguard.errors import InvalidValueError, InvalidVectorError
from ragguard.protocols import FloatArray

Hits: TypeAlias = tuple[NDArray[np.int64], FloatArray]

# 4 MB a block. Smaller ones gain nothing on an idle machine, and BLAS threads wait for each other at the
# end of each product: with other work on the cores, 2,048 rows took 2 to 10 times as long.
_QUERIES_A_BLOCK = 128
_ROWS_A_BLOCK = 8192


def similarities(vectors: FloatArray, rows: NDArray[np.int64], query: FloatArray) -> FloatArray:
    """Return the inner product of one query with the given rows, each independent of the others.

    Args:
        vectors: (N, d).
        rows: (n,) row numbers.
        query: (d,).
    """
    picked = vectors.take(rows, axis=0).astype(np.float64)
    exact: FloatArray = np.einsum("ij,j->i", picked, query.astype(np.float64)).astype(np.float32)
    return exact


def above(
    vectors: FloatArray, queries: FloatArray, thresholds: ArrayLike, *, screen: Screen = "float32"
) -> list[Hits]:
    """Return, for each query, every row whose similarity is at or above its threshold.

    Args:
        vectors: (N, d) finite unit vectors; the screen's error is bounded for those alone.
        queries: (q, d), usually unit vectors.
        thresholds: a scalar or (q,); equal counts as above; -inf returns all rows.
        screen: the product that preselects. "bfloat16" needs torch and a CPU that has
            it; it finds the same rows with the same similarities, 2 to 3 times faster.

    Returns:
        For each query (row numbers, similarities), best first, ties by row number.

    Raises:
        InvalidVectorError: shapes do not fit, or a value is not finite.
        InvalidValueError: a threshold is NaN, or `screen` cannot be had here.
    """
    vectors, queries = _checked(vectors, queries)
    limits = checked_thresholds(thresholds, len(queries))
    if len(vectors) == 0:
        return [_nothing() for _ in queries]
    product = product_for(vectors, screen)
    slack = _slack(product, queries)
    hits: list[Hits] = []
    for first in range(0, len(queries), _QUERIES_A_BLOCK):
        part = queries[first : first + _QUERIES_A_BLOCK]
        bound = limits[first : first + _QUERIES_A_BLOCK]
        rows = _screened(product, part, bound - slack, len(vectors))
        hits.extend(_decide(vectors, r, q, t) for r, q, t in zip(rows, part, bound, strict=True))
    return hits


def top_k(
    vectors: FloatArray, queries: FloatArray, k: int, *, screen: Screen = "float32"
) -> tuple[NDArray[np.int64], FloatArray]:
    """Return the k most similar rows of each query, best first, ties by row number.

    Args:
        vectors: (N, d) unit vectors.
        queries: (q, d), usually unit vectors.
        k: at least 1; more than N means N.
        screen: see `above`.

    Returns:
        Row numbers int64 (q, k) and similarities float32 (q, k).

    Raises:
        InvalidVectorError: shapes do not fit, or a value is not finite.
        InvalidValueError: k is below 1, or `screen` cannot be had here.
    """
    if k < 1:
        raise InvalidValueError(f"k must be at least 1, not {k}", hint="ask for one passage or more")
    vectors, queries = _checked(vectors, queries)
    k = min(k, len(vectors))
    rows = np.zeros((len(queries), k), dtype=np.int64)
    best = np.zeros((len(queries), k), dtype=np.float32)
    if k == 0:
        return rows, best
    product = product_for(vectors, screen)
    slack = _slack(product, queries)
    for first in range(0, len(queries), _QUERIES_A_BLOCK):
        part = queries[first : first + _QUERIES_A_BLOCK]
        kept = _best_screened(product, part, k, slack, len(vectors))
        for i, (candidates, query) in enumerate(zip(kept, part, strict=True), start=first):
            found, scores = _decide(vectors, candidates, query, np.float32(-np.inf))
            rows[i], best[i] = found[:k], scores[:k]
    return rows, best


def _slack(product: Product, queries: FloatArray) -> float:
    """The product's error for these queries; it is stated for unit vectors, and grows with their length."""
    return product.error * max(1.0, float(np.linalg.norm(queries, axis=1).max(initial=0.0)))


def _decide(vectors: FloatArray, rows: NDArray[np.int64], query: FloatArray, limit: np.float32) -> Hits:
    scores = similarities(vectors, rows, query)
    keep = scores >= limit
    rows, scores = rows[keep], scores[keep]
    order = np.lexsort((rows, -scores))
    return rows[order], scores[order]


def _screened(
    product: Product, queries: FloatArray, limits: FloatArray, count: int
) -> list[NDArray[np.int64]]:
    """Rows, ascending, whose screened similarity reaches the limit, for each query."""
    flat: list[NDArray[np.int64]] = []
    for first, block in _blocks(product, queries, count):
        found = np.flatnonzero(block >= limits[:, None])
        query, row = np.divmod(found, block.shape[1])
        flat.append(query * count + row + first)
    # Sorting query * count + row once is cheaper than appending to a list a query a block.
    pairs = np.sort(np.concatenate(flat))
    ends = np.searchsorted(pairs, np.arange(1, len(queries)) * count)
    return [part % count for part in np.split(pairs, ends)]


def _best_screened(
    product: Product, queries: FloatArray, k: int, slack: float, count: int
) -> list[NDArray[np.int64]]:
    """At least the k best rows of each query: everything within twice the error of the k-th."""
    kept: list[list[NDArray[np.int64]]] = [[] for _ in queries]
    scores: list[list[FloatArray]] = [[] for _ in queries]
    waiting = np.zeros(len(queries), dtype=np.int64)
    limits = np.full(len(queries), -np.inf, dtype=np.float32)
    for first, block in _blocks(product, queries, count):
        chosen = block >= limits[:, None]
        for i in np.flatnonzero(chosen.any(axis=1)):
            columns = np.flatnonzero(chosen[i])
            kept[i].append(columns + first)
            scores[i].append(block[i, columns])
            waiting[i] += len(columns)
            if waiting[i] >= 2 * k + 64 or not np.isfinite(limits[i]):
                limits[i], waiting[i] = _prune(kept[i], scores[i], k, slack)
    for rows, values in zip(kept, scores, strict=True):
        _prune(rows, values, k, slack)
    return [rows[0] for rows in kept]


def _prune(
    rows: list[NDArray[np.int64]], scores: list[FloatArray], k: int, slack: float
) -> tuple[float, int]:
    """Merge the candidates in place, drop those out of reach; return the new limit and their number."""
    row, score = np.concatenate(rows), np.concatenate(scores)
    limit = -np.inf
    if len(score) >= k:
        limit = float(np.partition(score, len(score) - k)[len(score) - k]) - 2 * slack
        keep = score >= limit
        row, score = row[keep], score[keep]
    rows[:], scores[:] = [row], [score]
    return limit, len(row)


def _blocks(product: Product, queries: FloatArray, count: int) -> Iterator[tuple[int, FloatArray]]:
    """Yield (first row, similarities); the array is overwritten by the next."""
    # One query is bound by memory, not arithmetic: a longer block saves Python's overhead.
    step = _ROWS_A_BLOCK if len(queries) > 1 else 4 * _ROWS_A_BLOCK
    # One buffer for all: a fresh one a block costs a quarter of the time in page faults.
    buffer = np.empty(len(queries) * min(step, count), dtype=np.float32)
    for first in range(0, count, step):
        width = min(step, count - first)
        block = buffer[: len(queries) * width].reshape(len(queries), width)
        product(queries, first, first + width, block)
        yield first, block


def _checked(vectors: FloatArray, queries: FloatArray) -> tuple[FloatArray, FloatArray]:
    vectors, queries = np.asarray(vectors), np.asarray(queries)
    if vectors.ndim != 2 or queries.ndim != 2 or vectors.shape[1] != queries.shape[1]:
        raise InvalidVectorError(
            f"queries of shape {queries.shape} do not fit vectors of shape {vectors.shape}",
            hint="both must be 2-D with the same dimension, from the same embedder",
        )
    # Checking the vectors would cost as much as the search; whoever stores them checks them once.
    return np.ascontiguousarray(vectors, dtype=np.float32), checked_queries(queries, vectors.shape[1])


def checked_queries(queries: FloatArray, dimension: int) -> FloatArray:
    """Return the queries as contiguous float32.

    Raises:
        InvalidVectorError: not of shape (q, dimension), or not finite.
    """
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    if queries.ndim != 2 or queries.shape[1] != dimension:
        raise InvalidVectorError(
            f"queries of shape {queries.shape} do not fit vectors of dimension {dimension}",
            hint="embed them with the index's embedder",
        )
    if not np.isfinite(queries).all():
        raise InvalidVectorError("a query vector holds NaN or infinity", hint="check the embedder")
    return queries


def checked_thresholds(thresholds: ArrayLike, count: int) -> FloatArray:
    """Return one float32 threshold a query.

    Raises:
        InvalidValueError: one is NaN, or there are neither one nor `count`.
    """
    limits = np.asarray(thresholds, dtype=np.float32)
    if limits.ndim > 1 or (limits.ndim == 1 and len(limits) != count):
        raise InvalidValueError(
            f"thresholds of shape {limits.shape} for {count} queries", hint="give one, or one a query"
        )
    if np.isnan(limits).any():
        raise InvalidValueError("a threshold is NaN", hint="-inf keeps everything, inf nothing")
    return np.broadcast_to(limits, (count,))


def _nothing() -> Hits:
    return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
