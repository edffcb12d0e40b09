"""What question writing has done so far, on disk: the questions, and every passage tried."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from ragguard.corpus.line_log import LineLog
from ragguard.corpus.question_writer import Outcome
from ragguard.corpus.questions import Question, load_questions
from ragguard.errors import InvalidValueError, UnreadableFileError

KEPT = "kept"
Stopped: TypeAlias = Literal["count", "passages", "budget"]
_FORMAT = "ragguard-question-generation-1"


class GenerationReport(BaseModel):
    """What question writing came to; all but `written` and `calls` count earlier runs too.

    Attributes:
        path: of the question set.
        questions: in the file now.
        written: of them by this run.
        passages: tried so far; those of one text count once.
        failed: passages that gave no question, by the fault of their last attempt.
        faults: attempts that failed, by fault (`ragguard.corpus.replies.Fault`).
        calls: to either model in this run.
        stopped: "count", all questions asked for are there; "passages", none is left
            to try; "budget", the calls are spent.
        overlap_mean: share of a question's content words that its passage repeats.
        overlap_max: the largest of them.
        max_overlap: the limit that was set.
        generator: name of the model that wrote.
        checker: name of the model that read.
        prompt: hash of the wording of the prompts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    questions: int
    written: int
    passages: int
    failed: Mapping[str, int]
    faults: Mapping[str, int]
    calls: int
    stopped: Stopped
    overlap_mean: float
    overlap_max: float
    max_overlap: float
    generator: str
    checker: str
    prompt: str


class GenerationRecord:
    """The question set at `path`, and beside it `<path>.state.jsonl`.

    The state file says first by which settings questions are written, then of each
    passage what came of it. A question is written before its passage is, so a kill
    between the two loses neither; an unfinished last line is cut off.

    Args:
        path: of the question set; its folder must exist.
        settings: JSON-serialisable; those of an earlier run must be the same.

    Raises:
        InvalidValueError: the path cannot be written, or holds what other settings,
            or something else, wrote.
        UnreadableFileError, QuestionSetError: a file of an earlier run was altered.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self._questions = LineLog(path)
        self._state = LineLog(path.with_name(path.name + ".state.jsonl"))
        self._begin(settings)
        self.questions: list[Question] = load_questions(path) if _size(path) else []
        self._tried: dict[str, Mapping[str, Any]] = self._read_tried()
        for question in self.questions:
            # Killed between the two lines: the question stands, its passage is done.
            source = question.fields.get("passage")
            if isinstance(source, str) and source not in self._tried:
                self._note({"passage": source, "outcome": KEPT, "faults": {}, "calls": 0})

    def __contains__(self, passage: str) -> bool:
        return passage in self._tried

    def __len__(self) -> int:
        """How many passages were tried."""
        return len(self._tried)

    def keep(self, question: Question, passage: str, outcome: Outcome) -> None:
        """Write a question, then that its passage is done."""
        own = question.model_dump(mode="json", exclude={"fields"}, exclude_none=True)
        self._questions.append({**own, **question.fields})
        self.questions.append(question)
        self._note(_line(passage, KEPT, outcome))

    def give_up(self, passage: str, outcome: Outcome) -> None:
        """Write that a passage gave no question, and why."""
        self._note(_line(passage, outcome.faults[-1].value, outcome))

    @property
    def failed(self) -> dict[str, int]:
        """Passages given up, by their last fault, most frequent first."""
        outcomes = Counter(str(line.get("outcome")) for line in self._tried.values())
        del outcomes[KEPT]
        return dict(outcomes.most_common())

    @property
    def faults(self) -> dict[str, int]:
        """Attempts that failed, by fault, most frequent first."""
        total: Counter[str] = Counter()
        for line in self._tried.values():
            total.update(line.get("faults") or {})
        return dict(total.most_common())

    def report(
        self, facts: Mapping[str, Any], *, written: int, calls: int, stopped: Stopped
    ) -> GenerationReport:
        """Return what all runs came to; `facts` name the models, the prompts and the limit of overlap."""
        shares = [float(question.fields.get("overlap", 0.0)) for question in self.questions]
        return GenerationReport(
            path=str(self.path),
            questions=len(self.questions),
            written=written,
            passages=len(self),
            failed=self.failed,
            faults=self.faults,
            calls=calls,
            stopped=stopped,
            overlap_mean=statistics.fmean(shares),
            overlap_max=max(shares),
            max_overlap=facts["max_overlap"],
            generator=facts["generator"],
            checker=facts["checker"],
            prompt=facts["prompt"],
        )

    def _note(self, line: Mapping[str, Any]) -> None:
        self._state.append(line)
        self._tried[line["passage"]] = line

    def _begin(self, settings: Mapping[str, Any]) -> None:
        if not self.path.parent.is_dir() or self.path.is_dir():
            raise InvalidValueError(
                f"cannot write to {self.path.name!r}", hint="give a file in a folder there is"
            )
        self._state.repair()
        lines = self._state.records()
        if lines:
            _require_same(lines[0], settings, self.path.name)
            self._questions.repair()
        elif _size(self.path):
            # Never added to: a set that people wrote would change its provenance.
            raise InvalidValueError(f"{self.path.name} was not written here", hint="give another path")
        else:
            self._state.append({"format": _FORMAT, "settings": dict(settings)})

    def _read_tried(self) -> dict[str, Mapping[str, Any]]:
        tried: dict[str, Mapping[str, Any]] = {}
        for line in self._state.records()[1:]:
            if not isinstance(line.get("passage"), str) or not isinstance(line.get("faults"), dict):
                raise UnreadableFileError(
                    f"{self._state.path.name} was altered", hint="remove it and the question set"
                )
            tried[line["passage"]] = line
        return tried


def _line(passage: str, outcome: str, made: Outcome) -> dict[str, Any]:
    return {"passage": passage, "outcome": outcome, "faults": made.counted, "calls": made.calls}


def _require_same(header: Mapping[str, Any], settings: Mapping[str, Any], name: str) -> None:
    earlier = header.get("settings")
    if header.get("format") != _FORMAT or not isinstance(earlier, dict):
        raise InvalidValueError(f"the state file of {name} was not written here", hint="give another path")
    changed = sorted(key for key in settings if settings[key] != earlier.get(key))
    if changed:
        raise InvalidValueError(
            f"{name} was begun with other {', '.join(changed)}",
            hint="give the same arguments, or another path",
            details={"changed": changed},
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
