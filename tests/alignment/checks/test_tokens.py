"""Tokens, stems, offsets and sentences."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ragguard.alignment.checks.tokens import read, stem


def test_numbers_are_one_token_in_canonical_form() -> None:
    tokens = read("Twelve hundred cars, 2.1 million people").tokens
    assert [t.stem for t in tokens if t.kind == "number"] == ["1200", "2100000"]


def test_contractions_are_one_word_even_with_spaces_and_genitives_are_apart() -> None:
    assert [t.low for t in read("don't don ' t isn’t Rex's").tokens] == [
        "don't",
        "don't",
        "isn't",
        "rex",
        "'s",
    ]
    assert not read("don't").tokens[0].stem


def test_irregular_forms_share_a_stem() -> None:
    for base, forms in (("buy", "bought buys buying"), ("rise", "rose risen rises"), ("child", "children")):
        assert {stem(form) for form in forms.split()} == {stem(base)}


def test_sentences_are_ranges_of_tokens_and_a_long_one_is_cut() -> None:
    reading = read("Rex left. Dino stayed.")
    assert reading.sentences == ((0, 3), (3, 6))
    assert reading.sentence_at(reading.text.index("stayed")) == 1
    assert all(last - first <= 60 for first, last in read("cell " * 500).sentences)


def test_capitals_tell_nothing_in_lower_case_and_in_capitals() -> None:
    assert read("It was led by Ada Lovelace in the end.").cased()
    assert not read("it was led by ada lovelace.").cased()
    assert not read("IT WAS LED BY ADA LOVELACE IN THE VERY END OF THE DAY, BUT NOBODY KNEW.").cased()


@given(st.text(max_size=200))
def test_tokens_reproduce_their_text_in_order_and_lie_in_one_sentence_each(text: str) -> None:
    reading = read(text)
    assert all(text[t.start : t.end] == t.text for t in reading.tokens)
    assert all(a.end <= b.start for a, b in zip(reading.tokens, reading.tokens[1:], strict=False))
    assert [i for first, last in reading.sentences for i in range(first, last)] == list(
        range(len(reading.tokens))
    )
