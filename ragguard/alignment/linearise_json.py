"""JSON as sentences: one for each object, "name: Cafe; hours Monday: 8-17.", with every value's place.

The standard parser says whether it is JSON; a scan over its tokens then says
where each value stands. Objects in a list are rows of their own, under the name
of the list; an object in an object adds its name to those of its fields.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ragguard.alignment.linearise_writer import Writer

_Range = tuple[int, int]
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_FENCED = re.compile(r"\s*```(?:json|jsonl)?[ \t]*\n(?P<body>.*?)\n[ \t]*```\s*", re.DOTALL)
_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4})+|\\.", re.DOTALL)
_DEEPEST = 24
_MOST_CHARACTERS = 2_000_000
_STOPS = ".!?。！？"


@dataclass
class _Row:
    """Fields of one object in order: the names that lead to a value, and where the value stands."""

    fields: list[tuple[tuple[_Range, ...], _Range]] = field(default_factory=list)


def write_json(text: str, writer: Writer) -> bool:
    """Append one sentence an object and return True, or False where the passage is not JSON worth reading so."""
    start, end = _body(text)
    if text[start : start + 1] not in ("{", "[") or end - start > _MOST_CHARACTERS:
        return False
    if not _is_json(text[start:end]):
        return False
    rows = _rows(text, start, end)
    if rows is None or not any(names for row in rows for names, _ in row.fields):
        return False
    _write(text, rows, writer)
    return True


def _body(text: str) -> _Range:
    fenced = _FENCED.fullmatch(text)
    start, end = fenced.span("body") if fenced else (0, len(text))
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())


def _is_json(text: str) -> bool:
    """Whether it is one JSON value, or one a line."""
    for lines in ([text], text.splitlines()):
        try:
            for line in lines:
                if line.strip():
                    json.loads(line, parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            continue
        return True
    return False


def _rows(text: str, start: int, end: int) -> list[_Row] | None:
    """The objects, outermost first within each value; None where they nest too deep.

    `open_` holds, for each bracket that is open, what it is, the row its fields go
    to, and the names that lead to it. No recursion: hostile nesting ends in None.
    """
    rows: list[_Row] = []
    open_: list[tuple[str, _Row, tuple[_Range, ...]]] = []
    name: _Range | None = None
    tokens = [m.span() for m in _TOKEN.finditer(text, start, end)]
    for place, (a, b) in enumerate(tokens):
        sign = text[a]
        kind, row, path = open_[-1] if open_ else ("", _Row(), ())
        here = path if name is None else (*path, name)
        if sign in "{[":
            if len(open_) >= _DEEPEST:
                return None
            if not open_ or (sign == "{" and kind == "["):
                row = _Row()
                rows.append(row)
            if text[tokens[place + 1][0]] in "}]":  # empty, but its name is read
                row.fields.append((here, (b, b)))
            open_.append((sign, row, here))
            name = None
        elif sign in "}]":
            open_.pop()
            name = None
        elif sign == ":":
            continue
        elif sign == ",":
            name = None
        elif kind == "{" and name is None and text[tokens[place + 1][0]] == ":":
            name = (a + 1, b - 1)
        else:
            row.fields.append((here, (a + 1, b - 1) if sign == '"' else (a, b)))
            name = None
    return rows


def _write(text: str, rows: list[_Row], writer: Writer) -> None:
    """Rows are written in the order of the passage, except that a row's later fields stay with it."""
    read: list[_Range] = []
    for row in rows:
        if writer.length and not writer.ends_with("\n"):
            writer.glue("\n")
        first, before = writer.length, None
        for names, (start, end) in row.fields:
            if writer.length > first:
                writer.glue(", " if names == before else "; ")
            if names != before:
                for place, (a, b) in enumerate(names):
                    writer.glue(" " if place else "")
                    writer.copy(a, b, role="label", words=text[a:b].replace("_", " "))
                    read.append((a, b))
                writer.glue(": " if names else "")
            before = names
            _write_value(text, start, end, writer)
            read.append((start, end))
        if writer.length > first:
            writer.glue("." if not writer.ends_with(_STOPS) else "")
            writer.unit(first)
    for a, b in _gaps(sorted(read), len(text)):
        writer.glue("", a, b)


def _write_value(text: str, start: int, end: int, writer: Writer) -> None:
    written = start
    for found in _ESCAPES.finditer(text, start, end):
        writer.copy(written, found.start())
        writer.copy(*found.span(), words=json.loads(f'"{found.group()}"'))
        written = found.end()
    writer.copy(written, end)


def _gaps(read: list[_Range], end: int) -> Iterator[_Range]:
    at = 0
    for a, b in read:
        if a > at:
            yield at, a
        at = max(at, b)
    if end > at:
        yield at, end
