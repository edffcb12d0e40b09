"""Run a step in a process of its own, watched: its result, and the most memory it and its children held."""

from __future__ import annotations

import contextlib
import multiprocessing
import resource
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

_EVERY = 0.01  # seconds between two looks at the memory


def measured(step: str, first: Path, second: Path, *, memory: int | None = None) -> dict[str, Any]:
    """Return what `benchmarks.trace_engines.STEPS[step](first, second)` returns, with `peak` in bytes.

    A step that runs out of memory gives {"failed": ...} instead, and so does one that raises: its
    traceback is on stderr. Interrupting ends the process and what it started.

    Args:
        step: name of the step.
        first: its first path.
        second: its second path.
        memory: most address space in bytes; None for no limit.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, step, first, second, memory))
    process.start()
    sender.close()
    peak = 0
    try:
        while process.is_alive() and not receiver.poll(_EVERY):
            peak = max(peak, _held(process.pid))
        try:
            found: dict[str, Any] = receiver.recv()
        except EOFError:  # killed before it could say anything
            process.join()
            found = {"failed": f"ended with code {process.exitcode}"}
        process.join(30)
    finally:
        _end(process.pid if process.is_alive() else None)
        receiver.close()
    return found if "failed" in found else found | {"peak": peak}


def _child(sender: Connection, step: str, first: Path, second: Path, memory: int | None) -> None:
    from benchmarks.trace_engines import STEPS

    if memory is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    try:
        found = STEPS[step](first, second)
    except MemoryError:
        found = {"failed": f"more than {memory} bytes of memory" if memory else "out of memory"}
    sender.send(found)
    sender.close()


def _held(pid: int | None) -> int:
    """Resident bytes of a process and of all it started."""
    total = 0
    with contextlib.suppress(psutil.Error):
        top = psutil.Process(pid)
        for process in (top, *top.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
    return total


def _end(pid: int | None) -> None:
    if pid is None:
        return
    with contextlib.suppress(psutil.Error):
        top = psutil.Process(pid)
        for process in (*top.children(recursive=True), top):
            with contextlib.suppress(psutil.Error):
                process.kill()
    time.sleep(_EVERY)
