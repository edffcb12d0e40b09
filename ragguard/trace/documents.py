"""What a trace corpus is made of, and how it is read from files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ragguard.errors import DuplicateIdError, UnreadableFileError

TEXT_SUFFIXES = (".txt", ".md", ".rst", ".py")


@dataclass(frozen=True)
class TraceDocument:
    """One registered text, named by an id that is unique in its corpus."""

    id: str
    text: str


def load_documents(paths: str | Path | Sequence[str | Path]) -> list[TraceDocument]:
    """Return the documents of files and folders, folders sorted by path.

    A `.jsonl` line `{"id", "text"}` names itself; a text file is named by its path
    below the folder given (its name, for a file given itself). Text is kept as it
    stands in the file, line ends included.

    Args:
        paths: one path, or several.

    Raises:
        UnreadableFileError: missing, not UTF-8, of an unknown kind, or with a malformed line, which is named.
        DuplicateIdError: two documents have one id.
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    documents = [document for path in map(Path, given) for document in _read(path)]
    require_unique(document.id for document in documents)
    return documents


def require_unique(ids: Iterator[str]) -> None:
    """Return when no id occurs twice.

    Raises:
        DuplicateIdError: naming the first that does.
    """
    seen: set[str] = set()
    for name in ids:
        if name in seen:
            raise DuplicateIdError(f"two documents have the id {name!r}", hint="rename one")
        seen.add(name)


def _read(path: Path) -> Iterator[TraceDocument]:
    if path.is_dir():
        for file, name in _below(path):
            yield from _read_file(file, name)
    elif not path.is_file():
        raise UnreadableFileError(f"there is no file {path.name!r}", hint="check the path")
    else:
        # A file given by name is read whatever its suffix: leaked text comes as .log, .eml or nothing at all.
        yield from _read_file(path, path.name)


def _below(folder: Path) -> list[tuple[Path, str]]:
    found: list[tuple[Path, str]] = []
    # os.walk does not follow links, so a link to a parent folder is no endless loop.
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            path = Path(root, name)
            if not name.startswith(".") and path.suffix.lower() in (*TEXT_SUFFIXES, ".jsonl"):
                found.append((path, path.relative_to(folder).as_posix()))
    return sorted(found, key=lambda pair: pair[1])


def _read_file(path: Path, name: str) -> Iterator[TraceDocument]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UnreadableFileError(f"cannot read {name}", hint="check the path") from error
    except UnicodeDecodeError as error:
        raise UnreadableFileError(f"{name} is not UTF-8 (byte {error.start})", hint="convert it") from error
    if path.suffix.lower() != ".jsonl":
        yield TraceDocument(id=name, text=text)
        return
    # Not splitlines(): JSON may hold U+2028 and other line ends unescaped.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield _document(line, where=f"{name}, line {number}")


def _document(line: str, *, where: str) -> TraceDocument:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UnreadableFileError(f"{where}: not valid JSON", hint='{"id": ..., "text": ...}') from error
    if not isinstance(record, dict):
        raise UnreadableFileError(f"{where}: not an object", hint='{"id": ..., "text": ...}')
    name, text = record.get("id"), record.get("text")
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if not isinstance(name, str) or not name.strip():
        raise UnreadableFileError(
            f"{where}: `id` must be a non-empty string", hint='{"id": ..., "text": ...}'
        )
    if not isinstance(text, str):
        raise UnreadableFileError(f"{where}: `text` must be a string", hint='{"id": ..., "text": ...}')
    return TraceDocument(id=name, text=text)
