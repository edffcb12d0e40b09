from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.text.sentences import sentence_spans


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dr. Smith gave 5.5 mg. He slept.", ["Dr. Smith gave 5.5 mg.", "He slept."]),
        ('"Why?" he asked. Nobody knew.', ['"Why?" he asked.', "Nobody knew."]),
        ("J. R. Tolkien, e.g. Hobbits. See Fig. 3.", ["J. R. Tolkien, e.g. Hobbits.", "See Fig. 3."]),
        ("I said no. Then I left.", ["I said no.", "Then I left."]),
        ("See No. 5 there.", ["See No. 5 there."]),
        ("1. First.\n2. Second.", ["1. First.", "2. Second."]),
        ("- one\n- two", ["- one", "- two"]),
        ("A heading\n\nIts text", ["A heading", "Its text"]),
        ("wait... what? Yes!", ["wait... what?", "Yes!"]),
        ("你好。世界！", ["你好。", "世界！"]),
        ("नमस्ते। दुनिया", ["नमस्ते।", "दुनिया"]),
        ('He said "stop." Then', ['He said "stop."', "Then"]),
        ("  \n ", []),
    ],
)
def test_cuts_where_a_reader_would(text: str, expected: list[str]) -> None:
    assert [text[a:b] for a, b in sentence_spans(text)] == expected


@given(st.text(alphabet=st.sampled_from("aB.!?。 \n\t-1)\"'e|\u2029")) | st.text())
def test_sentences_are_in_order_and_hold_every_character_but_white_space(text: str) -> None:
    spans = sentence_spans(text)
    covered = [i for a, b in spans for i in range(a, b)]
    assert covered == sorted(set(covered))
    assert all(text[i].isspace() for i in set(range(len(text))) - set(covered))
    assert all(b > a and text[a:b] == text[a:b].strip() for a, b in spans)


@pytest.mark.parametrize("sign", [".", ".)", "!", "\n", " \n", "a. ", "。"])
def test_time_grows_with_the_text_and_not_with_its_square(sign: str) -> None:
    start = time.perf_counter()
    sentence_spans(sign * 100_000 + "x")
    assert time.perf_counter() - start < 5
