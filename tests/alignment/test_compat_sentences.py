"""The published sentence borders: each expected list was given by punkt itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.alignment.compat_sentences import published_sentences

GOLDENS = {
    "": [],
    "   ": [],
    "\n\n": [],
    "...": ["..."],
    "Dr. Smith et al. (2020) paid $3.5 million to U.S. Corp. in Jan. 2021. He left.": [
        "Dr. Smith et al.",
        "(2020) paid $3.5 million to U.S. Corp. in Jan. 2021.",
        "He left.",
    ],
    "1. First item. 2. Second item.": ["1.", "First item.", "2.", "Second item."],
    "See Fig. 3. The result holds.": ["See Fig.", "3.", "The result holds."],
    "e.g. this i.e. that.": ["e.g.", "this i.e.", "that."],
    "Hello.World.No spaces.": ["Hello.World.No spaces."],
    "你好。再见。": ["你好。再见。"],
    "यह एक है। वह दो है।": ["यह एक है। वह दो है।"],
    "- one\n- two\n- three": ["- one\n- two\n- three"],
    "def f(x):\n    return x": ["def f(x):\n    return x"],
    "| a | b |\n|---|---|\n| 1 | 2 |": ["| a | b |\n|---|---|\n| 1 | 2 |"],
}
"""Structure that punkt does not see, and the abbreviations it does not know."""

PUNKT = {
    'He said "Go." Then he left.': ['He said "Go."', "Then he left."],
    "He said “Go.” Then he left.": ["He said “Go.”", "Then he left."],
    "It works (really.) Then it stops.": ["It works (really.)", "Then it stops."],
    "Why? Because! So be it.": ["Why?", "Because!", "So be it."],
    "He lives in the U.S. The weather is bad.": ["He lives in the U.S.", "The weather is bad."],
    "He lives in the U.S. and works.": ["He lives in the U.S. and works."],
    "John H. Large said so.": ["John H. Large said so."],
    "It was 25.8 C. There is no evidence.": ["It was 25.8 C. There is no evidence."],
    "King George I. The king": ["King George I.", "The king"],
    "It goes on... and on.": ["It goes on... and on."],
    "It goes on... The end.": ["It goes on...", "The end."],
    "She has 3. apples": ["She has 3. apples"],
    "- 3. Foo": ["- 3.", "Foo"],
    "so x-C. The bar": ["so x-C.", "The bar"],
    "go Mr. The bar": ["go Mr.", "The bar"],
    "foo.\xa0Bar baz.": ["foo.", "Bar baz."],
    "a\n\nfoo. Bar ? Baz": ["a\n\nfoo.", "Bar ?", "Baz"],
    " foo.  Bar": [" foo.", "Bar"],
    "a b. \n c": ["a b. \n c"],
}


@pytest.mark.parametrize(("text", "expected"), [*GOLDENS.items(), *PUNKT.items()])
def test_it_cuts_where_punkt_cuts(text: str, expected: list[str]) -> None:
    assert published_sentences(text) == expected


PIECES = [*"aZ3.?!,;:()[]{}\"'”“’«*-–_ \n\t\xa0", "...", "Mr.", "U.S.", "The", "he", "3.", "J.", ".)", "''"]


@given(text=st.text(max_size=80) | st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_sentences_follow_one_another_in_the_text_and_lose_white_space_only(text: str) -> None:
    place = 0
    for sentence in published_sentences(text):
        assert sentence
        start = text.index(sentence, place)
        assert text[place:start].strip() == ""
        place = start + len(sentence)
    assert text[place:].strip() == ""


@pytest.mark.parametrize("unit", [".", ". ", ".)", "a.", "!?", '."', " ", "-", "1.", "a. \n", "(."])
def test_a_long_run_of_anything_is_cut_in_one_pass(unit: str) -> None:
    text = unit * 20_000
    assert "".join("".join(published_sentences(text)).split()) == "".join(text.split())
