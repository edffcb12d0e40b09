"""`--brief` leaves out the tests of `tests/longer.txt`, so that a change can be checked within two minutes.

Each line of the list names a test without its parameters. One that names no test any more is an error:
a list that nothing holds against the tests would leave out ever less, unseen.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

LONGER = Path(__file__).resolve().parents[1] / "longer.txt"


def read_names(path: Path = LONGER) -> list[str]:
    """The tests of the list."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def function_of(nodeid: str) -> str:
    """The name of a test without its parameters."""
    return nodeid.partition("[")[0]


def unknown(names: Sequence[str], collected: Sequence[str]) -> list[str]:
    """Entries whose file was collected, and which name no test in it."""
    known = {function_of(nodeid) for nodeid in collected}
    files = {nodeid.partition("::")[0] for nodeid in known}
    return [name for name in names if name.partition("::")[0] in files and name not in known]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--brief", action="store_true", help="without the tests of tests/longer.txt")


@pytest.hookimpl(tryfirst=True)  # before `-m` takes the slow ones away
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--brief"):
        return
    names = read_names()
    whole = not any("::" in str(argument) for argument in config.args)
    if whole and (gone := unknown(names, [item.nodeid for item in items])):
        raise pytest.UsageError(f"{LONGER.name} names tests that are not there: {', '.join(gone)}")
    longer = [item for item in items if function_of(item.nodeid) in set(names)]
    items[:] = [item for item in items if item not in longer]
    config.hook.pytest_deselected(items=longer)
