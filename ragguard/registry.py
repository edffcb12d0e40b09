"""Looking things up by name, through entry points; built-ins come through the same door as plugins."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from ragguard.errors import ConfigurationError, UnknownNameError

GROUPS = ("ragguard.guards", "ragguard.generators", "ragguard.aligners")
"""What can be plugged in; each entry point names a callable that builds one from keyword options."""


def names(group: str) -> list[str]:
    """Return the names registered in a group, sorted."""
    return sorted(_entries(group))


def create(group: str, name: str, /, **options: Any) -> Any:
    """Build what is registered under a name, with the given options.

    Raises:
        UnknownNameError: nothing of that name is registered; the known names are listed.
        ConfigurationError: the options do not fit, the plugin cannot be imported, or two
            packages claim the name.
    """
    entries = _entries(group)
    if name not in entries:
        raise UnknownNameError(
            f"nothing named {name!r} in {group}",
            hint=f"one of {', '.join(sorted(entries)) or 'none installed'}",
        )
    try:
        factory = entries[name].load()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"{group} {name!r} cannot be imported: {error}") from error
    try:
        return factory(**options)
    except TypeError as error:
        raise ConfigurationError(f"options {sorted(options)} do not fit {group} {name!r}: {error}") from error


@cache
def _entries(group: str) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=group):
        # One package found twice on the path is no quarrel; another one must not slip in under a known name.
        if found.setdefault(entry.name, entry).value != entry.value:
            raise ConfigurationError(
                f"two packages register {entry.name!r} in {group}: {found[entry.name].value} and {entry.value}",
                hint="uninstall one",
            )
    return found
