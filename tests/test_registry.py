"""Looking parts up by name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from ragguard import registry
from ragguard.alignment.guard import ConsistencyGuard
from ragguard.errors import ConfigurationError, InvalidValueError, UnknownNameError

PLUGIN = """
class Named:
    def __init__(self, *, name="named"):
        self.name = name
"""
ENTRIES = """
[ragguard.guards]
named = a_plugin_of_a_test:Named
lost = a_plugin_of_a_test:Nowhere
gone = no_module_of_this_name:Named
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A distribution of its own, as pip would install one."""
    (tmp_path / "a_plugin_of_a_test.py").write_text(PLUGIN, encoding="utf-8")
    info = tmp_path / "a_plugin_of_a_test-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: a-plugin-of-a-test\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    monkeypatch.syspath_prepend(str(tmp_path))
    registry._entries.cache_clear()
    yield
    registry._entries.cache_clear()
    sys.modules.pop("a_plugin_of_a_test", None)


def test_built_ins_come_through_the_same_door() -> None:
    guard = registry.create("ragguard.guards", "consistency", policy="redact")
    assert isinstance(guard, ConsistencyGuard)
    assert guard.policy == "redact"
    assert {"extractive", "smollm2"} <= set(registry.names("ragguard.generators"))


@pytest.mark.usefixtures("plugin")
def test_a_plugin_is_found_beside_them() -> None:
    assert {"named", "consistency"} <= set(registry.names("ragguard.guards"))
    assert registry.create("ragguard.guards", "named", name="x").name == "x"


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize("name", ["lost", "gone"])
def test_a_plugin_that_cannot_be_imported_is_a_configuration_error(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be imported"):
        registry.create("ragguard.guards", name)


@pytest.mark.usefixtures("plugin")
def test_a_package_cannot_slip_in_under_a_known_name(tmp_path: Path) -> None:
    info = tmp_path / "a_plugin_of_a_test-1.0.dist-info"
    (info / "entry_points.txt").write_text("[ragguard.guards]\nconsistency = a_plugin_of_a_test:Named\n")
    with pytest.raises(ConfigurationError, match="two packages register 'consistency'"):
        registry.create("ragguard.guards", "consistency")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="consistency"):
        registry.create("ragguard.guards", "no-such")
    with pytest.raises(UnknownNameError, match="none installed"):
        registry.create("ragguard.nothing", "no-such")


def test_options_that_do_not_fit_are_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="do not fit"):
        registry.create("ragguard.guards", "consistency", strictness=3)
    with pytest.raises(InvalidValueError, match="policy"):
        registry.create("ragguard.guards", "consistency", policy="shrug")
