"""The example and the how-to page of the agent do what they say."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "langchain_agent.py"
PAGE = ROOT / "docs" / "how-to" / "langchain-agents.md"


def test_the_example_shows_the_true_answer_and_not_the_false(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    shown, refused, mended = capsys.readouterr().out.splitlines()
    assert shown == "refuse {'retrieval': 'valid'} The warranty on lamps lasts two years."
    assert "I can't show an answer" in refused
    assert "ten" not in refused
    assert mended == shown.replace("refuse", "regenerate", 1)


def test_the_pages_code_runs_and_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    parts = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    exec(compile("\n".join(parts), PAGE.name, "exec"), {"__name__": "page"})
    said = re.findall(r"^print\(.*\)  # (.*)$", "\n".join(parts), flags=re.MULTILINE)
    assert capsys.readouterr().out.splitlines() == said
    assert len(said) > 3
