"""Reading a corpus from files: .txt, .md, .html, .pdf and .jsonl."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TypeAlias

from ragguard.corpus.documents import Document
from ragguard.corpus.html_text import html_text
from ragguard.corpus.jsonl import identifier, read_json_lines, read_text
from ragguard.corpus.offsets import PAGES, SOURCE_MAP, page_of, to_raw_span
from ragguard.corpus.pdf_text import pdf_text
from ragguard.errors import DuplicateIdError, EmptyCorpusError, UnreadableFileError

__all__ = ["load_corpus", "page_of", "to_raw_span"]

_Paths: TypeAlias = str | Path | Sequence[str | Path]
_log = logging.getLogger(__name__)


def load_corpus(paths: _Paths, *, pattern: str | None = None) -> list[Document]:
    """Return the documents of files and folders, folders sorted by path.

    A file's document is named by its path below the folder given (its name, for
    a file given itself), with "/" on every system; a .jsonl line names itself.
    In a folder, hidden files and unknown suffixes are passed over, and counted in
    a warning; a file given by name must be readable. Text is kept as it stands in
    the file, line ends included; for HTML `metadata["source_map"]` leads back to
    the file (`to_raw_span`), for PDF `metadata["pages"]` to the page (`page_of`).

    Args:
        paths: one path, or several.
        pattern: take only files whose path below their folder matches, e.g. "*.md".

    Raises:
        UnreadableFileError: missing, not UTF-8, not what its suffix says, of an
            unknown suffix, or with a malformed line (which is named).
        DuplicateIdError: two documents have one id.
        EmptyCorpusError: no document holds text.
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    documents: list[Document] = []
    for path in map(Path, given):
        for file, name in _files(path, pattern):
            documents.extend(_READERS[file.suffix.lower()](file, name))
    _require_unique(documents)
    if not any(document.text.strip() for document in documents):
        raise EmptyCorpusError(
            f"no text in {', '.join(Path(p).name for p in given[:3]) or 'no paths'}",
            hint=f"give files of {', '.join(sorted(_READERS))}",
        )
    return documents


def _files(path: Path, pattern: str | None) -> list[tuple[Path, str]]:
    if path.is_dir():
        return _below(path, pattern)
    if not path.is_file():
        raise UnreadableFileError(f"there is no file {path.name!r}", hint="check the path")
    if path.suffix.lower() not in _READERS:
        raise UnreadableFileError(
            f"{path.name}: unknown kind of file {path.suffix!r}",
            hint=f"known: {', '.join(sorted(_READERS))}",
        )
    return [(path, path.name)]


def _below(folder: Path, pattern: str | None) -> list[tuple[Path, str]]:
    found: list[tuple[Path, str]] = []
    skipped = 0
    # os.walk does not follow links, so a link to a parent folder is no endless loop.
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(name for name in files if not name.startswith(".")):
            path = Path(root, file)
            name = path.relative_to(folder).as_posix()
            if pattern is not None and not fnmatch(name, pattern):
                continue
            if path.suffix.lower() in _READERS:
                found.append((path, name))
            else:
                skipped += 1
    if skipped:
        _log.warning("skipped %d files of unknown kind in %s", skipped, folder.name)
    return sorted(found, key=lambda pair: pair[1])


def _plain(path: Path, name: str) -> Iterator[Document]:
    yield Document(id=name, text=read_text(path))


def _html(path: Path, name: str) -> Iterator[Document]:
    text, segments, title = html_text(read_text(path))
    metadata = {SOURCE_MAP: segments, **({"title": title} if title else {})}
    yield Document(id=name, text=text, metadata=metadata)


def _pdf(path: Path, name: str) -> Iterator[Document]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableFileError(f"cannot read {path.name}", hint="check the path") from error
    text, pages = pdf_text(content, name=path.name)
    yield Document(id=name, text=text, metadata={PAGES: pages})


def _json_lines(path: Path, name: str) -> Iterator[Document]:
    for number, record in read_json_lines(path):
        where = f"{name}, line {number}"
        text, metadata = record.get("text"), record.get("metadata") or {}
        if not isinstance(text, str):
            raise UnreadableFileError(f"{where}: `text` must be a string", hint='{"id": ..., "text": ...}')
        if not isinstance(metadata, dict):
            raise UnreadableFileError(f"{where}: `metadata` must be an object", hint="leave it out")
        reserved = sorted({SOURCE_MAP, PAGES} & set(metadata))
        if reserved:  # a forged map would make `to_raw_span` and `page_of` lie
            raise UnreadableFileError(f"{where}: metadata may not hold {reserved[0]!r}", hint="rename it")
        found = identifier(record.get("id"), where=where, error=UnreadableFileError)
        yield Document(id=found, text=text, metadata=metadata)


_READERS: Mapping[str, Callable[[Path, str], Iterator[Document]]] = {
    ".txt": _plain,
    ".md": _plain,
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
    ".jsonl": _json_lines,
}


def _require_unique(documents: Sequence[Document]) -> None:
    seen: set[str] = set()
    for document in documents:
        if document.id in seen:
            raise DuplicateIdError(f"two documents have the id {document.id!r}", hint="rename one")
        seen.add(document.id)
