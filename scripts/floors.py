"""Print one constraint a direct dependency: the lowest version that we declare.

Usage: python scripts/floors.py > constraints.txt

`make slow` installs these versions and runs the tests on them, so a declared
floor is one that was tried. Needs nothing but the standard library.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# torch is chosen by the Makefile's TORCH, so that no build with CUDA is ever resolved.
CHOSEN_ELSEWHERE = {"torch"}
RUNTIME_EXTRAS = ("smollm", "onnx", "openvino", "infini-gram", "bm25", "server", "middleware")
REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^]]*\])?\s*>=\s*(?P<floor>[0-9][\w.]*)")


class MissingFloorError(Exception):
    """A dependency is declared without a lowest version."""


def requirements(project: Path) -> Iterator[str]:
    """Yield what a project needs when it runs; development tools are not among it."""
    table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    yield from table.get("dependencies", ())
    for extra in RUNTIME_EXTRAS:
        yield from table.get("optional-dependencies", {}).get(extra, ())


def floors(projects: list[Path]) -> dict[str, str]:
    """Map each direct dependency to its declared floor.

    Raises:
        MissingFloorError: a dependency states no `>=`.
    """
    ours = {tomllib.loads(path.read_text(encoding="utf-8"))["project"]["name"] for path in projects}
    found: dict[str, str] = {}
    for requirement in (line for path in projects for line in requirements(path)):
        match = REQUIREMENT.match(requirement)
        if match is None:
            raise MissingFloorError(f"{requirement!r} declares no lowest version")
        if match["name"] not in ours | CHOSEN_ELSEWHERE:
            found[match["name"]] = match["floor"]
    return found


def main() -> None:
    """Write the constraints to standard output, sorted."""
    projects = [ROOT / "pyproject.toml", *sorted(ROOT.glob("integrations/*/pyproject.toml"))]
    sys.stdout.writelines(f"{name}=={floor}\n" for name, floor in sorted(floors(projects).items()))


if __name__ == "__main__":
    main()
