"""Options of `ragguard trace` that take several files each, and what they name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from ragguard.errors import UnreadableFileError

_TAKE_SEVERAL = ("--deny", "--policy", "--trusted")

IndexArgument = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the trace index.")]
DenyOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--deny", metavar="FILE…", help='What must not be shown: JSONL {"id","text"}, text, folders.'
    ),
]
TrustedOption = Annotated[
    list[Path] | None,
    typer.Option("--trusted", metavar="FILE…", help="The knowledge base: what may be shown all the same."),
]
PolicyOption = Annotated[
    list[Path] | None,
    typer.Option("--policy", metavar="FILE…", help="YAML clauses that answers must not conflict with."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON line on stdout.")]


class TakesSeveral(TyperCommand):
    """A command whose `--deny a b c` is read as `--deny a --deny b --deny c`, so that a shell's `*` works."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Spell the options out, then read them as ever."""
        return super().parse_args(ctx, list(spelled_out(args)))


def spelled_out(args: Sequence[str]) -> Iterator[str]:
    """Yield arguments with the option repeated before each of its values."""
    option, values = "", 0
    for arg in args:
        if arg.startswith("-") and arg != "-":
            option, values = arg, 0
        elif option in _TAKE_SEVERAL:
            values += 1
            if values > 1:
                yield option
        yield arg


@contextmanager
def private(folder: Path | None = None) -> Iterator[None]:
    """What is written within is for its owner alone, and so is the folder: it holds what must not be shown."""
    before = os.umask(0o077)
    try:
        if folder is not None and folder.is_dir():
            folder.chmod(0o700)
        yield
    finally:
        os.umask(before)


def require_there(paths: Sequence[Path]) -> None:
    """Return when every path exists, before any of them is read.

    Raises:
        UnreadableFileError: naming the first that does not.
    """
    for path in paths:
        if not path.exists():
            raise UnreadableFileError(f"there is no file {path}", hint="check the path")
