"""What users said of answers: ratings, citations, and where each passage was shown.

A thumb rates an answer, not a passage. What follows for passages is decided by
rules (`feedback_rules`), which may change; so the raw records are what is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ragguard.corpus.line_log import LineLog
from ragguard.preference.records import read_records, write_lines

Rating: TypeAlias = Literal["up", "down"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ShownPassage(_Frozen):
    """A passage as it was shown.

    Attributes:
        id: of the passage.
        text: as shown.
        position: from 1.
        propensity: the probability, logged when it was shown, that the user looked at it
            there; None where nobody recorded it.
    """

    id: str = Field(min_length=1)
    text: str
    position: int = Field(ge=1)
    propensity: float | None = Field(default=None, gt=0.0, le=1.0)


class FeedbackRecord(_Frozen):
    """One rated answer.

    Attributes:
        id: unique in its log; a record imported twice counts once.
        question: as the reader was asked.
        passages: shown to the reader and the user; ids and positions differ.
        cited: ids of those the answer cites.
        rating: of the answer, or None where only citations are known.
        reader: id of the reader that answered.
        ts: when.
        answer: the rated text, needed to replay; may be "".
        rater: pseudonym of who rated, or None.
        cluster: what must not be torn apart by a split, or None.
    """

    id: str = Field(min_length=1)
    question: str = Field(min_length=1)
    passages: tuple[ShownPassage, ...] = Field(min_length=1)
    cited: tuple[str, ...] = ()
    rating: Rating | None
    reader: str = Field(min_length=1)
    ts: datetime = Field(default_factory=lambda: datetime.now(UTC))
    answer: str = ""
    rater: str | None = None
    cluster: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> FeedbackRecord:
        ids = [passage.id for passage in self.passages]
        positions = [passage.position for passage in self.passages]
        if len(set(ids)) < len(ids) or len(set(positions)) < len(positions):
            raise ValueError("two passages share an id or a position")
        if not set(self.cited) <= set(ids):
            raise ValueError("a passage is cited that was not shown")
        return self

    @property
    def in_order(self) -> tuple[ShownPassage, ...]:
        """The passages by position."""
        return tuple(sorted(self.passages, key=lambda passage: passage.position))


class FeedbackLog:
    """Records in a file that only grows; safe to share between threads of one process.

    Args:
        path: JSON lines; made when needed. A line that a killed process left unfinished is cut off.

    Raises:
        UnreadableFileError: the file holds something else.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._log = LineLog(self.path)
        self._log.repair()
        self._known = {record.id for record in self.records()}

    def __len__(self) -> int:
        return len(self._known)

    def add(self, records: Iterable[FeedbackRecord]) -> int:
        """Append records whose id is new; return how many that were."""
        added = 0
        with self._lock:
            for record in records:
                if record.id not in self._known:
                    self._known.add(record.id)
                    self._log.append(record.model_dump(mode="json"))
                    added += 1
        return added

    def records(self) -> list[FeedbackRecord]:
        """Return everything recorded, oldest first."""
        return read_feedback(self.path) if self.path.exists() else []


def read_feedback(path: str | Path) -> list[FeedbackRecord]:
    """Return the records of a JSON-lines file, in order; of one id the first.

    Raises:
        UnreadableFileError: the file is missing, or a line does not fit; no text is quoted.
    """
    found: dict[str, FeedbackRecord] = {}
    for record in read_records(Path(path), FeedbackRecord):
        found.setdefault(record.id, record)
    return list(found.values())


def write_feedback(path: str | Path, records: Sequence[FeedbackRecord]) -> int:
    """Write one line a record and return their number; the file appears whole or not at all."""
    return write_lines(path, (record.model_dump_json() for record in records))
