"""Which fields of a structured answer hold its text, told from the schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ragguard.errors import ConfigurationError

_WORDLESS = frozenset({"integer", "number", "boolean", "null"})


def text_fields(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the fields that hold text; one that holds a choice of the schema's does not.

    Args:
        parameters: of the tool that the answer is given through, as JSON schema.

    Raises:
        ConfigurationError: text may stand within a field, where it cannot be judged by the field's name.
    """
    fields = parameters.get("properties")
    if not isinstance(fields, Mapping) or parameters.get("additionalProperties"):
        raise ConfigurationError(
            "the schema does not name the fields of a structured answer", hint="judge=[...] names them"
        )
    return tuple(name for name, schema in fields.items() if _is_text(name, schema))


def _is_text(name: str, schema: Any) -> bool:
    kinds = set(_kinds(schema))
    if kinds - _WORDLESS - {"string"}:
        raise ConfigurationError(
            f"the field {name!r} of the structured answer may hold text within",
            hint="judge=[...] names the fields to judge; the others pass unjudged",
        )
    return "string" in kinds


def _kinds(schema: Any) -> Iterator[str]:
    """The JSON types that a value may have; "unknown" where the schema does not say."""
    if not isinstance(schema, Mapping):
        yield "unknown"
    elif "enum" in schema or "const" in schema:
        yield "null"
    elif any(key in schema for key in ("anyOf", "oneOf", "allOf")):
        for key in ("anyOf", "oneOf", "allOf"):
            for one in schema.get(key, ()):
                yield from _kinds(one)
    elif schema.get("type") == "array" and "items" in schema:
        # A list of numbers holds no words; of anything else, it is for the caller to say.
        yield "null" if set(_kinds(schema["items"])) <= _WORDLESS else "array"
    else:
        found = schema.get("type", "unknown")
        yield from [found] if isinstance(found, str) else found
