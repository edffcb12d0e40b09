"""What the cut found out while one query ran, handed to the engine that judges its answer.

A query engine calls its postprocessors somewhere inside; what they return is nodes
and nothing else. The reports travel beside them, in the context of the one query:
queries that run at the same time do not see each other's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ragguard.types import Report

_reports: ContextVar[list[Report] | None] = ContextVar("llama_index_ragguard_reports", default=None)


@contextmanager
def noted_reports() -> Iterator[list[Report]]:
    """Collect the reports of the retrievals inside the block; threads and tasks it starts add to it too."""
    found: list[Report] = []
    token = _reports.set(found)
    try:
        yield found
    finally:
        _reports.reset(token)


def note_report(report: Report) -> None:
    """Tell the engine around this retrieval, if there is one."""
    found = _reports.get()
    if found is not None:
        found.append(report)
