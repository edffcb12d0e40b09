"""One queue for every pair that waits to be scored, whoever asked for it.

A single thread takes batches from it, oldest pair first; what arrives meanwhile
gathers and shares the next batches. A pair in the queue is scored once, however
many calls ask for it, and not at all when every one of them has given up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeAlias

import numpy as np

from ragguard.errors import ScoringError
from ragguard.models.pair_engine_buckets import BucketedPair, row_count
from ragguard.models.pair_engine_cache import ScoreCache
from ragguard.models.pair_logits import LOGITS
from ragguard.protocols import FloatArray

Score: TypeAlias = Callable[[Sequence[BucketedPair]], FloatArray]
"""Logits (rows, 6) of pairs of one length; raises ScoringError and nothing else."""
_Settled: TypeAlias = "list[tuple[_Call, ScoringError | None]]"
_NO_THREAD = "the interpreter is shutting down"


@dataclass
class Counts:
    """What the queue has seen since it was made.

    Attributes:
        pairs: asked for.
        unique: of them, different within their call.
        cached: of these, answered from the cache.
        joined: of these, already waiting for another call.
        scored: rows that went through the model.
        passes: forward passes.
        tokens: of those passes, padding included.
    """

    pairs: int = 0
    unique: int = 0
    cached: int = 0
    joined: int = 0
    scored: int = 0
    passes: int = 0
    tokens: int = 0


@dataclass(eq=False, slots=True)
class _Call:
    """Somebody waits for these rows."""

    future: Future[FloatArray]
    rows: FloatArray
    places: dict[bytes, list[int]]
    left: int
    over: bool = False

    @property
    def waits(self) -> bool:
        return not self.over and not self.future.cancelled()


@dataclass(eq=False, slots=True)
class _Entry:
    """A pair to score, and the calls that wait for it."""

    pair: BucketedPair
    arrival: int
    calls: list[_Call] = field(default_factory=list)
    alone: bool = False

    @property
    def wanted(self) -> bool:
        return any(call.waits for call in self.calls)


class PairQueue:
    """Pairs in, logits out through futures; any number of threads may put.

    Args:
        score: called on the queue's own thread.
        most_rows: the largest batch of a length; batches are powers of two up to it.
        capacity: pairs in the queue; a call beyond it waits its turn outside.
        cache_size: pairs whose logits are kept.
    """

    def __init__(
        self, score: Score, *, most_rows: Callable[[int], int], capacity: int, cache_size: int
    ) -> None:
        self._score, self._most_rows = score, most_rows
        self.capacity, self._cache_size = capacity, cache_size
        self.counts = Counts()
        self.reset()

    def reset(self) -> None:
        """Forget everything that waits: in a forked child the threads that would answer do not exist."""
        self._lock = Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ragguard-scorer")
        self._running = False
        self._outside: deque[tuple[_Call, list[BucketedPair]]] = deque()
        self._entries: dict[bytes, _Entry] = {}
        self._buckets: dict[int, deque[_Entry]] = {}
        self._arrivals = 0
        self._cache = ScoreCache(self._cache_size)

    def put(self, pairs: Sequence[BucketedPair], future: Future[FloatArray]) -> None:
        """Ask for the pairs; the future gets their logits (len(pairs), 6), in order, or a ScoringError.

        Cancelling the future gives the call up.
        """
        places: dict[bytes, list[int]] = {}
        for place, pair in enumerate(pairs):
            places.setdefault(pair.key, []).append(place)
        call = _Call(future, np.empty((len(pairs), LOGITS), dtype=np.float32), places, len(places))
        unique = [pairs[where[0]] for where in places.values()]
        with self._lock:
            self.counts.pairs += len(pairs)
            self.counts.unique += len(unique)
            self._outside.append((call, unique))
            settled = self._admit()
            start = bool(self._buckets) and not self._running
            self._running = self._running or start
        _tell(settled)
        if start:
            try:
                self._thread.submit(self._run)
            except RuntimeError:
                self._fail_everything(_NO_THREAD)

    def _run(self) -> None:
        """Score batch after batch until nothing waits."""
        try:
            while batch := self._next():
                try:
                    logits = self._score([entry.pair for entry in batch])
                except ScoringError as error:
                    _tell(self._failed(batch, error))
                else:
                    _tell(self._scored(batch, logits))
        except BaseException:
            self._fail_everything("the scoring thread ended")
            raise

    def _next(self) -> list[_Entry]:
        settled: _Settled = []
        with self._lock:
            while not (batch := self._take()):
                settled += self._admit()
                if not self._buckets:
                    self._running = False
                    break
        _tell(settled)
        return batch

    def _take(self) -> list[_Entry]:
        """Return the next batch, from the bucket of the oldest pair; nothing where nothing is wanted."""
        while self._buckets:
            length = min(self._buckets, key=lambda each: self._buckets[each][0].arrival)
            waiting = deque(entry for entry in self._buckets.pop(length) if self._keeps(entry))
            if not waiting:
                continue
            rows = 1 if waiting[0].alone else row_count(len(waiting), self._most_rows(length))
            batch = [waiting.popleft() for _ in range(rows)]
            if waiting:
                self._buckets[length] = waiting
            self.counts.passes += 1
            self.counts.scored += rows
            self.counts.tokens += rows * length
            return batch
        return []

    def _keeps(self, entry: _Entry) -> bool:
        """Forget an entry that nobody waits for any more; asked once, as calls end at any time."""
        if not entry.wanted:
            del self._entries[entry.pair.key]
            return False
        return True

    def _scored(self, batch: list[_Entry], logits: FloatArray) -> _Settled:
        usable = [bool(np.isfinite(row).all()) for row in logits]
        settled: _Settled = []
        with self._lock:
            for entry, row, good in zip(batch, logits, usable, strict=True):
                del self._entries[entry.pair.key]
                if good:
                    self._cache.put(entry.pair.key, row)
                    settled += [done for call in entry.calls for done in _give(call, entry.pair.key, row)]
                else:
                    settled += _fail(entry, "the model returned NaN or infinity")
            return settled + self._admit()

    def _failed(self, batch: list[_Entry], error: ScoringError) -> _Settled:
        """A batch of several calls is tried again pair by pair: one call's pair may be at fault."""
        settled: _Settled = []
        with self._lock:
            if len({call for entry in batch for call in entry.calls if call.waits}) > 1 and len(batch) > 1:
                again = self._buckets.setdefault(batch[0].pair.length, deque())
                for entry in reversed(batch):
                    entry.alone = True
                    again.appendleft(entry)
                return settled
            for entry in batch:
                del self._entries[entry.pair.key]
                settled += _fail(entry, error.args[0], error.__cause__)
            return settled + self._admit()

    def _admit(self) -> _Settled:
        """Let calls in from outside, in order, as far as there is room; one too large enters alone."""
        settled: _Settled = []
        while self._outside:
            call, pairs = self._outside[0]
            if self._entries and len(self._entries) + len(pairs) > self.capacity:
                break
            self._outside.popleft()
            if call.waits:
                settled += self._enter(call, pairs)
        return settled

    def _enter(self, call: _Call, pairs: list[BucketedPair]) -> _Settled:
        if not pairs:
            return [(call, None)]
        settled: _Settled = []
        for pair in pairs:
            row = self._cache.get(pair.key)
            if row is not None:
                self.counts.cached += 1
                settled += _give(call, pair.key, row)
                continue
            entry = self._entries.get(pair.key)
            if entry is None:
                entry = self._entries[pair.key] = _Entry(pair, self._arrivals)
                self._arrivals += 1
                self._buckets.setdefault(pair.length, deque()).append(entry)
            else:
                self.counts.joined += 1
            entry.calls.append(call)
        return settled

    def _fail_everything(self, why: str) -> None:
        with self._lock:
            settled = [done for entry in self._entries.values() for done in _fail(entry, why)]
            for call, _ in self._outside:
                settled.append((call, ScoringError(why)))
            self._entries.clear()
            self._buckets.clear()
            self._outside.clear()
            self._running = False
        _tell(settled)


def _give(call: _Call, key: bytes, row: FloatArray) -> _Settled:
    call.rows[call.places[key]] = row
    call.left -= 1
    if call.left or call.over:
        return []
    call.over = True
    return [(call, None)]


def _fail(entry: _Entry, why: str, cause: BaseException | None = None) -> _Settled:
    """Each call gets an error of its own: raising one object in several threads mixes their tracebacks."""
    settled: _Settled = []
    for call in entry.calls:
        if not call.over:
            call.over = True
            error = ScoringError(why)
            error.__cause__ = cause
            settled.append((call, error))
    return settled


def _tell(settled: _Settled) -> None:
    """Resolve futures, outside the lock: their callbacks are not ours."""
    for call, error in settled:
        if not call.future.set_running_or_notify_cancel():
            continue
        if error is None:
            call.future.set_result(call.rows)
        else:
            call.future.set_exception(error)
