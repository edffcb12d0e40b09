"""What a docstring or a table says of the code is what the code does."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from pathlib import Path

import pytest

from ragguard import errors
from ragguard.errors import RagGuardError
from ragguard.types import Reason

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENTRY_POINTS = sorted(
    {target for group in PROJECT.get("entry-points", {}).values() for target in group.values()}
    | set(PROJECT.get("scripts", {}).values())
)
BRANCH = re.compile(r"^(?P<indent>[│ ]*)(?:[├└]── )?(?P<name>[A-Z]\w+)")


def drawn_tree() -> dict[str, str | None]:
    """Each class of the docstring's drawing, and the class it hangs from."""
    lines = (inspect.getdoc(errors) or "").splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip() == "RagGuardError")
    parents: dict[str, str | None] = {}
    above: list[str] = []
    for line in lines[start:]:
        match = BRANCH.match(line[4:])
        if match is None:
            break
        depth = 0 if match["name"] == "RagGuardError" else len(match["indent"]) // 4 + 1
        del above[depth:]
        parents[match["name"]] = above[-1] if above else None
        above.append(match["name"])
    return parents


def defined() -> dict[str, type[RagGuardError]]:
    members = vars(errors).values()
    return {c.__name__: c for c in members if isinstance(c, type) and issubclass(c, RagGuardError)}


def test_the_drawn_error_tree_is_the_real_one() -> None:
    real = {name: None if c is RagGuardError else c.__bases__[0].__name__ for name, c in defined().items()}
    assert drawn_tree() == real


def test_error_codes_are_unique_and_stable_in_form() -> None:
    codes = [c.code for c in defined().values()]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z][a-z_]*", code) for code in codes)


def test_the_drawn_exit_codes_are_the_real_ones() -> None:
    drawn = re.findall(r"([A-Z]\w+Error) .*\(exit (\d)\)", inspect.getdoc(errors) or "")
    assert drawn
    assert {name: int(code) for name, code in drawn} == {name: defined()[name].exit_code for name, _ in drawn}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_one_sentence(reason: Reason) -> None:
    assert re.fullmatch(r"[A-Z][^.]*\.", reason.sentence)


@pytest.mark.parametrize("target", ENTRY_POINTS)
def test_every_declared_entry_point_exists(target: str) -> None:
    module, _, name = target.partition(":")
    base = ROOT / Path(*module.split("."))
    path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    assert name in top_level_names(ast.parse(path.read_text(encoding="utf-8")))


def top_level_names(tree: ast.Module) -> set[str]:
    """What a module defines or imports; read, not imported, since some of it loads a model."""
    found = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return found | {alias.asname or alias.name for node in imports for alias in node.names}
