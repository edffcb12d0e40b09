"""A refresh keeps its folder's settings: what it could not honour, it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ragguard.cli.app import app
from ragguard.conformal.calibration import Calibration
from ragguard.errors import ConfigurationError
from ragguard.guard import Guard
from ragguard.types import Passage, Turn


def test_refresh_refuses_an_option_that_it_would_ignore(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["calibrate", "--refresh", str(tmp_path), "--alpha", "0.3"])
    assert isinstance(result.exception, ConfigurationError)
    assert "--alpha" in str(result.exception)


def _distance_runs(path: Path) -> Path:
    rng = np.random.default_rng(0)
    lines = []
    for i in range(60):
        distances = rng.uniform(9.0, 11.0, 5)
        distances[0] = rng.uniform(0.5, 1.5)
        results = [{"id": f"p{j}", "score": float(d)} for j, d in enumerate(distances)]
        lines.append(
            json.dumps({"id": i, "question": f"q{i}", "relevant": ["p0"], "results": results, "k": 5})
        )
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_distances_calibrated_from_runs_are_cut_as_distances(tmp_path: Path) -> None:
    runs = _distance_runs(tmp_path / "runs.jsonl")
    options = [
        "--runs",
        str(runs),
        "--lower-is-better",
        "--score",
        "gap",
        "--out",
        str(tmp_path / "out"),
        "--json",
    ]
    result = CliRunner().invoke(app, ["calibrate", *options])
    assert result.exit_code == 0, result.output
    guard = Guard(Calibration.load(tmp_path / "out"))
    near_and_far = [("far", 10.4), ("near", 1.0), ("mid", 9.4)]
    report = guard.check(
        Turn(question="q?", passages=tuple(Passage(id=i, text="t", score=s) for i, s in near_and_far))
    )
    assert [p.id for p in report.passages] == ["near"]
    assert report.passages[0].score == 1.0


@pytest.mark.parametrize("word", ["[red]", "[/x]", "[ids]"])
def test_square_brackets_of_a_message_are_printed_as_they_are(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ragguard.cli.app import main

    monkeypatch.setattr("sys.argv", ["ragguard", "info", str(tmp_path / word)])
    with pytest.raises(SystemExit):
        main()
    assert word in capsys.readouterr().err


def test_the_version_is_printed_without_a_command() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.output.strip().count(".") == 2
