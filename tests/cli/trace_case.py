"""Corpora written for tests of `ragguard trace`, and a way to run its commands in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.cli.running import Done, command, lines_of

SECRET = "The spare key of the harbour office lies under the third grey stone behind the well."
HANDBOOK = f"Handbook of the harbour. {SECRET} Whoever finds it gone tells the night porter at once."
PUBLIC = "The harbour office opens at nine. Boats longer than twelve metres need a pilot."


def run(*args: Any, stdin: bytes = b"") -> Done:
    """Run `ragguard trace ...` here, as its entry point does."""
    return command("trace", *args, stdin=stdin)


def write_corpora(folder: Path) -> None:
    """Write deny.jsonl, trusted.txt and policy.yaml."""
    (folder / "deny.jsonl").write_bytes(lines_of([{"id": "handbook", "text": HANDBOOK}]))
    (folder / "trusted.txt").write_text(PUBLIC, encoding="utf-8")
    (folder / "policy.yaml").write_text(
        "clauses:\n  - {id: no-pilotage, text: We never tell a captain how to steer., severity: 0.8}\n",
        encoding="utf-8",
    )


def built(folder: Path, *options: Any) -> Path:
    """Write the corpora and build an index of them; return its folder."""
    write_corpora(folder)
    given = options or (
        "--deny", folder / "deny.jsonl", "--policy", folder / "policy.yaml", "--trusted", folder / "trusted.txt",
    )  # fmt: skip
    done = run("build", *given, "--out", folder / "traces", "--json")
    assert (done.code, done.err) == (0, "")
    return folder / "traces"
