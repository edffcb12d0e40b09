"""Tables and JSON read row by row, and prose as it stands."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard.alignment.linearise import Reading, linearise


def source_of(text: str, reading: Reading, words: str) -> list[str]:
    """The characters of the passage behind the first place at which `words` is read."""
    start = reading.text.index(words)
    end = start + len(words)
    return [
        text[p.source_start : p.source_end]
        for p in reading.pieces
        if p.start < end and p.end > start and p.role != "glue"
    ]


def unseen(text: str, reading: Reading) -> str:
    seen = {i for p in reading.pieces for i in range(p.source_start, p.source_end)}
    return "".join(ch for i, ch in enumerate(text) if i not in seen and not ch.isspace())


ROWS = [
    (
        "| Drug | Dose |\n|---|---|\n| A | 5 mg |\n| B | 6 mg |",
        ["Drug: A; Dose: 5 mg.", "Drug: B; Dose: 6 mg."],
    ),
    ("Drug | Dose\n--- | :---:\nA | 5 mg", ["Drug: A; Dose: 5 mg."]),
    ("| A | B |\n|---|---|\n| x \\| y | |", ["A: x \\| y; B: ."]),
    ("| A | B |\n|---|---|\n| 1 |\n| 1 | 2 | 3 |", ["A: 1.", "A: 1; B: 2; 3."]),
    ("Name\tAge\nBo\t5\nAl\t6", ["Name: Bo; Age: 5.", "Name: Al; Age: 6."]),
    ('Name,Pay\n"Li, Bo",5\nAl,6', ["Name: Li, Bo; Pay: 5.", "Name: Al; Pay: 6."]),
    ("Name;Pay\nBo;€5,50\nAl;€6", ["Name: Bo; Pay: €5,50.", "Name: Al; Pay: €6."]),
    ('{"name": "Cafe", "open_now": true}', ["name: Cafe; open now: true."]),
    ('[{"a": 1}, {"a": 2, "b": null}]', ["a: 1.", "a: 2; b: null."]),
    ('{"a": 1}\n{"a": 2}\n', ["a: 1.", "a: 2."]),
    ('```json\n{"a": 1}\n```', ["a: 1."]),
    ('{"x": {"y": {"z": 1}, "w": [1, 2]}, "e": {}}', ["x y z: 1; x w: 1, 2; e: ."]),
    (
        '{"name": "Cafe", "reviews": [{"stars": 5, "text": "Good."}, {"stars": 1}]}',
        ["name: Cafe.", "reviews stars: 5; reviews text: Good.", "reviews stars: 1."],
    ),
]
VERBATIM = [
    "Plain text. With two sentences.",
    "",
    " \n",
    "Paris, big\nRome, old\nOslo, cold",
    "He came, he saw\nHe won, he left\nHe ate, he slept",
    "a | b\nc | d",
    "| A | B |\n|---|---|",
    "| A | B |\n|---|\n| 1 | 2 |",
    '{"a": ',
    '{"a": 1} and more',
    "[1, 2, [3]]",
    "{}",
    '"a string"',
    '{"a":' * 200 + "1" + "}" * 200,
    '{"a":' * 20_000 + "1" + "}" * 20_000,
    "[" * 100_000,
    '{"a": NaN, }',
]


@pytest.mark.parametrize(("text", "rows"), ROWS)
def test_each_row_is_read_after_its_names(text: str, rows: list[str]) -> None:
    reading = linearise(text)
    assert [reading.text[a:b] for a, b in reading.units] == rows
    assert unseen(text, reading) == ""


@pytest.mark.parametrize("text", VERBATIM, ids=range(len(VERBATIM)))
def test_what_is_no_table_is_read_as_it_stands(text: str) -> None:
    assert linearise(text).text == text
    assert unseen(text, linearise(text)) == ""


def test_what_is_read_leads_back_to_the_cell_and_to_the_name() -> None:
    text = "See:\n\n| Drug | Dose |\n|---|---|\n| A | 5 mg |\n| B | 6 mg |\n\nAsk a doctor."
    reading = linearise(text)
    assert source_of(text, reading, "6 mg") == ["6 mg"]
    assert source_of(text, reading, "Dose: 5 mg") == ["Dose", "5 mg"]
    units = [reading.text[a:b] for a, b in reading.units]
    assert (units[0], units[-1]) == ("See:", "Ask a doctor.")
    assert unseen(text, reading) == ""


def test_an_escaped_value_is_read_decoded_and_leads_back() -> None:
    text = '{"say": "a \\"b\\"\\nc \\u00e9 \\ud83d\\ude00 d"}'
    reading = linearise(text)
    assert reading.text == 'say: a "b"\nc é 😀 d.'
    assert source_of(text, reading, "é") == ["\\u00e9"]
    assert source_of(text, reading, "😀") == ["\\ud83d\\ude00"]


def test_a_long_field_is_read_sentence_by_sentence() -> None:
    reading = linearise(json.dumps({"review": "The food is good. " * 40}))
    assert len(reading.units) == 40


anything = st.text('a1,;|\t\n "\\-:{}[]é', max_size=80) | st.text(max_size=60)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
dumped = st.builds(lambda value, ascii_: json.dumps(value, ensure_ascii=ascii_), values, st.booleans())


@settings(max_examples=300, deadline=None)
@given(anything | dumped)
def test_no_character_is_lost_whatever_the_text(text: str) -> None:
    reading = linearise(text)
    assert unseen(text, reading) == ""
    for piece in reading.pieces:
        if piece.role == "text" and piece.verbatim:
            assert reading.text[piece.start : piece.end] == text[piece.source_start : piece.source_end]
    assert [p.start for p in reading.pieces] == sorted(p.start for p in reading.pieces)
    covered = "".join(reading.text[a:b] for a, b in reading.units)
    assert re.sub(r"\s", "", covered) == re.sub(r"\s", "", reading.text)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text("ab_", min_size=1), st.text('xyz é\n"\\', max_size=9), min_size=1, max_size=4))
def test_every_value_of_an_object_is_read_after_its_name(fields: dict[str, str]) -> None:
    reading = linearise(json.dumps(fields))
    for name, value in fields.items():
        assert f"{name.replace('_', ' ')}: {value}" in reading.text


@pytest.mark.parametrize(
    "line", ["a, b\n", "a, 1\n", "| a |\n", "-" * 60 + "\n", "| -- | -- |\n", "a\tb\n", "\t \n"]
)
def test_time_grows_with_the_text_and_not_with_its_square(line: str) -> None:
    """Twenty thousand lines: a quadratic reader would meet the test's time limit."""
    text = line * 20_000
    assert unseen(text, linearise(text)) == ""
