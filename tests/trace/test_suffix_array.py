from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ragguard.trace import suffix_array
from ragguard.trace.suffix_array import SEPARATOR, UNKNOWN, SuffixArray, build, padded, token_type
from tests.trace import oracle

# Few different tokens make many repeats; large ones show a byte order taken the wrong way round.
TOKENS = st.sampled_from([1, 2, 255, 256, 258, 513])
DOCUMENTS = st.lists(st.lists(TOKENS, max_size=40), max_size=4)
QUERIES = st.lists(st.one_of(TOKENS, st.just(UNKNOWN)), max_size=40)
WIDE = st.sampled_from([token_type(600), token_type(70_000), np.dtype(">u4")])


def array_of(documents: Sequence[Sequence[int]], dtype: np.dtype, offset: int = 0) -> SuffixArray:
    flat = [token for document in documents for token in (*(t + offset for t in document), SEPARATOR)]
    tokens = np.array(flat, dtype=dtype)
    return SuffixArray(padded(tokens), build(tokens))


@given(st.lists(st.integers(0, 70_000), max_size=60))
def test_suffixes_are_sorted_as_lists_are(values: list[int]) -> None:
    for dtype in (np.dtype(">u2"), np.dtype(">u4")):
        content = [min(value, np.iinfo(dtype).max) for value in values]
        assert build(np.array(content, dtype=dtype)).tolist() == sorted(
            range(len(content)), key=lambda place: content[place:]
        )


@pytest.mark.parametrize("largest", [2**24 - 1, 2**24, 2**32 - 1])
def test_tokens_of_three_and_of_four_bytes_are_sorted_alike(largest: int) -> None:
    content = [largest, 5, 300, largest - 1, 5, 300, 70_000, largest]
    suffixes = build(np.array(content, dtype=">u4"))
    assert suffixes.tolist() == sorted(range(len(content)), key=lambda place: content[place:])


@given(DOCUMENTS, QUERIES, WIDE, st.sampled_from([0, 300]))
@example([[1, 2, 1, 2, 1]], [1, 2, 1, 2, 1, 2], token_type(9), 0)
@example([], [1], token_type(9), 0)
@example([[]], [1], token_type(9), 0)
@example([[1]], [1], token_type(9), 0)
@example([[1] * 40], [1] * 30, token_type(9), 0)
@example([[1, 2], [3, 4]], [1, 2, 3, 4], token_type(9), 0)
def test_longest_matches_equal_the_oracle(
    documents: list[list[int]], query: list[int], dtype: np.dtype, offset: int
) -> None:
    array = array_of(documents, dtype, offset)
    asked = np.array([t + offset if t != UNKNOWN else t for t in query], dtype=np.int64)
    assert array.longest(asked).tolist() == oracle.longest(documents, query)


@given(st.lists(st.lists(TOKENS, min_size=1, max_size=60), min_size=1, max_size=3), st.data())
def test_a_long_copied_run_equals_the_oracle(documents: list[list[int]], data: st.DataObject) -> None:
    """Copies of whole documents, one after another: chains of places, and runs longer than a window."""
    order = data.draw(st.lists(st.sampled_from(documents), min_size=1, max_size=3))
    query = [token for document in order for token in document]
    array = array_of(documents, token_type(600))
    assert array.longest(np.array(query)).tolist() == oracle.longest(documents, query)


@given(DOCUMENTS, st.lists(TOKENS, min_size=1, max_size=40), st.data())
def test_intervals_hold_exactly_the_occurrences(
    documents: list[list[int]], query: list[int], data: st.DataObject
) -> None:
    array = array_of(documents, token_type(600))
    start = data.draw(st.integers(0, len(query) - 1))
    end = data.draw(st.integers(start + 1, len(query)))
    low, high = array.intervals(np.array(query), np.array([start]), np.array([end]))
    begins = np.cumsum([0, *(len(document) + 1 for document in documents)])
    expected = {int(begins[d]) + place for d, place in oracle.occurrences(documents, query[start:end])}
    assert set(array.suffixes[int(low[0]) : int(high[0])].tolist()) == expected


def test_runs_of_thousands_of_tokens_are_found_whole() -> None:
    rng = np.random.default_rng(0)
    document = rng.integers(1, 50, size=5_000).tolist()
    array = array_of([document, [1, 2], document[1_000:3_000]], token_type(600))
    query = np.array([7, *document[1_000:3_000], UNKNOWN, *document])
    assert array.longest(query)[1] == 2_000
    assert array.longest(query)[2_002:].tolist() == list(range(5_000, 0, -1))
    low, high = array.intervals(query, np.array([1, 2_002]), np.array([2_001, 7_002]))
    assert (high - low).tolist() == [2, 1]


def test_a_lookup_with_little_room_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    document = rng.integers(1, 4, size=500).tolist()
    array = array_of([document, document], token_type(600))
    query = np.array(document[100:400])
    roomy = array.longest(query)
    monkeypatch.setattr(suffix_array, "_MOST_BYTES", 1)
    np.testing.assert_array_equal(array.longest(query), roomy)


def test_tokens_take_two_bytes_as_long_as_the_largest_value_stays_free() -> None:
    assert [token_type(size).itemsize for size in (0, 65_534, 65_535, 1 << 20)] == [2, 2, 4, 4]
    array = array_of([[65_534, 65_534]], token_type(65_534))
    assert array.longest(np.array([65_534, UNKNOWN, 65_534, 65_534])).tolist() == [1, 0, 2, 1]
