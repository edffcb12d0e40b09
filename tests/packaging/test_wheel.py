"""What a user installs: built from the sources, looked into, and run away from them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = {"ragguard"}
MUST_SHIP = (
    r"ragguard/py\.typed",
    r"ragguard/schemas/report-\d+\.json",
    r"ragguard/corpus/data/[^/]+\.jsonl",
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# Run by the installed wheel's Python, outside the repository: a whole loop, without a model.
LOOP = """
import ragguard
from ragguard.guard import Guard

TEXTS = {f"record-{i}": f"The value of item{i} is {i * i}" for i in range(40)}

def retriever(question):
    words = set(question.strip("?").split())
    shared = {key: len(words & set(text.split())) / len(words) for key, text in TEXTS.items()}
    best = sorted(shared, key=shared.get, reverse=True)[:10]
    return [{"id": key, "text": TEXTS[key], "score": shared[key]} for key in best]

questions = [
    {"id": key, "question": f"What is The value of item{i}?", "relevant": [key]} for i, key in enumerate(TEXTS)
]
guard = Guard.calibrate(
    retriever,
    questions,
    alpha=0.1,
    score="gap",
    serve={"generator": lambda question, passages: passages[0].text + "."},
)
answered = guard.answer("What is The value of item7?")
refused = guard.answer("Who painted the Mona Lisa?")
print(ragguard.__file__)
print(answered.text)
print(refused.released, refused.reason.value)
print(ragguard.__version__)
"""


def run(command: Sequence[str | Path], cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel built from that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT], cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the wheel, and this one's other packages.

    A path in a .pth file is searched, but the .pth files found there are not read:
    so the repository itself, which this environment knows by such a file, stays unknown.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    scheme = {"base": str(folder), "platbase": str(folder)}
    site_packages = Path(sysconfig.get_path("purelib", "venv", vars=scheme))
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
    ]
    run([*pip, "--disable-pip-version-check", "--force-reinstall", wheel], cwd=folder)
    return python


def test_the_wheel_carries_its_data(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for pattern in MUST_SHIP:
        assert any(re.fullmatch(pattern, name) for name in names), pattern
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_wheel_carries_nothing_but_the_library(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == OURS
    assert [name for name in names if re.search(r"(^|/)(tests?|benchmarks)(/|_)|\.pyc$", name)] == []


def test_every_file_of_the_library_is_in_the_wheel(wheel: Path) -> None:
    files = (path for path in (ROOT / "ragguard").rglob("*") if path.is_file() and path.suffix != ".pyc")
    ours = {path.relative_to(ROOT).as_posix() for path in files}
    assert ours - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_the_sdist_can_be_tested(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"conftest.py", "tests/allowed_skips.txt", "LICENSE", "CHANGELOG.md", "pyproject.toml"} <= names


def test_the_wheel_runs_away_from_the_repository(installed: Path, tmp_path: Path) -> None:
    where, answered, refused, version = run([installed, "-I", "-c", LOOP], cwd=tmp_path).splitlines()
    assert Path(where).is_relative_to(installed.parents[1])
    assert answered == "The value of item7 is 49."
    assert refused == "False no_evidence"
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", version)
