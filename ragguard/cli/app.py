"""The typer application, and how errors become exit codes.

Exit codes: 0 done, 1 a model gave nothing usable, 2 usage or configuration, 3 at
least one item failed, 4 no valid threshold, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from ragguard._version import __version__
from ragguard.cli import align, ask, calibrate, check, demo, evaluate, info, questions, rerank, serve, trace
from ragguard.errors import RagGuardError

app = typer.Typer(
    name="ragguard",
    help="A guard around any retriever and any generator, with a stated and measured bound.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("calibrate")(calibrate.calibrate)
app.command("ask")(ask.ask)
app.command("check")(check.check)
app.command("evaluate")(evaluate.evaluate)
app.add_typer(questions.app, name="questions")
app.add_typer(align.app, name="align")
app.add_typer(rerank.app, name="rerank")
app.add_typer(trace.app, name="trace")
app.command("serve")(serve.serve)
app.command("info")(info.info)
app.command("demo")(demo.demo)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Guard retrieval-augmented generation."""


def main() -> None:
    """Run the command line; every ragguard error becomes one line on stderr and an exit code."""
    # Models are local: nothing here may reach for a network.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        app()
    except RagGuardError as error:
        _complain(error.code, str(error))
        sys.exit(error.exit_code)
    except OSError as error:
        # Paths given on the command line that cannot be read or written.
        _complain("file", f"{error.filename or ''}: {error.strerror}")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _complain(code: str, message: str) -> None:
    # As text, not markup: ids and paths may hold square brackets.
    line = Text.assemble((code, "red"), f": {message}")
    Console(stderr=True).print(line, highlight=False, soft_wrap=True)
