"""What is left of an answer once the sentences at fault are out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ragguard.trace.refusal import without_spans
from ragguard.types import Span


def spans(text: str, *parts: str) -> list[Span]:
    return [Span(start=text.index(p), end=text.index(p) + len(p)) for p in parts]


def test_the_sentence_goes_as_a_whole() -> None:
    text = "It is warm. The code is seven. Goodbye."
    left, removed = without_spans(text, spans(text, "code"))
    assert left == "It is warm. Goodbye."
    assert [text[s.start : s.end] for s in removed] == ["The code is seven. "]


def test_a_span_over_two_sentences_takes_both_as_one_range() -> None:
    text = "It is warm. The code is seven. Or eight. Goodbye."
    left, removed = without_spans(text, spans(text, "seven. Or"))
    assert left == "It is warm. Goodbye."
    assert len(removed) == 1


def test_a_list_item_goes_with_its_marker() -> None:
    text = "Steps:\n- It is warm.\n- The code is seven.\n- Goodbye."
    left, _ = without_spans(text, spans(text, "code"))
    assert "seven" not in left
    assert left.count("-") == 2


def test_nothing_is_left_where_no_word_is() -> None:
    text = "The code is seven. ..."
    assert without_spans(text, spans(text, "code"))[0] == ""
    assert without_spans(text, [Span(start=0, end=len(text))])[0] == ""


def test_no_span_changes_nothing() -> None:
    assert without_spans("It is warm. Goodbye.", []) == ("It is warm. Goodbye.", [])


@given(st.text(alphabet="ab. \n-!1)", max_size=60), st.integers(0, 60), st.integers(1, 20))
def test_no_character_of_a_span_is_left(text: str, start: int, length: int) -> None:
    marked = text[:start] + "Z" * min(length, max(0, len(text) - start)) + text[start + length :]
    found = [Span(start=n, end=n + 1) for n, c in enumerate(marked) if c == "Z"]
    left, removed = without_spans(marked, found)
    assert "Z" not in left
    assert all(any(r.start <= s.start and s.end <= r.end for r in removed) for s in found)
    assert [r.start for r in removed] == sorted(r.start for r in removed)
