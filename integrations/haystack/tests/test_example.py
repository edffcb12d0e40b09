from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "haystack_pipeline.py"
README = Path(__file__).resolve().parents[1] / "README.md"
PACKAGE = README.parent / "haystack_integrations"


def test_the_example_passes_the_true_answer_on_and_not_the_false(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    passed, refused, none = capsys.readouterr().out.splitlines()
    assert passed == "True The warranty of a desk lamp lasts two years."
    assert refused.startswith("False I can't show an answer")
    assert none.startswith("False I don't know: No passage of the knowledge base")


def test_the_readme_does_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    exec(compile(code, README.name, "exec"), {"__name__": "readme"})
    found, passed, refused = capsys.readouterr().out.splitlines()
    assert found == "Tram 3 of Bergen leaves platform 36. valid"
    assert passed == "True Tram 3 of Bergen leaves platform 36."
    assert refused.startswith("False I can't show an answer")


def test_the_namespace_is_shared_with_other_distributions() -> None:
    above = [PACKAGE, PACKAGE / "components", PACKAGE / "components" / "guards"]
    assert [folder for folder in above if (folder / "__init__.py").exists()] == []
