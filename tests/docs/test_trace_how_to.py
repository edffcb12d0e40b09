"""The how-to pages of tracing, followed from top to bottom with the bundled models."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.trace_pages import follow, steps

PAGES = ("protect-a-leaked-handbook", "retire-a-policy", "keep-secrets-in", "quarantine-a-poisoned-page")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_says(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = follow(f"how-to/{page}.md")
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_a_page_is_one_that_is_followed(page: str) -> None:
    found = list(steps(f"how-to/{page}.md"))
    assert sum(step.kind == "python" for step in found) >= 1
    assert sum(step.text.startswith("ragguard ") for step in found) >= 2
