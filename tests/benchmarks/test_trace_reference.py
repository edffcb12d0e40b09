from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.trace_reference import BY_HAND, UNKNOWN, WINDOW, Hit, ListIndex, ReferenceShield

WORDS = st.lists(st.sampled_from("abc"), max_size=30)


@given(corpus=st.lists(WORDS, max_size=3), window=st.lists(st.sampled_from("abc"), min_size=1, max_size=5))
def test_finds_the_places_that_a_search_of_every_document_finds(
    corpus: list[list[str]], window: list[str]
) -> None:
    documents = [(str(n), words) for n, words in enumerate(corpus)]
    every = {
        (name, i)
        for name, words in documents
        for i in range(len(words) - len(window) + 1)
        if words[i : i + len(window)] == window
    }
    found = ListIndex(documents).find(window)
    assert set(found) <= every
    assert len(set(found)) == len(found) == min(len(every), 5)


def test_keeps_a_list_of_its_own_for_every_suffix() -> None:
    index = ListIndex([("d", "to be or not to be".split())])
    assert sorted(len(suffix) for suffix, _, _ in index.suffixes) == [1, 2, 3, 4, 5, 6]
    assert len({id(suffix) for suffix, _, _ in index.suffixes}) == 6


def test_counts_one_long_match_once_a_window_and_misses_one_of_seven_words() -> None:
    text = [f"w{n}" for n in range(12)]
    index = ListIndex([("d", text)])
    assert index.windows(text[:10]) == [Hit(n, "d", n) for n in range(3)]
    assert index.windows([*text[:7], "other"]) == []


def test_bci_is_the_summed_surprisal_and_an_unknown_word_outweighs_all() -> None:
    shield = ReferenceShield([("d", ["a", "a", "a", "b"])])
    assert shield.bci(["a", "b"]) == pytest.approx(-math.log(3 / 4) - math.log(1 / 4))
    assert shield.bci(["typo"]) == pytest.approx(-math.log(UNKNOWN))
    assert shield.bci(["typo"]) > BY_HAND


def test_refuses_a_rare_sentence_unless_a_match_is_asked() -> None:
    shield = ReferenceShield([("d", "the pump is on the left side of the hall".split())])
    rare = "the part is no longer made but its seal is".split()
    assert len(rare) > WINDOW
    assert shield.refuses(rare, matched=False)
    assert not shield.refuses(rare, matched=True)
    assert shield.refuses("the pump is on the left side of the hall".split())


def test_a_text_shorter_than_a_window_has_no_match_but_a_surprisal() -> None:
    shield = ReferenceShield([("d", "one two three".split())])
    assert shield.largest(["one", "two"], matched=True) == 0.0
    assert shield.largest(["one", "two"], matched=False) == pytest.approx(2 * math.log(3))
    assert shield.largest([], matched=False) == 0.0
