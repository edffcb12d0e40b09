"""One writer at a time for an index folder."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from ragguard.errors import IndexFileError

_NAME = ".lock"


@contextlib.contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold the folder's lock file for the time of the block.

    The operating system holds the lock for the process and drops it when that dies,
    so the file of a dead process is simply taken over. Readers need no lock.

    Raises:
        IndexFileError: another writer holds it, or the folder cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / _NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise IndexFileError(
            f"{folder.name} cannot be written: {error.strerror}", hint="give a folder of your own"
        ) from error
    try:
        try:
            _hold(descriptor)
        except OSError as error:
            raise IndexFileError(
                f"another process is writing to {folder.name}", hint="wait for it to finish"
            ) from error
        yield
    finally:
        os.close(descriptor)


def _hold(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
