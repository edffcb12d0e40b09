"""Tables and JSON as sentences: "Product: X; Price: 5." for each row, with a way back to the cells.

A model that was trained on prose reads a bare cell without its column's name, and
a chunk border parts a row from its header. A passage in which no table and no
JSON is found, or one that is broken, too deep or too large, is read as it stands.
"""

from __future__ import annotations

from dataclasses import replace

from ragguard.alignment.linearise_json import write_json
from ragguard.alignment.linearise_tables import Table, find_tables, write_table
from ragguard.alignment.linearise_writer import Piece, Reading, Writer
from ragguard.text.sentences import sentence_spans

_LONG_ROW = 400

__all__ = ["Piece", "Reading", "linearise"]


def linearise(text: str) -> Reading:
    r"""Return what is read of a passage.

    Prose is read verbatim, sentence by sentence. Markdown tables, blocks of
    tab-, semicolon- or comma-separated lines, JSON and JSON lines are read row by
    row, each cell after its column's name.

    Example:
        >>> linearise("| Drug | Dose |\n|---|---|\n| A | 5 mg |").text
        'Drug: A; Dose: 5 mg.'
    """
    writer = Writer(text)
    if write_json(text, writer):
        return _refined(writer.reading())
    written = 0
    writer = Writer(text)
    for table in find_tables(text):
        _write_prose(text, writer, written, table.start)
        _write_table(text, table, writer)
        written = table.end
    _write_prose(text, writer, written, len(text))
    return _refined(writer.reading())


def _refined(reading: Reading) -> Reading:
    """The same with long rows (a review in a field) as their sentences."""
    units: list[tuple[int, int]] = []
    for start, end in reading.units:
        inner = sentence_spans(reading.text[start:end]) if end - start > _LONG_ROW else [(0, end - start)]
        units.extend((start + a, start + b) for a, b in inner)
    return replace(reading, units=tuple(units))


def _write_table(text: str, table: Table, writer: Writer) -> None:
    if writer.length and not writer.ends_with("\n"):
        writer.glue("\n")
    write_table(text, table, writer)


def _write_prose(text: str, writer: Writer, start: int, end: int) -> None:
    if start and not text[start:end].strip():
        return
    if start:
        writer.glue("\n")
    before = writer.length
    writer.copy(start, end)
    for first, last in sentence_spans(text[start:end]):
        writer.unit(before + first, before + last)
