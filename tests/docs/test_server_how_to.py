"""The pages about gateways: every Python block runs, and prints what stands beneath it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.trace_pages import follow, steps

PAGES = ("how-to/litellm.md", "how-to/nemo.md")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_says(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = follow(page)
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_what_comes_out(page: str) -> None:
    assert sum(bool(step.output) for step in steps(page)) == 1
