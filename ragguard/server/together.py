"""Scoring together what came in while the scorer was busy."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from ragguard.errors import ScoringError
from ragguard.worker import submit

T = TypeVar("T")
R = TypeVar("R")


class Together(Generic[T, R]):
    """Takes single items from any number of tasks and scores those that wait as one batch, on a worker.

    An item whose batch fails is scored again alone, so that it cannot fail its neighbours.

    Args:
        score: items in, one result each out, in order.
    """

    def __init__(self, score: Callable[[Sequence[T]], Sequence[R]]) -> None:
        self._score = score
        self._waiting: list[tuple[T, Future[R]]] = []
        self._busy = False
        self._lock = threading.Lock()

    async def score(self, item: T) -> R:
        """Return the item's result, or raise what scoring it raised."""
        future: Future[R] = Future()
        with self._lock:
            self._waiting.append((item, future))
            start, self._busy = not self._busy, True
        if start:
            submit(self._work)
        return await asyncio.wrap_future(future)

    def _work(self) -> None:
        while batch := self._next():
            if not self._scored(batch):
                for one in batch:
                    self._scored([one], last=True)

    def _next(self) -> list[tuple[T, Future[R]]]:
        with self._lock:
            # Who gave up waiting has cancelled.
            batch = [one for one in self._waiting if one[1].set_running_or_notify_cancel()]
            self._waiting = []
            self._busy = bool(batch)
            return batch

    def _scored(self, batch: Sequence[tuple[T, Future[R]]], *, last: bool = False) -> bool:
        done = submit(self._score, [item for item, _ in batch])  # at once: this is a worker
        error = done.exception()
        if error is None and len(done.result()) != len(batch):
            error = ScoringError("a scorer must return one result an item")
        if error is not None and (last or len(batch) == 1):
            for _, future in batch:
                future.set_exception(error)
            return True
        if error is not None:
            return False
        for (_, future), result in zip(batch, done.result(), strict=True):
            future.set_result(result)
        return True
