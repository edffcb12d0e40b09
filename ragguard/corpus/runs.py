"""Results of a retriever in any language, as JSON lines.

One line a question: {"id", "question", "relevant": [ids], "results": [{"id", "score"}], "k"},
with "group" and other fields as in a question set. `k` is how many results were asked
for; a relevant passage that is not among the results counts as a miss.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ragguard.corpus.jsonl import read_json_lines
from ragguard.errors import DuplicateIdError, InvalidValueError, QuestionSetError


class RunResult(BaseModel):
    """One result: a passage id, or a whole number for one, and the retriever's finite score."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    id: str
    score: float = Field(allow_inf_nan=False)


class Run(BaseModel):
    """One question with what a retriever returned for it; further fields are kept in `model_extra`."""

    model_config = ConfigDict(frozen=True, extra="allow", coerce_numbers_to_str=True)

    id: str
    question: str = ""
    relevant: tuple[str, ...]
    results: tuple[RunResult, ...]
    k: int = Field(ge=1)
    provenance: str = "human"

    def field(self, name: str) -> str | None:
        """Return a further field as text, or None."""
        value: Any = (self.model_extra or {}).get(name)
        return None if value is None else str(value)


def load_runs(path: str | Path) -> list[Run]:
    """Read runs.

    Raises:
        QuestionSetError: a line is malformed; file, line and fields are named.
        DuplicateIdError: two lines have one id.
        InvalidValueError: `k` differs between lines, so that no one cut-off is calibrated.
    """
    path = Path(path)
    runs = [
        _run(record, f"{path.name}, line {number}")
        for number, record in read_json_lines(path, error=QuestionSetError)
    ]
    if not runs:
        raise QuestionSetError(f"{path} holds no runs", hint="one JSON object a line")
    seen: set[str] = set()
    for run in runs:
        if run.id in seen:
            raise DuplicateIdError(f"{path}: two runs have the id {run.id!r}")
        seen.add(run.id)
    depths = sorted({run.k for run in runs})
    if len(depths) > 1:
        raise InvalidValueError(
            f"{path}: k differs between runs: {depths}", hint="retrieve all with the same k"
        )
    return runs


def _run(record: Mapping[str, Any], where: str) -> Run:
    try:
        return Run.model_validate(record)
    except ValidationError as error:
        fields = sorted({".".join(str(p) for p in e["loc"]) for e in error.errors()})
        raise QuestionSetError(
            f"{where}: invalid or missing {', '.join(fields)}",
            hint='each line is {"id","question","relevant":[ids],"results":[{"id","score"}],"k"}',
        ) from error
