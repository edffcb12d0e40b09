"""The example and the how-to page of LangGraph do what they say."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "langgraph_review.py"
PAGE = ROOT / "docs" / "how-to" / "langgraph.md"


def test_the_example_answers_abstains_and_lets_a_person_edit(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    shown, nothing, refused, waiting, edited = capsys.readouterr().out.splitlines()
    assert shown == "The warranty on wall lamps lasts 4 years."
    assert nothing.startswith("I don't know: No passage")
    assert refused.startswith("I can't show an answer")
    assert waiting == "waiting: The warranty lasts ninety years."
    assert edited == "edited: The warranty on bed lamps lasts 6 years."


def test_the_pages_code_runs_and_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    parts = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    exec(compile("\n".join(parts), PAGE.name, "exec", dont_inherit=True), {"__name__": "page"})
    said = re.findall(r"^print\(.*\)  # (.*)$", "\n".join(parts), flags=re.MULTILINE)
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        line.rstrip() for line in said
    ]
    assert len(said) > 6
