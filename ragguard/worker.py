"""Where checks run, and how long they may take.

Scoring is heavy and synchronous; it runs on a small pool of threads and never
on an event loop's own. The turn's deadline travels with the context, so that a
scorer can ask between two batches whether to go on.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from ragguard.errors import DeadlineExceededError

P = ParamSpec("P")
T = TypeVar("T")

_deadline: contextvars.ContextVar[float | None] = contextvars.ContextVar("ragguard_deadline", default=None)
_NAME = "ragguard-worker"
_pool: ThreadPoolExecutor | None = None
_pool_lock = threading.Lock()


def submit(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Run the function on a worker thread, in a copy of the caller's context.

    Called on a worker it runs at once: waiting there for another worker could wait for ever.
    """
    if threading.current_thread().name.startswith(_NAME):
        return _at_once(function, *args, **kwargs)
    context = contextvars.copy_context()
    return _workers().submit(lambda: context.run(function, *args, **kwargs))


async def run_on_worker(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Await a synchronous function without blocking the event loop."""
    return await asyncio.wrap_future(submit(function, *args, **kwargs))


@contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Limit what runs inside the block to so many seconds from now; None sets no limit of its own.

    An earlier end that is already set stays: a part of a turn cannot outlast the turn.
    """
    ends = [_deadline.get(), None if seconds is None else time.monotonic() + seconds]
    token = _deadline.set(min((end for end in ends if end is not None), default=None))
    try:
        yield
    finally:
        _deadline.reset(token)


def remaining() -> float | None:
    """Return the seconds left for this turn, negative once it is over, None without a deadline."""
    end = _deadline.get()
    return None if end is None else end - time.monotonic()


def check_deadline() -> None:
    """Stop here if the turn's time is over; scorers call it between batches.

    Raises:
        DeadlineExceededError: the deadline has passed.
    """
    left = remaining()
    if left is not None and left <= 0:
        raise DeadlineExceededError("the turn's deadline has passed")


def _workers() -> ThreadPoolExecutor:
    global _pool
    with _pool_lock:
        if _pool is None:
            # A scorer already uses every core; more threads only add to the latency of each.
            threads = max(2, min(4, os.cpu_count() or 2))
            _pool = ThreadPoolExecutor(threads, thread_name_prefix=_NAME)
        return _pool


def _at_once(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    done: Future[T] = Future()
    try:
        done.set_result(function(*args, **kwargs))
    except Exception as error:  # noqa: BLE001 - the future carries it, as a pool's would
        done.set_exception(error)
    return done


def _forget_pool() -> None:
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    # A forked server inherits the pool but none of its threads: what it submits would wait for ever.
    os.register_at_fork(after_in_child=_forget_pool)
