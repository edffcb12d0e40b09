"""The scorer, fast: one engine for every pair model, shared by threads and asyncio tasks."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragguard.errors import DeadlineExceededError, InvalidValueError, ScoringError
from ragguard.models.backends.choose import AUTO, make_backend, require_known
from ragguard.models.backends.protocol import Backend
from ragguard.models.pair_engine_buckets import SCHEME, BucketedPair, arrays_of, bucketed, most_rows
from ragguard.models.pair_engine_queue import Counts, PairQueue
from ragguard.models.pair_logits import LOGITS
from ragguard.models.pair_tokens import PairTokens
from ragguard.protocols import FloatArray
from ragguard.worker import check_deadline, remaining, run_on_worker

if TYPE_CHECKING:
    from ragguard.models.pair_parts import PairModel

Pair = tuple[str, str]
_engines: weakref.WeakSet[PairEngine] = weakref.WeakSet()


class PairEngine:
    """Scores pairs of texts: a source and a claim in, six logits out.

    All calls share one queue: pairs of equal padded length are batched together,
    whichever turn they are of; equal pairs are scored once. A pair's logits depend
    on its own length, never on its neighbours. Constructing is cheap; weights load
    on first use or `warm_up()`, once, whichever thread comes first.

    Args:
        model: "bundled", a model's folder, a published checkpoint, or a loaded model.
        backend: "torch", "openvino", "onnxruntime", a `Backend` of one's own, or "auto"
            (torch, whatever else is installed).
        dtype: "float32", "bfloat16" (torch, OpenVINO), "int8" (ONNX Runtime), or "auto":
            bfloat16 where CPU and back end have it. A threshold calibrated on one dtype
            is not valid on another.
        batch_tokens: tokens of one forward pass; more is rarely faster on a CPU, and
            a deadline is looked at between passes.
        cache_size: pairs whose logits are kept, about 300 bytes each; 0 keeps none.
        max_waiting: pairs in the queue; calls beyond it wait, as long as their deadline allows.

    Raises:
        UnknownNameError: no such back end.
        InvalidValueError: a number is out of range, or the back end lacks the dtype.
    """

    def __init__(
        self,
        model: PairModel | str | Path = "bundled",
        *,
        backend: str | Backend = AUTO,
        dtype: str = AUTO,
        batch_tokens: int = 2048,
        cache_size: int = 20_000,
        max_waiting: int = 4096,
    ) -> None:
        for name, value, least in (
            ("batch_tokens", batch_tokens, 1),
            ("cache_size", cache_size, 0),
            ("max_waiting", max_waiting, 1),
        ):
            if value < least:
                raise InvalidValueError(f"{name} must be at least {least}, not {value}")
        if isinstance(backend, str):
            require_known(backend, dtype)
        self._source, self._backend, self._dtype = model, backend, dtype
        self._batch_tokens = batch_tokens
        self._queue = PairQueue(
            self._score, most_rows=self._most_rows, capacity=max_waiting, cache_size=cache_size
        )
        self._loaded: _Loaded | None = None
        self._loading = threading.Lock()
        _engines.add(self)

    def warm_up(self) -> None:
        """Load the weights now and run once.

        Raises:
            ConfigurationError: model, back end or dtype cannot be used here.
            UnreadableFileError: the weights are missing or altered.
        """
        self.logits([("warm up", "warm up")])

    @property
    def source(self) -> PairModel | str | Path:
        """The model as it was given."""
        return self._source

    @property
    def tokens(self) -> PairTokens:
        """The model's tokenizer."""
        return self._model().tokens

    @property
    def stats(self) -> Counts:
        """What was asked for and done so far; a copy."""
        return replace(self._queue.counts)

    def fingerprint(self) -> dict[str, Any]:
        """Return what determines a score: model, back end with its version, dtype and buckets."""
        return dict(self._model().fingerprint)

    def logits(self, pairs: Sequence[Pair]) -> FloatArray:
        """Return float32 logits (len(pairs), 6), in order: regression, binary (2), 3-way (3).

        Raises:
            ScoringError: the back end failed, or returned NaN or infinity.
            DeadlineExceededError: the turn's time ran out; what it still waited for is dropped.
        """
        found = []
        for part in self._parts(pairs):
            check_deadline()
            future: Future[FloatArray] = Future()
            try:
                self._put(part, future)
                concurrent.futures.wait([future], timeout=remaining())
                found.append(_result_of(future))
            finally:
                future.cancel()
        return _stacked(found)

    async def alogits(self, pairs: Sequence[Pair]) -> FloatArray:
        """`logits`, without blocking the event loop; cancelling the task gives its pairs up."""
        found = []
        for part in self._parts(pairs):
            check_deadline()
            future: Future[FloatArray] = Future()
            try:
                await run_on_worker(self._put, part, future)
                waiting = asyncio.wrap_future(future)
                # Looked at even when nobody waits any more: asyncio would log it as forgotten.
                waiting.add_done_callback(lambda done: done.cancelled() or done.exception())
                await asyncio.wait([waiting], timeout=remaining())
                found.append(_result_of(future))
            finally:
                future.cancel()
        return _stacked(found)

    def _parts(self, pairs: Sequence[Pair]) -> Iterator[Sequence[Pair]]:
        step = self._queue.capacity
        return (pairs[first : first + step] for first in range(0, len(pairs), step))

    def _put(self, pairs: Sequence[Pair], future: Future[FloatArray]) -> None:
        tokens = self._model().tokens
        encoded = tokens.encode(pairs)
        self._queue.put([bucketed(each, max_tokens=tokens.max_tokens) for each in encoded], future)

    def _score(self, pairs: Sequence[BucketedPair]) -> FloatArray:
        """Run one batch; whatever goes wrong in it becomes an error without the text."""
        loaded = self._model()
        ids, mask, types = arrays_of(pairs, pad_id=loaded.tokens.pad_id)
        try:
            logits = loaded.backend.run(ids, mask, types if loaded.uses_segments else None)
        except Exception as error:  # each back end raises its own
            raise ScoringError(f"the back end failed ({type(error).__name__})") from error
        if logits.shape != (len(pairs), LOGITS):
            raise ScoringError(f"the back end returned shape {logits.shape} for {len(pairs)} pairs")
        return logits

    def _most_rows(self, length: int) -> int:
        rows = most_rows(length, batch_tokens=self._batch_tokens)
        return min(rows, self._model().backend.most_rows or rows)

    def _model(self) -> _Loaded:
        if self._loaded is None:
            with self._loading:
                if self._loaded is None:
                    self._loaded = _load(self._source, self._backend, self._dtype)
        return self._loaded

    def _after_fork(self) -> None:
        self._loading = threading.Lock()
        self._queue.reset()


@dataclass(frozen=True)
class _Loaded:
    """A model in a back end, and what identifies both."""

    backend: Backend
    tokens: PairTokens
    uses_segments: bool
    fingerprint: dict[str, Any]


def _load(source: PairModel | str | Path, backend: str | Backend, dtype: str) -> _Loaded:
    from ragguard.models.pair_model import load_pair_model

    owned = isinstance(source, str | Path)
    model = load_pair_model(source) if isinstance(source, str | Path) else source
    if isinstance(backend, str):
        backend = make_backend(model, backend=backend, dtype=dtype, owns_model=owned)
    fingerprint = {
        **model.fingerprint(),
        "backend": backend.name,
        "library": backend.library,
        "dtype": backend.dtype,
        "buckets": SCHEME,
    }
    return _Loaded(backend, model.tokens, model.uses_segments, fingerprint)


def _result_of(future: Future[FloatArray]) -> FloatArray:
    if not future.done():
        raise DeadlineExceededError("the turn's deadline passed while its pairs were scored")
    return future.result()


def _stacked(parts: list[FloatArray]) -> FloatArray:
    return np.concatenate(parts) if parts else np.zeros((0, LOGITS), dtype=np.float32)


def _after_fork() -> None:
    for engine in list(_engines):
        engine._after_fork()


if hasattr(os, "register_at_fork"):
    # A forked server inherits the queue but not the thread that empties it.
    os.register_at_fork(after_in_child=_after_fork)
