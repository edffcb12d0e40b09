"""What an index folder holds, and that it still holds just that.

The manifest is written last, by one atomic replacement, and names the other
files by their content. Until then the old manifest and its files stand, so a
process killed at any moment leaves a valid index: the old one or the new.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ragguard.errors import IndexFileError, UnreadableFileError
from ragguard.models.bundled import sha256_of

SCHEMA_VERSION = 1
REBUILD = "rebuild with PassageIndex.build"
_NAME = "manifest.json"
_FORMAT = "ragguard-index"
_SUFFIXES = {"vectors": ".faiss", "passages": ".jsonl"}
_PREFIXES = ("vectors-", "passages-", ".writing-")


def write_version(
    folder: Path, writers: Mapping[str, Callable[[Path], None]], facts: Mapping[str, Any]
) -> None:
    """Make a new version of the index the current one, or leave the old one.

    Args:
        folder: made if missing.
        writers: for "vectors" and "passages", what writes a file of that part.
        facts: the rest of the manifest; JSON-serialisable.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {part: _write_part(folder, part, write) for part, write in writers.items()}
    body = {"format": _FORMAT, "schema_version": SCHEMA_VERSION, **facts, "files": files}
    staged = folder / f".writing-{os.getpid()}-{_NAME}"
    staged.write_text(json.dumps({**body, "checksum": _checksum(body)}, indent=1), encoding="utf-8")
    _sync(staged)
    staged.replace(folder / _NAME)
    _sync(folder)
    _remove_all_but(folder, {file["name"] for file in files.values()})


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest, after checking it and the sha256 of every file it names.

    Raises:
        IndexFileError: no index is there, or a file is missing, truncated, altered,
            or of another version.
    """
    body = _parse(folder)
    checksum = body.pop("checksum", None)
    if body.get("format") != _FORMAT:
        raise IndexFileError(f"{folder.name}/{_NAME} is not of a ragguard index", hint=REBUILD)
    if body.get("schema_version") != SCHEMA_VERSION:
        raise IndexFileError(
            f"{folder.name}/{_NAME} has schema version {body.get('schema_version')!r}, not {SCHEMA_VERSION}",
            hint=REBUILD,
        )
    if checksum != _checksum(body):
        raise IndexFileError(f"{folder.name}/{_NAME} was altered", hint=REBUILD)
    for file in body["files"].values():
        _require_file(folder, file)
    return body


def _parse(folder: Path) -> dict[str, Any]:
    try:
        body = json.loads((folder / _NAME).read_bytes())
    except OSError as error:
        raise IndexFileError(f"there is no index in {folder.name!r}", hint=REBUILD) from error
    except (ValueError, RecursionError) as error:
        raise IndexFileError(f"{folder.name}/{_NAME} is truncated or not JSON", hint=REBUILD) from error
    if not isinstance(body, dict):
        raise IndexFileError(f"{folder.name}/{_NAME} is not of a ragguard index", hint=REBUILD)
    return body


def _write_part(folder: Path, part: str, write: Callable[[Path], None]) -> dict[str, Any]:
    staged = folder / f".writing-{os.getpid()}-{part}"
    write(staged)
    _sync(staged)
    digest = sha256_of(staged)
    name = f"{part}-{digest[:16]}{_SUFFIXES[part]}"
    size = staged.stat().st_size
    staged.replace(folder / name)
    return {"name": name, "sha256": digest, "bytes": size}


def _require_file(folder: Path, file: Mapping[str, Any]) -> None:
    path = folder / file["name"]
    try:
        same = path.stat().st_size == file["bytes"] and sha256_of(path) == file["sha256"]
    except (OSError, UnreadableFileError) as error:
        raise IndexFileError(f"{folder.name}/{file['name']} is missing", hint=REBUILD) from error
    if not same:
        raise IndexFileError(f"{folder.name}/{file['name']} is truncated or altered", hint=REBUILD)


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _remove_all_but(folder: Path, kept: set[str]) -> None:
    for path in folder.iterdir():
        if path.name.startswith(_PREFIXES) and path.name not in kept:
            with contextlib.suppress(OSError):  # still open elsewhere on Windows: next time
                path.unlink()


def _sync(path: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
