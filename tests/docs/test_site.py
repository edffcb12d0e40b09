"""The site as built: strict, and whole without a network."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOADS_FROM_ELSEWHERE = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//"""
    r"""|<link\b[^>]*\brel=["']?(?:stylesheet|preload|preconnect|icon)\b[^>]*\bhref=["']?(?:https?:)?//"""
    r"""|<link\b[^>]*\bhref=["']?(?:https?:)?//[^>]*\brel=["']?(?:stylesheet|preload|preconnect|icon)\b"""
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return folder


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert pages
    for page in pages:
        assert LOADS_FROM_ELSEWHERE.search(page.read_text(encoding="utf-8")) is None, page.name
    for sheet in site.rglob("*.css"):
        assert re.search(r"@import|url\([\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")) is None, (
            sheet.name
        )


def test_the_site_holds_the_published_schema(site: Path) -> None:
    for schema in sorted((ROOT / "ragguard" / "schemas").glob("*.json")):
        assert (site / "reference" / schema.name).read_bytes() == schema.read_bytes()
