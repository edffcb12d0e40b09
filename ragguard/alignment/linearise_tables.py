"""Tables in a passage: where they stand, their cells, and each row as a sentence.

A Markdown table is known by the rule under its header. Lines of separated values
have none, so more is asked of them: one separator, as many cells in each line,
and a first line of names. Prose whose lines happen to hold a comma each is prose.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ragguard.alignment.linearise_writer import Writer

_Range = tuple[int, int]
# Possessive throughout: a line of dashes or blanks is read once.
_DASHES = r"[ \t]*+:?+-{2,}+:?+[ \t]*+"
_RULE = re.compile(rf"[ \t]*+\|?+{_DASHES}(?:\|{_DASHES})*+\|?+[ \t]*+")
_BAR = re.compile(r"(?<!\\)\|")
_NAME = re.compile(r"[^\W\d_][^\n.!?;:]{0,39}")
_FIGURE = re.compile(r"[-+$€£¥]?\s?\d[\d.,: /-]*\s?[%\w°€]{0,4}")
_SEPARATORS = ("\t", ";", ",")
_LEAST_ROWS = 2
_MOST_COLUMNS = 200
_STOPS = ".!?。！？"


@dataclass(frozen=True, slots=True)
class Table:
    """A table's place in the passage; cells are ranges of it, without white space at their ends.

    Attributes:
        signs: ranges between the cells (separators, the rule), in order.
    """

    start: int
    end: int
    header: tuple[_Range, ...]
    rows: tuple[tuple[_Range, ...], ...]


def find_tables(text: str) -> list[Table]:
    """Return the tables of a passage, in order, without overlap."""
    lines = [(m.start(), m.end()) for m in re.finditer(r"[^\r\n]+", text)]
    tables, at = [], 0
    while at < len(lines) - 1:
        taken, header, rows = _ruled(text, lines, at) or _separated(text, lines, at) or (0, (), [])
        if rows:
            tables.append(Table(lines[at][0], lines[at + taken - 1][1], tuple(header), tuple(rows)))
        at += taken or 1
    return tables


def write_table(text: str, table: Table, writer: Writer) -> None:
    """Append one sentence a row; a column that is empty throughout is named in the first row."""
    empty = {c for c in range(len(table.header)) if not any(_has(row, c) for row in table.rows)}
    written = table.start
    for place, row in enumerate(table.rows):
        first = writer.length
        for column, (start, end) in enumerate(row):
            if end <= start and not (place == 0 and column in empty):
                continue
            joint = "; " if writer.length > first else ""
            for a, b in _between(written, start, table.header if place == 0 else ()):
                writer.glue("", a, b)
            writer.glue(joint)
            if column < len(table.header) and table.header[column][1] > table.header[column][0]:
                writer.copy(*table.header[column], role="label")
                writer.glue(": ")
            writer.copy(start, end)
            written = max(written, end)
        if writer.length > first:
            writer.glue("" if writer.ends_with(_STOPS) else ".")
            writer.unit(first)
            writer.glue("\n" if place + 1 < len(table.rows) else "")
    writer.glue("", written, table.end)


def _has(row: Sequence[_Range], column: int) -> bool:
    return column < len(row) and row[column][1] > row[column][0]


def _between(start: int, end: int, holes: Sequence[_Range]) -> Iterator[_Range]:
    """The range less the header's cells, which are read as labels and not as signs."""
    for a, b in holes:
        if start <= a < end:
            yield start, a
            start = b
    if end > start:
        yield start, end


def _ruled(
    text: str, lines: Sequence[_Range], at: int
) -> tuple[int, list[_Range], list[tuple[_Range, ...]]] | None:
    if not _bars(text, *lines[at]) or _RULE.fullmatch(text, *lines[at + 1]) is None:
        return None
    header = _bar_cells(text, *lines[at])
    if len(header) != len(_bar_cells(text, *lines[at + 1])) or not any(b > a for a, b in header):
        return None
    rows = []
    for place in range(at + 2, len(lines)):
        if not _bars(text, *lines[place]) or not _adjoin(text, lines, place) or len(header) > _MOST_COLUMNS:
            break
        cells = _bar_cells(text, *lines[place])
        missing = [(cells[-1][1],) * 2] * (len(header) - len(cells))
        rows.append((*cells, *missing))
    filled = any(b > a for row in rows for a, b in row)
    return (2 + len(rows), header, rows) if filled else None


def _bars(text: str, start: int, end: int) -> bool:
    return "|" in text[start:end]


def _adjoin(text: str, lines: Sequence[_Range], place: int) -> bool:
    """Whether no blank line parts it from the line before."""
    return text[lines[place - 1][1] : lines[place][0]] in ("\n", "\r\n", "\r")


def _bar_cells(text: str, start: int, end: int) -> list[_Range]:
    start, end = _trim(text, start, end)
    if end > start and text[start] == "|":
        start += 1
    if end > start and text[end - 1] == "|" and text[end - 2 : end - 1] != "\\":
        end -= 1
    cuts = [m.start() for m in _BAR.finditer(text, start, end)]
    return [_trim(text, a, b) for a, b in zip([start, *(c + 1 for c in cuts)], [*cuts, end], strict=True)]


def _separated(
    text: str, lines: Sequence[_Range], at: int
) -> tuple[int, list[_Range], list[tuple[_Range, ...]]] | None:
    """Lines taken, header and rows; no rows where the lines read are prose, so that none is read twice."""
    first = text[slice(*lines[at])]
    for sign in _SEPARATORS:
        header = _split_cells(text, *lines[at], sign) if sign in first else []
        if not 2 <= len(header) <= _MOST_COLUMNS or not _are_names([text[a:b] for a, b in header]):
            continue
        rows = []
        for place in range(at + 1, len(lines)):
            cells = _split_cells(text, *lines[place], sign) if _adjoin(text, lines, place) else []
            if len(cells) != len(header):
                break
            rows.append(tuple(cells))
        is_table = len(rows) >= _LEAST_ROWS and (sign == "\t" or _holds_data(text, rows))
        return (1 + len(rows), header, rows) if is_table else (max(1, len(rows)), header, [])
    return None


def _split_cells(text: str, start: int, end: int, sign: str) -> list[_Range]:
    cells, begin, quoted = [], start, False
    for place in range(start, end):
        ch = text[place]
        if ch == '"' and sign != "\t":
            quoted = not quoted
        elif ch == sign and not quoted:
            cells.append(_unquoted(text, begin, place))
            begin = place + 1
    cells.append(_unquoted(text, begin, end))
    return cells


def _unquoted(text: str, start: int, end: int) -> _Range:
    start, end = _trim(text, start, end)
    if end - start >= 2 and text[start] == text[end - 1] == '"':
        return _trim(text, start + 1, end - 1)
    return start, end


def _are_names(names: Sequence[str]) -> bool:
    if len({name.lower() for name in names}) != len(names):
        return False
    return all(_NAME.fullmatch(name) and len(name.split()) <= 4 for name in names)


def _holds_data(text: str, rows: Sequence[Sequence[_Range]]) -> bool:
    """Whether some column holds nothing but figures: what tells a table from lines of prose."""
    for column in zip(*rows, strict=True):
        cells = [text[a:b] for a, b in column if b > a]
        if cells and all(_FIGURE.fullmatch(cell) for cell in cells):
            return True
    return False


def _trim(text: str, start: int, end: int) -> _Range:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
