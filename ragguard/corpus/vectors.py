"""The vectors of an index, in FAISS: flat (exact), HNSW or IVF (approximate).

Whatever finds the rows, their similarity is the exact inner product of the two
vectors (`search.similarities`), so the kinds differ in what they miss alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ragguard.corpus.search import Hits, above, checked_queries, checked_thresholds, similarities, top_k
from ragguard.errors import InvalidValueError, UnknownNameError
from ragguard.protocols import FloatArray

Kind: TypeAlias = Literal["flat", "hnsw", "ivf"]

_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "flat": {"screen": "float32"},
    "hnsw": {"m": 32, "ef_construction": 200, "ef_search": 256},
    "ivf": {"lists": None, "probes": 32},
}
_VECTORS_A_LIST = 39  # fewer and FAISS's k-means warns that it cannot be trained
_ROUNDING = 1e-5


def full_settings(kind: str, settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the settings with defaults filled in.

    Raises:
        UnknownNameError: no such kind, or no such setting of it.
        InvalidValueError: a value is out of range.
    """
    if kind not in _DEFAULTS:
        raise UnknownNameError(f"unknown index kind {kind!r}", hint=f"known: {', '.join(get_args(Kind))}")
    full = {**_DEFAULTS[kind], **(settings or {})}
    unknown = sorted(set(full) - set(_DEFAULTS[kind]))
    if unknown:
        raise UnknownNameError(
            f"index kind {kind!r} has no setting {unknown[0]!r}",
            hint=f"known: {', '.join(_DEFAULTS[kind])}",
        )
    for name, value in full.items():
        allowed = value in ("float32", "bfloat16") if name == "screen" else _positive(name, value)
        if not allowed:
            raise InvalidValueError(f"index setting {name} is {value!r}", hint="see the kinds of index")
    return full


def _positive(name: str, value: Any) -> bool:
    return (name == "lists" and value is None) or (type(value) is int and value >= 1)


class Vectors:
    """Rows of unit vectors and a way to search them.

    Args:
        index: the FAISS index, inner product.
        kind: "flat", "hnsw" or "ivf".
        settings: as `full_settings` gives them.
    """

    def __init__(self, index: Any, kind: str, settings: Mapping[str, Any]) -> None:
        self.index, self.kind, self.settings = index, kind, dict(settings)
        self._matrix: FloatArray | None = None
        self._screen: Any = self.settings.get("screen")
        if kind == "ivf":
            index.make_direct_map()
            index.nprobe = self.settings["probes"]
        elif kind == "hnsw":
            index.hnsw.efSearch = self.settings["ef_search"]

    @classmethod
    def build(
        cls,
        parts: Iterable[FloatArray],
        *,
        dimension: int,
        count: int,
        kind: str,
        settings: Mapping[str, Any],
    ) -> Vectors:
        """Index `count` vectors that come in parts, in order.

        An IVF index is trained on all of them, and so holds them twice meanwhile.
        """
        index, settings = _empty(kind, settings, dimension, count)
        if kind == "ivf":
            parts = [np.concatenate([*parts, np.empty((0, dimension), dtype=np.float32)])]
            index.train(parts[0] if count else np.eye(1, dimension, dtype=np.float32))
        for part in parts:
            index.add(np.ascontiguousarray(part, dtype=np.float32))
        return cls(index, kind, settings)

    def __len__(self) -> int:
        return int(self.index.ntotal)

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return int(self.index.d)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> FloatArray:
        """Return a copy of the given rows."""
        rows = np.asarray(rows, dtype=np.int64)
        if self.kind != "ivf":
            return self._all().take(rows, axis=0)
        if len(rows) == 0:
            return np.empty((0, self.dimension), dtype=np.float32)
        picked: FloatArray = self.index.reconstruct_batch(rows)
        return picked

    def extended(self, keep: NDArray[np.int64], new: FloatArray, *, compact: bool) -> Vectors:
        """Return a new index with `new` added at the end; self is not changed.

        Args:
            keep: rows that live.
            new: (n, d).
            compact: drop all other rows, which renumbers; else they stay, unseen.
        """
        if compact:
            return Vectors.build(
                [self.take(keep), new],
                dimension=self.dimension,
                count=len(keep) + len(new),
                kind=self.kind,
                settings=self.settings,
            )
        import faiss

        copy = faiss.clone_index(self.index)
        copy.add(np.ascontiguousarray(new))
        return Vectors(copy, self.kind, self.settings)

    def top_k(self, queries: FloatArray, k: int, alive: NDArray[np.bool_] | None) -> list[Hits]:
        """Return the k best living rows of each query; an approximate kind may find fewer."""
        if self.kind == "flat":
            rows, scores = top_k(self._all(), queries, k, screen=self._product())
            return list(zip(rows, scores, strict=True))
        if k < 1:
            raise InvalidValueError(f"k must be at least 1, not {k}", hint="ask for one passage or more")
        queries = checked_queries(queries, self.dimension)
        if len(self) == 0:
            return self._decided(queries, [np.empty(0, dtype=np.int64)] * len(queries), -np.inf)
        _, rows = self.index.search(queries, min(k, len(self)), params=self._parameters(alive))
        return self._decided(queries, [found[found >= 0] for found in rows], -np.inf)

    def above(
        self, queries: FloatArray, thresholds: ArrayLike, alive: NDArray[np.bool_] | None
    ) -> list[Hits]:
        """Return the living rows at or above each threshold, best first."""
        if self.kind == "flat":
            return above(self._all(), queries, thresholds, screen=self._product())
        queries = checked_queries(queries, self.dimension)
        limits = checked_thresholds(thresholds, len(queries))
        found = [self._range(q, t, alive) for q, t in zip(queries, limits, strict=True)]
        return self._decided(queries, found, limits)

    def similarities(self, rows: NDArray[np.int64], query: FloatArray) -> FloatArray:
        """Return the exact similarity of one query with given rows."""
        taken = self.take(rows)
        return similarities(taken, np.arange(len(taken)), query)

    def _range(self, query: FloatArray, limit: float, alive: NDArray[np.bool_] | None) -> NDArray[np.int64]:
        if len(self) == 0:
            return np.empty(0, dtype=np.int64)
        # FAISS leaves out what equals the radius, and rounds; `_decided` draws the line.
        radius = max(float(limit) - _ROUNDING, -2.0)
        _, _, rows = self.index.range_search(query[None, :], radius, params=self._parameters(alive))
        return np.asarray(rows[rows >= 0], dtype=np.int64)

    def _decided(
        self, queries: FloatArray, found: Sequence[NDArray[np.int64]], limits: ArrayLike
    ) -> list[Hits]:
        hits: list[Hits] = []
        bounds = np.broadcast_to(np.asarray(limits, dtype=np.float32), (len(queries),))
        for rows, query, limit in zip(found, queries, bounds, strict=True):
            rows = np.unique(rows)
            scores = self.similarities(rows, query)
            rows, scores = rows[scores >= limit], scores[scores >= limit]
            order = np.lexsort((rows, -scores))
            hits.append((rows[order], scores[order]))
        return hits

    def _parameters(self, alive: NDArray[np.bool_] | None) -> Any:
        import faiss

        chosen: dict[str, Any] = {}
        if alive is not None:
            # The selector keeps no reference to the bits; the parameters object does.
            bits = np.packbits(alive, bitorder="little")
            chosen["sel"] = faiss.IDSelectorBitmap(len(alive), faiss.swig_ptr(bits))
        if self.kind == "hnsw":
            parameters = faiss.SearchParametersHNSW(efSearch=self.settings["ef_search"], **chosen)
        else:
            parameters = faiss.SearchParametersIVF(nprobe=self.settings["probes"], **chosen)
        parameters.ragguard_keeps = bits if alive is not None else None
        return parameters

    def _all(self) -> FloatArray:
        """FAISS's own memory as (N, d), not copied; it lives as long as `index`."""
        if self._matrix is None:
            import faiss

            flat = self.index if self.kind == "flat" else faiss.downcast_index(self.index.storage)
            count = int(flat.ntotal)
            if count == 0:
                return np.empty((0, self.dimension), dtype=np.float32)
            view: FloatArray = faiss.rev_swig_ptr(flat.get_xb(), count * self.dimension)
            self._matrix = view.reshape(count, self.dimension)
        return self._matrix

    def _product(self) -> Any:
        if self._screen == "bfloat16":
            from ragguard.corpus.products import Bfloat16Product

            self._screen = Bfloat16Product(self._all())
        return self._screen


def _empty(kind: str, settings: Mapping[str, Any], dimension: int, count: int) -> tuple[Any, dict[str, Any]]:
    import faiss

    chosen = dict(settings)
    if kind == "flat":
        return faiss.IndexFlatIP(dimension), chosen
    if kind == "hnsw":
        index = faiss.IndexHNSWFlat(dimension, chosen["m"], faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = chosen["ef_construction"]
        return index, chosen
    most = max(1, count // _VECTORS_A_LIST)
    chosen["lists"] = min(chosen["lists"] or max(1, int(4 * count**0.5)), most)
    quantiser = faiss.IndexFlatIP(dimension)
    index = faiss.IndexIVFFlat(quantiser, dimension, chosen["lists"], faiss.METRIC_INNER_PRODUCT)
    index.cp.min_points_per_centroid = 1  # a small corpus is no reason to warn on stderr
    return index, chosen
