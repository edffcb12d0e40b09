"""What a user of a framework installs: each integration's wheel, looked into."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {
    "langchain": ("langchain_ragguard", "langchain-ragguard"),
    "llama_index": ("llama_index_ragguard", "llama-index-ragguard"),
    "haystack": ("haystack_integrations/components/guards/ragguard", "ragguard-haystack"),
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_wheel_holds_the_package_its_licence_and_its_readme_and_nothing_else(
    folder: str, tmp_path: Path
) -> None:
    package, distribution = FOLDERS[folder]
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    done = subprocess.run(
        [*command, str(ROOT / "integrations" / folder)], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        told = message_from_string(wheel.read(metadata).decode("utf-8"))
    modules = [name for name in names if ".dist-info/" not in name]
    assert {f"{package}/__init__.py", f"{package}/py.typed"} <= set(modules)
    assert all(name.startswith(f"{package}/") for name in modules), "a namespace holds nothing of its own"
    sources = ROOT / "integrations" / folder / package
    assert {str(f.relative_to(sources)) for f in sources.rglob("*.py")} == {
        name.removeprefix(f"{package}/") for name in modules if name.endswith(".py")
    }
    assert any(name.endswith("LICENSE") for name in names)
    assert told["Name"] == distribution
    assert str(told.get_payload()).count("\n## ") >= 3, "the README says how to use it"
    assert any(str(need).startswith("ragguard>=") for need in told.get_all("Requires-Dist") or [])
