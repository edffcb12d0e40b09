from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from tests.docs.trace_pages import follow, steps

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "llama_index_query.py"
README = Path(__file__).resolve().parents[1] / "README.md"
PAGE = "how-to/llama-index.md"


def test_the_example_passes_the_true_answer_on_and_not_the_false(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    passed, refused, none, promise = capsys.readouterr().out.splitlines()
    assert passed == "The warranty on lamps lasts two years."
    assert refused.startswith("I can't show an answer")
    assert none.startswith("I don't know: No passage of the knowledge base")
    assert "with probability at least 0.9" in promise
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 60


def test_the_readme_does_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    exec(compile(code, README.name, "exec"), {"__name__": "readme"})
    passed, refused, none = capsys.readouterr().out.splitlines()
    assert passed == "Tram 3 of Bergen leaves platform 36. valid"
    assert refused.startswith("I can't show an answer")
    assert none == "no_evidence"


def test_the_page_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = follow(PAGE)
    assert not wrong, "\n\n".join(wrong)
    assert sum(step.kind == "python" for step in steps(PAGE)) == 6
