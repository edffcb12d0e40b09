from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import ragguard

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "ragguard",
    "integrations/langchain/langchain_ragguard",
    "integrations/llama_index/llama_index_ragguard",
    "integrations/haystack/haystack_integrations",
)
LIBRARY = sorted(path for package in PACKAGES for path in ROOT.glob(f"{package}/**/*.py"))
NAMES = [str(path.relative_to(ROOT)) for path in LIBRARY]
LONGEST = 400
SAYS_NOTHING = {"common", "helpers", "misc", "utils"}
# Each loads or runs what a file says: none of it is ever needed.
UNSAFE_MODULES = {"cPickle", "cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
UNSAFE_CALLS = {"eval", "exec", "numpy.loads", "os.system", "yaml.full_load", "yaml.load", "yaml.unsafe_load"}


def dotted(node: ast.expr) -> str:
    """`a.b.c` of a chain of attributes, or "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    return ((dotted(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call))


def given(call: ast.Call, keyword: str) -> object:
    values = [item.value for item in call.keywords if item.arg == keyword]
    return values[0].value if values and isinstance(values[0], ast.Constant) else None


def offences(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    yield from (f"imports {name}" for name in set(imported(tree)) & UNSAFE_MODULES)
    for name, call in calls(tree):
        line = call.lineno
        if name in UNSAFE_CALLS:
            yield f"line {line}: calls {name}"
        if name == "print" and "cli" not in path.parts:
            yield f"line {line}: prints"
        if name == "torch.load" and given(call, "weights_only") is not True:
            yield f"line {line}: torch.load without weights_only=True"
        if given(call, "allow_pickle") is True or given(call, "trust_remote_code") is True:
            yield f"line {line}: lets a file run code"


def undocumented(tree: ast.Module) -> Iterator[str]:
    says_something = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Import, ast.ImportFrom)
    if any(isinstance(node, says_something) for node in tree.body) and not ast.get_docstring(tree):
        yield "the module"
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if not node.name.startswith("_") and not ast.get_docstring(node):
                yield node.name


@pytest.mark.parametrize("path", LIBRARY, ids=NAMES)
def test_a_module_prints_nothing_and_runs_no_data(path: Path) -> None:
    assert list(offences(path)) == []


@pytest.mark.parametrize("path", LIBRARY, ids=NAMES)
def test_everything_public_says_what_it_promises(path: Path) -> None:
    assert list(undocumented(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("path", LIBRARY, ids=NAMES)
def test_a_module_holds_one_idea(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST, "which second idea moved in?"
    assert path.stem not in SAYS_NOTHING


def test_every_exported_name_resolves_and_is_documented() -> None:
    exported = list(getattr(ragguard, "__all__", []))
    for name in exported:
        value = getattr(ragguard, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            assert inspect.getdoc(value), name
    assert len(set(exported)) == len(exported)


def test_every_folder_of_modules_is_a_package() -> None:
    """Without `__init__.py` a folder still imports, but import-linter and the docs pass it over."""
    folders = {path.parent for path in LIBRARY}
    assert [
        str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").exists()
    ] == []
