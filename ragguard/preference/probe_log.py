"""The answers a reader has given: asked once, kept on disk, found again by what determines them."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path

from ragguard.corpus.line_log import LineLog
from ragguard.errors import UnreadableFileError
from ragguard.preference.readers import Ask, Reader


def ask_key(reader: Reader, ask: Ask) -> str:
    """Return the hash of reader (with prompt, decoding and weights), question, passages and sample."""
    value = [reader.id, ask.question, list(ask.passages), ask.sample]
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:32]


class AnswerLog:
    """Answers by key, in memory and, where a path is given, in a file that only grows.

    Every answer is on the disk before the next is asked for, so that an interrupt
    costs the answers under way alone. A line that a killed process left unfinished
    is cut off. One process writes at a time. The file holds answers and hashes,
    neither questions nor passages.

    Args:
        path: JSON lines; None keeps answers in memory.

    Raises:
        UnreadableFileError: the file holds something else.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._lock = threading.Lock()
        self._answers: dict[str, str] = {}
        self._readers: set[str] = set()
        self._log: LineLog | None = None
        if path is not None:
            place = Path(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            self._log = LineLog(place)
            self._log.repair()
            self._read(place.name)

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, reader: Reader, ask: Ask) -> str | None:
        """Return the answer given to this ask, or None."""
        return self._answers.get(ask_key(reader, ask))

    def add(self, reader: Reader, ask: Ask, answer: str) -> None:
        """Keep an answer; the first one given to an ask stays."""
        key = ask_key(reader, ask)
        with self._lock:
            if key in self._answers:
                return
            self._answers[key] = answer
            if self._log is None:
                return
            if reader.id not in self._readers:
                self._readers.add(reader.id)
                self._log.append({"reader": reader.id, "identity": dict(reader.identity)})
            self._log.append({"key": key, "reader": reader.id, "answer": answer})

    def _read(self, name: str) -> None:
        records = [] if self._log is None else self._log.records()
        for number, record in enumerate(records, 1):
            key, answer, reader = record.get("key"), record.get("answer"), record.get("reader")
            if isinstance(reader, str) and "identity" in record:
                self._readers.add(reader)
            elif isinstance(key, str) and isinstance(answer, str):
                self._answers.setdefault(key, answer)
            else:
                raise UnreadableFileError(
                    f"{name}, record {number} is no answer of a reader",
                    hint="give the log of a probe, or a new path",
                )
