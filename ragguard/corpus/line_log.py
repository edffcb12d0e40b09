"""A file of JSON lines that only grows, and that a killed process leaves readable."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ragguard.corpus.jsonl import read_json_lines


class LineLog:
    """JSON lines of which each is on the disk before `append` returns.

    A last line that a killed process left unfinished is cut off by `repair`; a
    malformed line before it is an error, since no crash of ours explains it.

    Args:
        path: need not exist; its folder must.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def records(self) -> list[dict[str, Any]]:
        """Return the objects so far; none where there is no file.

        Raises:
            UnreadableFileError: it is not UTF-8, or a line is not an object.
        """
        return [record for _, record in read_json_lines(self.path)] if self.path.exists() else []

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one line and wait until the disk has it."""
        line = json.dumps(record, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"
        new = not self.path.exists()
        # Unbuffered: an interrupt finds the line written or not, never half of it in memory.
        with self.path.open("ab", buffering=0) as file:
            file.write(line)
            os.fsync(file.fileno())
        if new:
            _sync_folder(self.path.parent)

    def repair(self) -> bool:
        """Cut off an unfinished last line, or end a finished one; True when something was cut."""
        if not self.path.exists():
            return False
        content = self.path.read_bytes()
        end = content.rfind(b"\n") + 1
        if end == len(content):
            return False
        with self.path.open("r+b", buffering=0) as file:
            if complete := _is_object(content[end:]):
                file.seek(0, os.SEEK_END)
                file.write(b"\n")
            else:
                file.truncate(end)
            os.fsync(file.fileno())
        return not complete


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line.decode("utf-8")), dict)
    except (ValueError, RecursionError):
        return False


def _sync_folder(folder: Path) -> None:
    """Make a new file's name durable, where folders can be opened."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
