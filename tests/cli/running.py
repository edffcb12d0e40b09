"""Runs a command in this process, as its entry point does."""

from __future__ import annotations

import io
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from ragguard.cli import main


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """The JSON objects of stdout, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def body(self) -> Any:
        """The one JSON object that stdout holds."""
        (found,) = self.lines
        return found


def command(*args: Any, stdin: bytes = b"") -> Done:
    """Run `ragguard ...` and return how it ended."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["ragguard", *map(str, args)])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


@contextmanager
def listening_to_ctrl_c() -> Iterator[None]:
    """Let what is started inside hear SIGINT, though the tests themselves may have been told to ignore it.

    A shell starts what runs in the background so, and it is inherited.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def lines_of(records: Sequence[Any]) -> bytes:
    """JSON Lines of the records."""
    return "".join(json.dumps(record) + "\n" for record in records).encode()
