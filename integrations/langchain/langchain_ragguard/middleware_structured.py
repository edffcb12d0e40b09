"""The text of a structured response that is judged: fields that were chosen, never JSON as prose."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from ragguard.errors import ConfigurationError


def judged_text(response: Any, fields: Sequence[str]) -> str:
    """Return the text of these fields, each on lines of its own.

    Args:
        response: a mapping, a dataclass or a pydantic model.
        fields: names; a dot leads into a field, and a list on the way is taken whole.

    Raises:
        ConfigurationError: the response has no such field, or it holds something else than text and numbers.
    """
    return "\n".join(text for name in fields for text in _texts(response, name.split("."), name))


def _texts(value: Any, path: Sequence[str], name: str) -> Iterator[str]:
    if isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part, path, name)
    elif path:
        yield from _texts(_member(value, path[0], name), path[1:], name)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)
    elif value is not None:
        raise ConfigurationError(
            f"structured field {name!r} holds a {type(value).__name__}, not text",
            hint='name the text within it, e.g. "answer.text"',
        )


def _member(value: Any, key: str, name: str) -> Any:
    if value is None:
        return None
    if isinstance(value, Mapping):
        known = key in value
    else:
        known = (isinstance(value, BaseModel) or dataclasses.is_dataclass(value)) and hasattr(value, key)
    if not known:
        raise ConfigurationError(
            f"the structured response has no field {name!r}", hint="structured_fields names its fields"
        )
    return value[key] if isinstance(value, Mapping) else getattr(value, key)
