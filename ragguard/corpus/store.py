"""Passages on disk, one JSON line each, read when asked for.

In memory there are the ids and one offset a line: a hundred thousand passages
take a few megabytes whatever their length.
"""

from __future__ import annotations

import json
import os
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ragguard.errors import IndexFileError, InvalidValueError
from ragguard.types import Passage, Span


def encode(passage: Passage, *, duplicate_of: str | None = None) -> bytes:
    """Return the passage as one line.

    Raises:
        InvalidValueError: its metadata cannot be written as JSON.
    """
    record: dict[str, Any] = {"id": passage.id, "text": passage.text}
    if passage.document is not None:
        record["document"] = passage.document
    if passage.span is not None:
        record["span"] = [passage.span.start, passage.span.end]
    if passage.metadata:
        record["metadata"] = dict(passage.metadata)
    if duplicate_of is not None:
        record["duplicate_of"] = duplicate_of
    try:
        line = json.dumps(record, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValueError(
            f"metadata of passage {passage.id!r} is not JSON ({type(error).__name__})",
            hint="use strings, numbers, lists and objects",
        ) from error
    return line.encode("utf-8", "surrogatepass") + b"\n"


def decode(line: bytes) -> Passage:
    """Return the passage of a line that `encode` wrote."""
    record = json.loads(line.decode("utf-8", "surrogatepass"))
    span = record.get("span")
    return Passage(
        id=record["id"],
        text=record["text"],
        document=record.get("document"),
        span=None if span is None else Span(start=span[0], end=span[1]),
        metadata=record.get("metadata", {}),
    )


def redirected(line: bytes, duplicate_of: str | None) -> bytes:
    """Return the line marked as a duplicate of another id, or of none."""
    return encode(decode(line), duplicate_of=duplicate_of)


def write_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Write the lines and see them on disk before returning."""
    with path.open("wb") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())


class PassageStore:
    """The lines of a file, by number.

    The file stays open: a new version may take its name away meanwhile.

    Raises:
        IndexFileError: a line is not a passage.
    """

    def __init__(self, path: Path) -> None:
        self.ids: list[str] = []
        self.duplicates: dict[int, str] = {}
        starts = [0]
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self._file)
        with path.open("rb") as file:
            for number, line in enumerate(file):
                record = _record(line, where=f"{path.name}, line {number + 1}")
                self.ids.append(record["id"])
                if "duplicate_of" in record:
                    self.duplicates[number] = record["duplicate_of"]
                starts.append(starts[-1] + len(line))
        self._starts = np.asarray(starts, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.ids)

    def line(self, number: int) -> bytes:
        """Return the line of that number, from 0."""
        start, end = int(self._starts[number]), int(self._starts[number + 1])
        with self._lock:
            os.lseek(self._file, start, os.SEEK_SET)
            parts = []
            while start < end:
                part = os.read(self._file, end - start)
                if not part:
                    raise IndexFileError("the passages file has become shorter", hint="open the index again")
                parts.append(part)
                start += len(part)
        return b"".join(parts)

    def passage(self, number: int) -> Passage:
        """Return the passage of that line."""
        return decode(self.line(number))

    def texts(self, numbers: Iterable[int]) -> Iterator[tuple[int, str]]:
        """Yield (line number, text), reading each line once."""
        for number in numbers:
            yield number, self.passage(number).text


def _record(line: bytes, *, where: str) -> Mapping[str, Any]:
    try:
        record = json.loads(line.decode("utf-8", "surrogatepass"))
        if isinstance(record["id"], str) and isinstance(record["text"], str):
            return record  # type: ignore[no-any-return]
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise IndexFileError(f"{where} is not a passage", hint="rebuild with PassageIndex.build")
