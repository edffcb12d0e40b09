from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.trace.fold import fold


@given(st.text())
def test_each_folded_character_names_the_raw_one_it_came_from(text: str) -> None:
    folded = fold(text)
    origin = np.arange(len(text)) if folded.origin is None else folded.origin
    assert origin.size == len(folded.text)
    for place, raw in enumerate(origin.tolist()):
        assert folded.text[place] in fold(text[raw]).text


@given(st.text())
def test_characters_are_folded_without_regard_to_their_neighbours(text: str) -> None:
    assert fold(text).text == "".join(fold(character).text for character in text)


@given(st.text())
def test_folding_twice_changes_nothing_more(text: str) -> None:
    once = fold(text).text
    assert fold(once.replace("\x02", "-")).text == once.replace("\x02", "-")


@pytest.mark.parametrize(
    ("raw", "folded"),
    [
        ("ﬃ", "ffi"),
        ("ß", "ss"),
        ("ẞ", "ss"),
        ("İ", "i"),
        ("ı", "i"),
        ("é", "e"),
        ("e\u0301", "e"),
        ("Ａ１", "a1"),
        ("𝐀𝒷𝟘", "ab0"),
        ("ⓐ🅰🄰🇦", "aaaa"),
        ("Ⅻ", "xii"),
        ("ſ", "s"),
        ("\u212a", "k"),
        ("२٣", "23"),
        ("ᴀʙᴄ", "abc"),
        ("\u200b\u00ad\u202e\U000e0041\ufe0f\u3164", "\x02"),
        ("\u00a0\u3000\t", "   "),
        ("\u2028\x85\n", "\n\n\n"),
    ],
)
def test_what_reads_the_same_folds_the_same(raw: str, folded: str) -> None:
    assert fold(raw).text == folded


def test_accents_that_left_nothing_are_named() -> None:
    assert fold("e\u0301a\u0300\u0301").accents.tolist() == [1, 3, 4]


def test_any_control_character_is_nothing_or_a_gap() -> None:
    controls = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Cc", "Cf")]
    assert {fold(control).text for control in controls} == {"", " ", "\n", "\r", "\x02"}
