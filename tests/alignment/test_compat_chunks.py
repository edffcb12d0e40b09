"""The published chunk sizes, which other rules for "about 350 words" do not give."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.alignment.compat_chunks import published_chunks

GOLDENS = [
    (1, 349, [349]),
    (1, 350, [350]),
    (1, 2000, [2000]),
    (2, 600, [600, 600]),
    (7, 57, [171, 171, 57]),
    (7, 50, [150, 150, 50]),
    (10, 34, [340]),
    (10, 35, [175, 175]),
    (14, 50, [200, 200, 200, 100]),
    (70, 10, [230, 230, 230, 10]),
    (71, 10, [230, 230, 230, 20]),
    (100, 35, [315] * 11 + [35]),
    (200, 10, [330] * 6 + [20]),
    (3, 200, [200, 200, 200]),
]
"""Sentences, words in each, and the words of each chunk."""


def document(sentences: int, words: int) -> str:
    return " ".join("Word" + " word" * (words - 1) + "." for _ in range(sentences))


@pytest.mark.parametrize(("sentences", "words", "sizes"), GOLDENS)
def test_chunks_have_the_published_sizes(sentences: int, words: int, sizes: list[int]) -> None:
    assert [len(chunk.split()) for chunk in published_chunks(document(sentences, words))] == sizes


@pytest.mark.parametrize("context", ["", " ", "\n\n"])
def test_a_context_without_a_sentence_is_one_empty_chunk(context: str) -> None:
    assert published_chunks(context) == [""]


def test_sentences_are_joined_by_one_space_whatever_stood_between_them() -> None:
    assert published_chunks("It is one.\n\n\tIt is two.   It is three.") == [
        "It is one. It is two. It is three."
    ]


def test_another_splitter_may_be_given() -> None:
    assert published_chunks("a|b|c", lambda text: text.split("|")) == ["a b c"]


@given(sentences=st.integers(1, 60), words=st.integers(1, 60))
def test_all_chunks_but_the_last_have_as_many_sentences_and_no_word_is_lost(
    sentences: int, words: int
) -> None:
    text = document(sentences, words)
    chunks = published_chunks(text)
    counts = [chunk.count(".") for chunk in chunks]
    assert len(set(counts[:-1])) <= 1
    assert counts[-1] <= counts[0]
    assert " ".join(chunks) == text
