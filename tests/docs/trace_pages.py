"""A how-to page as a list of things to do, each with what it says will come out."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragguard.build import build_pipeline
from ragguard.config import load_settings
from tests.cli.running import command

DOCS = Path(__file__).resolve().parents[2] / "docs"
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """One block: `kind` is "python", "console" or "settings"."""

    kind: str
    text: str
    output: str = ""


def steps(page: str) -> Iterator[Step]:
    """The page's blocks in order; a text block that follows Python is what it prints."""
    blocks = _FENCE.findall((DOCS / page).read_text(encoding="utf-8"))
    for place, (language, text) in enumerate(blocks):
        after = blocks[place + 1] if place + 1 < len(blocks) else ("", "")
        if language == "python":
            yield Step("python", text, after[1] if after[0] == "text" else "")
        elif language == "yaml":
            yield Step("settings", text)
        elif language == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                line, _, output = part.partition("\n")
                yield Step("console", line, output)


def follow(page: str) -> list[str]:
    """Do all that a page says, in the current folder; return what came out otherwise than it says."""
    wrong, code = [], 0
    names: dict[str, Any] = {"__name__": "__main__"}
    for step in steps(page):
        if step.kind == "settings":
            name = step.text.split("\n", 1)[0].removeprefix("# ")
            Path(name).write_text(step.text, encoding="utf-8")
            assert build_pipeline(load_settings(name), None).steps
            continue
        if step.text == "echo $?":
            said = f"{code}\n"
        elif step.kind == "python":
            said = _printed(step.text, names)
        else:
            code, said = _ran(step.text)
        if not _same(step.output, said):
            wrong.append(f"{step.text}\n--- should print\n{step.output}\n--- printed\n{said}")
    return wrong


def _printed(source: str, names: dict[str, Any]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(source, source.split("\n", 1)[0], "exec"), names)
    return out.getvalue()


def _ran(line: str) -> tuple[int, str]:
    words = shlex.split(line)
    if words[0] == "cat":
        return 0, "".join(Path(name).read_text(encoding="utf-8") for name in words[1:])
    assert words[0] == "ragguard", line
    done = command(*words[1:])
    return done.code, done.out + done.err


def _same(wanted: str, said: str) -> bool:
    # A page shortens by "...", at the ends of lines too.
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(wanted, said, flags)
