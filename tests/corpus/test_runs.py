"""Runs of a retriever in any language."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ragguard.corpus.runs import load_runs
from ragguard.errors import DuplicateIdError, InvalidValueError, QuestionSetError, UnreadableFileError

RUN = {"id": "q1", "question": "What?", "relevant": ["a"], "results": [{"id": "a", "score": 0.5}], "k": 2}


def written(path: Path, *runs: Any) -> Path:
    path.write_text("".join(json.dumps(run) + "\n" for run in runs), encoding="utf-8")
    return path


def test_a_run_keeps_its_results_and_every_further_field(tmp_path: Path) -> None:
    (run,) = load_runs(written(tmp_path / "r.jsonl", {**RUN, "group": "g", "article": 7}))
    assert [(r.id, r.score) for r in run.results] == [("a", 0.5)]
    assert (run.field("group"), run.field("article"), run.field("nothing")) == ("g", "7", None)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"results": [{"id": "a", "score": "high"}]}, "score"),
        ({"results": [{"score": 0.5}]}, "results"),
        ({"k": 0}, "k"),
        ({"k": None}, "k"),
        ({"relevant": None}, "relevant"),
        ({"id": None}, "id"),
    ],
)
def test_a_malformed_run_is_named_by_file_line_and_field(
    tmp_path: Path, change: dict[str, Any], field: str
) -> None:
    path = written(tmp_path / "r.jsonl", RUN, {**RUN, "id": "q2", "question": "zyzzyva", **change})
    with pytest.raises(QuestionSetError, match=rf"r\.jsonl, line 2: .*{field}") as raised:
        load_runs(path)
    assert "zyzzyva" not in str(raised.value)


@pytest.mark.parametrize("score", ["NaN", "Infinity", "1e999"])
def test_a_score_that_is_not_finite_is_refused(tmp_path: Path, score: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(RUN).replace("0.5", score), encoding="utf-8")
    with pytest.raises(QuestionSetError, match="line 1"):
        load_runs(path)


def test_runs_have_different_ids_and_one_depth(tmp_path: Path) -> None:
    with pytest.raises(DuplicateIdError, match="'q1'"):
        load_runs(written(tmp_path / "r.jsonl", RUN, RUN))
    with pytest.raises(InvalidValueError, match=r"\[2, 3\]"):
        load_runs(written(tmp_path / "r.jsonl", RUN, {**RUN, "id": "q2", "k": 3}))


def test_a_file_without_runs_or_no_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(QuestionSetError, match="no runs"):
        load_runs(written(tmp_path / "r.jsonl"))
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(UnreadableFileError):
            load_runs(path)
