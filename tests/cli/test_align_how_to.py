"""The commands of the how-to page, run as they stand there but for the model."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.align_case import run, save_model

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "align-score.md"


def test_every_command_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (script,) = re.findall(r"```python\n# make_files\.py\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(script, "make_files.py", "exec"), {})
    model = save_model(tmp_path / "model")
    commands = re.findall(r"^\$ ragguard align (.*)$", text, re.MULTILINE)
    assert len(commands) >= 6
    for command in commands:
        line, _, source = command.partition(" < ")
        stdin = Path(source).read_bytes() if source else b""
        done = run(*shlex.split(line), "--model", model, stdin=stdin)
        asks = line.startswith("score")  # one of its lines is wrong on purpose
        assert (done.code, done.err) == (3 if asks else 0, ""), command
    assert Path("scores.jsonl").read_text().count("\n") == 4
    assert Path("combiner.json").exists()
