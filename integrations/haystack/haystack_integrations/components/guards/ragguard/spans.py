"""Spans of Haystack's tracing around what the guards do; numbers and codes alone, never any text of a turn."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from haystack import tracing


def traced(operation: str, **numbers: float | str) -> AbstractContextManager[Any]:
    """Return a span under the component's own.

    Args:
        operation: its name, "ragguard.cut" for instance.
        numbers: its first tags, named without "ragguard.".
    """
    tracer = tracing.tracer
    tags = {f"ragguard.{name}": value for name, value in numbers.items()}
    span: AbstractContextManager[Any] = tracer.trace(operation, tags=tags, parent_span=tracer.current_span())
    return span
