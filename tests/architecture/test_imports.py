from __future__ import annotations

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    "faiss",
    "fastapi",
    "haystack",
    "langchain",
    "langchain_core",
    "langgraph",
    "llama_index",
    "sentence_transformers",
    "torch",
    "transformers",
    "typer",
)
PURE = (
    "artifacts",
    "config",
    "conformal",
    "errors",
    "judgement",
    "pipeline",
    "protocols",
    "registry",
    "stream",
    "text",
    "types",
    "withheld",
    "worker",
)
SPECS = [importlib.util.find_spec(f"ragguard.{name}") for name in PURE]
EXISTING = [spec.name for spec in SPECS if spec is not None and spec.origin]


def run_python(source: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, cwd=ROOT
    )


@pytest.mark.parametrize("module", ["ragguard", *EXISTING])
def test_importing_the_core_loads_no_framework(module: str) -> None:
    loaded = f"sorted(set({HEAVY!r}) & {{name.partition('.')[0] for name in sys.modules}})"
    done = run_python(f"import sys, {module}; print(*{loaded})")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_imports_point_down_only() -> None:
    source = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = run_python(source)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_contract_names_every_pure_module_that_exists() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (pure,) = (contract for contract in settings["contracts"] if contract["id"] == "pure")
    assert sorted(pure["source_modules"]) == EXISTING, "complete the contract in pyproject.toml"
    assert sorted(pure["forbidden_modules"]) == sorted(HEAVY)
