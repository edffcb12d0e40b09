"""Folders that are whole or not there: written aside, sealed with hashes, then renamed.

A process killed at any moment leaves either no folder of that name or a complete
one. The seal is a JSON file that names every other file with its size and sha256,
and carries a checksum of itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragguard.errors import IndexFileError

REBUILD = "build the index again, or restore the folder from a backup"
WRITING = ".writing-"
_SEAL = "seal.json"


@contextlib.contextmanager
def written_aside(folder: Path) -> Iterator[Path]:
    """Yield a new folder below `folder`, its owner's alone; what is left of it at the end is removed."""
    aside = folder / f"{WRITING}{uuid.uuid4().hex[:12]}"
    aside.mkdir(mode=0o700, parents=True)
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def seal(aside: Path, target: Path, facts: Mapping[str, Any]) -> None:
    """Name every file of the folder in a seal, and rename it to `target`.

    Args:
        aside: a finished folder of plain files.
        target: beside it; an incomplete folder of that name is replaced.
        facts: what else the seal says; JSON-serialisable.
    """
    for path in aside.iterdir():
        path.chmod(0o600)  # the texts stand in it in plain words
    files = {path.name: _measured(path) for path in sorted(aside.iterdir())}
    write_json(aside / _SEAL, {"facts": dict(facts), "files": files})
    sync(aside)
    if target.exists():
        shutil.rmtree(target)
    aside.rename(target)
    sync(target.parent)


def read_seal(folder: Path) -> dict[str, Any]:
    """Return the facts, after checking the seal itself and the size of every file it names.

    Raises:
        IndexFileError: the folder or a file is missing, truncated or foreign.
    """
    body = read_json(folder / _SEAL)
    files, facts = body.get("files"), body.get("facts")
    if not isinstance(files, dict) or not isinstance(facts, dict):
        raise broken(folder / _SEAL, "is not a seal")
    for name, entry in files.items():
        try:
            size = (folder / Path(name).name).stat().st_size
        except OSError as error:
            raise broken(folder / name, "is missing") from error
        if size != entry["bytes"]:
            raise broken(folder / name, f"has {size} bytes instead of {entry['bytes']}")
    return facts


def verify(folder: Path) -> None:
    """Read every file of a sealed folder and compare it with its hash.

    Raises:
        IndexFileError: naming the first file that differs.
    """
    read_seal(folder)
    for name, entry in read_json(folder / _SEAL)["files"].items():
        if _sha256(folder / name) != entry["sha256"]:
            raise broken(folder / name, "was altered")


def open_array(path: Path, kinds: str, dimensions: int = 1) -> NDArray[Any]:
    """Return an array mapped from a file; nothing is read until it is used.

    Args:
        path: a .npy file.
        kinds: accepted kinds of numbers, as numpy's one-letter codes.
        dimensions: how many it must have.

    Raises:
        IndexFileError: it is not such an array.
    """
    try:
        # Not np.load, which would take archives and pickles for arrays as well.
        array = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError, TypeError, SyntaxError) as error:
        raise broken(path, "is not an array") from error
    if array.dtype.kind not in kinds or array.ndim != dimensions:
        raise broken(path, "is not the array it should be")
    return np.asarray(array)


def open_bytes(path: Path) -> mmap.mmap | bytes:
    """Return a file's bytes, mapped.

    Raises:
        IndexFileError: it cannot be opened.
    """
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                return b""
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise broken(path, "cannot be opened") from error


def write_json(path: Path, body: Mapping[str, Any]) -> None:
    """Write an object with a checksum of its content, in one step."""
    content = json.dumps({**body, "checksum": _checksum(body)}, indent=1)
    staged = path.with_name(f"{WRITING}{os.getpid()}-{path.name}")
    staged.write_text(content + "\n", encoding="utf-8")
    staged.chmod(0o600)
    sync(staged)
    staged.replace(path)
    sync(path.parent)


def read_json(path: Path) -> dict[str, Any]:
    """Return an object that `write_json` wrote, without its checksum.

    Raises:
        IndexFileError: missing, truncated, altered, or not ours.
    """
    try:
        body = json.loads(path.read_bytes())
    except OSError as error:
        raise broken(path, "is missing") from error
    except (ValueError, RecursionError) as error:
        raise broken(path, "is truncated or not JSON") from error
    if not isinstance(body, dict) or "checksum" not in body:
        raise broken(path, "is not of a ragguard index")
    if body.pop("checksum") != _checksum(body):
        raise broken(path, "was altered")
    return body


def broken(path: Path, why: str) -> IndexFileError:
    """Return the error for a file that cannot be used."""
    return IndexFileError(f"{path.parent.name}/{path.name} {why}", hint=REBUILD)


def sync(path: Path) -> None:
    """Have a file or folder on disk before going on."""
    if os.name == "nt":  # folders cannot be opened there
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _measured(path: Path) -> dict[str, Any]:
    sync(path)
    return {"bytes": path.stat().st_size, "sha256": _sha256(path)}


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise broken(path, "cannot be read") from error


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
