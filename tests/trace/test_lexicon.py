from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ragguard.trace.lexicon import Lexicon, digests, digests_once, sorting


def table_of(words: list[str]) -> np.ndarray:
    table = digests(words)
    return table[:, sorting(table)]


@given(st.lists(st.text(), unique=True), st.lists(st.text()))
def test_known_words_have_different_numbers_and_unknown_ones_none(
    words: list[str], others: list[str]
) -> None:
    lexicon = Lexicon(table_of(words))
    numbers = lexicon.find([*words, *others]).tolist()
    assert sorted(numbers[: len(words)]) == list(range(len(lexicon)))
    given_back = dict(zip(words, numbers, strict=False))
    assert numbers[len(words) :] == [given_back.get(word, -1) for word in others]


def test_words_that_share_half_a_digest_are_told_apart() -> None:
    table = np.array([[1, 7, 7, 7, 9], [5, 1, 2, 4, 0]], dtype=np.uint64)
    wanted = np.array([[7, 7, 7, 7, 9, 1], [1, 2, 3, 4, 0, 6]], dtype=np.uint64)
    assert Lexicon(table).find_digests(wanted).tolist() == [1, 2, -1, 3, 4, -1]


def test_digests_do_not_depend_on_what_is_kept() -> None:
    np.testing.assert_array_equal(digests(["a", "b", "a"]), digests_once(["a", "b", "a"]))
    assert digests([]).shape == (2, 0)
