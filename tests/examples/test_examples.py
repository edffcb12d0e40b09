"""Every example runs offline and is short enough to read."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda p: p.stem)
def test_an_example_has_fewer_than_60_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < 60


def test_an_own_retriever_is_answered_refused_and_turned_away(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "own_retriever.py"), run_name="__main__")
    printed = capsys.readouterr().out
    for said in ("pass (ok), kept 1", "refuse (unsupported_answer)", "abstain (no_evidence)", "at least 0.9"):
        assert said in printed
