"""The demo command, from an empty folder, and again."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

COVERAGE = re.compile(
    r"Measured: ([01]\.\d{3}) on (\d+) held-out questions\s+"
    r"\(95 % interval ([01]\.\d{3}) to ([01]\.\d{3})\);\s+promised 0\.900\."
)


def demo(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [
        Path(sys.executable).with_name("ragguard"),
        "demo",
        "--folder",
        folder,
        "--generator",
        "extractive",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_demo_keeps_its_promise_and_its_second_run_embeds_nothing_again(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    first = demo(folder)
    measured = COVERAGE.search(first.stdout)
    assert measured, first.stdout[-2000:]
    coverage, held_out, low, high = (float(part) for part in measured.groups())
    assert held_out >= 40
    assert low <= coverage <= high
    assert high >= 0.9, "the measured interval reaches the promise"
    index = {p.name: (p.stat().st_mtime_ns, p.stat().st_size) for p in (folder / "index").iterdir()}

    second = demo(folder)
    assert f"Reusing the index and calibration in {folder}." in second.stdout.replace("\n", " ").replace(
        "  ", " "
    )
    assert COVERAGE.search(second.stdout[-2000:]).groups() == measured.groups()  # type: ignore[union-attr]
    assert {p.name: (p.stat().st_mtime_ns, p.stat().st_size) for p in (folder / "index").iterdir()} == index
    assert "embedding" not in second.stderr
