from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugins.skips import is_allowed, read_allow_list

ROOT = Path(__file__).resolve().parents[2]
SKIPPING = """
import pytest

@pytest.mark.skip(reason="no time")
def test_skipped():
    pass

@pytest.mark.xfail(reason="known", strict=True)
def test_expected_to_fail():
    assert False
"""

ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # faster; one test runs beside every plugin installed


def run_pytest(folder: Path, source: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_sample.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.plugins.skips", "--rootdir", str(folder)]
    return subprocess.run(
        [*command, "-c", os.devnull, str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_skip_that_is_not_listed_fails_the_session(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, SKIPPING, **ALONE)
    assert done.returncode == 1
    assert "test_sample.py::test_skipped: Skipped: no time" in done.stdout
    assert "test_sample.py::test_expected_to_fail: xfail known" in done.stdout


def test_a_whole_module_that_is_skipped_fails_the_session(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "import pytest\npytest.importorskip('no_such_module_anywhere')\n")
    assert done.returncode == 1
    assert "no_such_module_anywhere" in done.stdout


def test_a_session_without_skips_passes(tmp_path: Path) -> None:
    assert run_pytest(tmp_path, "def test_runs():\n    pass\n", **ALONE).returncode == 0


def test_an_entry_allows_its_test_alone_unless_it_ends_in_a_star() -> None:
    assert is_allowed("a.py::test_x", ["a.py::test_x"])
    assert not is_allowed("a.py::test_xy", ["a.py::test_x"])
    assert is_allowed("a.py::test_x[1]", ["a.py::test_x*"])


def test_an_entry_needs_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "allowed.txt"
    path.write_text("# comment\na.py::test_x\n", encoding="utf-8")
    with pytest.raises(pytest.UsageError, match="no reason"):
        read_allow_list(path)
