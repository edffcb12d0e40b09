"""`ragguard trace`: registered corpora, and what is traced to them."""

from __future__ import annotations

import typer

from ragguard.cli import trace_build, trace_calibrate, trace_export, trace_scan
from ragguard.cli.trace_options import TakesSeveral

app = typer.Typer(
    help="Register corpora, and trace answers, questions and passages to them.", no_args_is_help=True
)
app.command("build", cls=TakesSeveral)(trace_build.build)
app.command("add", cls=TakesSeveral)(trace_build.add)
app.command("compact")(trace_build.compact)
app.command("info")(trace_build.info)
app.command("calibrate")(trace_calibrate.calibrate)
app.command("scan")(trace_scan.scan)
app.command("export")(trace_export.export)
