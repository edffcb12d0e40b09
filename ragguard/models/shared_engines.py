"""One engine a model in a process: guards that name the same model share its weights and its queue."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from weakref import WeakValueDictionary

from ragguard.models.pair_engine import PairEngine
from ragguard.models.pair_model import SHIPPED

_shared: WeakValueDictionary[tuple[object, ...], PairEngine] = WeakValueDictionary()
_kept: dict[tuple[object, ...], PairEngine] = {}
_lock = threading.Lock()


def shared_engine(model: str | Path = "bundled", *, backend: str = "auto", dtype: str = "auto") -> PairEngine:
    """Return the engine of a model, the same one to everybody who asks for it in this process.

    That of a shipped model stays once it was made. That of a folder or file is
    shared for as long as somebody holds it; when files of the folder have changed
    since, the next call makes another one, with what they hold now.

    Args:
        model: see `PairEngine`.
        backend: the name of a back end.
        dtype: see `PairEngine`.

    Raises:
        UnknownNameError: no such back end.
        InvalidValueError: the back end lacks the dtype.
    """
    key = (*_identity(model), backend, dtype)
    with _lock:
        engine = _shared.get(key)
        if engine is None:
            engine = _shared[key] = PairEngine(model, backend=backend, dtype=dtype)
            if model in SHIPPED:
                _kept[key] = engine
        return engine


def _identity(model: str | Path) -> tuple[object, ...]:
    """Which model it is: the name of a shipped one; else the place, and the state of the files there."""
    if model in SHIPPED:
        return (str(model),)
    path = Path(model).expanduser()
    files = sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else [path]
    states = ((each.name, each.stat()) for each in files if each.exists())
    return (str(path.resolve()), *((name, state.st_size, state.st_mtime_ns) for name, state in states))


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
