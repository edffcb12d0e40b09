"""A structured answer as sentences that can be judged: prose as it stands, other values by their name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from ragguard.errors import UnknownNameError


def as_prose(answer: BaseModel, fields: Sequence[str] | None = None) -> str:
    """Return one line for every value of the answer: text as it stands, any other as "name: value".

    Args:
        answer: read only.
        fields: names of the outermost fields that are read; None reads all. What is not
            read is not judged.

    Raises:
        UnknownNameError: the answer has no field of that name.
    """
    values = {name: getattr(answer, name) for name in type(answer).model_fields}
    unknown = sorted(set(fields or ()) - set(values))
    if unknown:
        raise UnknownNameError(f"the answer has no fields {unknown}", hint=f"it has {sorted(values)}")
    chosen = values if fields is None else {name: values[name] for name in fields}
    return "\n".join(line for name, value in chosen.items() for line in _lines(name, value))


def _lines(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value.strip():
            yield value
    elif isinstance(value, BaseModel):
        for inner in type(value).model_fields:
            yield from _lines(inner, getattr(value, inner))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _lines(str(key), inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from _lines(name, inner)
    elif value is not None:
        yield f"{name.replace('_', ' ')}: {value}."
