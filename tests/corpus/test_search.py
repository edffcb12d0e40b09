from __future__ import annotations

from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard.corpus import search
from ragguard.corpus.search import above, top_k
from ragguard.errors import InvalidValueError, InvalidVectorError
from ragguard.models.cpu import has_bfloat16


def unit(seed: int, count: int, dimension: int = 48) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    scaled: np.ndarray = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return scaled


@pytest.fixture(params=["float32", "bfloat16"])
def screen(request: pytest.FixtureRequest) -> Any:
    if request.param == "bfloat16" and not has_bfloat16():
        pytest.skip("this CPU has no bfloat16")
    return request.param


@pytest.mark.parametrize("threshold", [-1.0, 0.0, 0.2, 0.45, 2.0])
def test_above_finds_the_rows_that_faiss_range_search_finds(threshold: float, screen: Any) -> None:
    base, asked = unit(0, 20_000), unit(1, 150)
    base, asked = (base, asked) if threshold > 0 else (base[:500], asked[:5])
    store = faiss.IndexFlatIP(base.shape[1])
    store.add(base)
    radius = float(np.nextafter(np.float32(threshold), np.float32(-np.inf)))
    limits, _, labels = store.range_search(asked, radius)
    for i, (rows, scores) in enumerate(above(base, asked, threshold, screen=screen)):
        differing = np.setxor1d(rows, labels[limits[i] : limits[i + 1]])
        assert np.all(np.abs(base[differing] @ asked[i] - threshold) <= 1e-6)
        assert np.all(scores >= np.float32(threshold))
        assert np.all(np.diff(scores) <= 0)


def test_top_k_agrees_with_faiss_up_to_rounding(screen: Any) -> None:
    base, asked = unit(2, 30_000), unit(3, 140)
    store = faiss.IndexFlatIP(base.shape[1])
    store.add(base)
    expected, labels = store.search(asked, 20)
    rows, scores = top_k(base, asked, 20, screen=screen)
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    assert np.mean(rows == labels) > 0.999


def test_a_row_exactly_at_the_threshold_is_returned_whatever_the_batch() -> None:
    base, asked = unit(4, 9_000), unit(5, 130)
    _, scores = top_k(base, asked, 7)
    together = above(base, asked, scores[:, 6])
    for i in range(0, 130, 13):
        alone = above(base, asked[i : i + 1], scores[i, 6])[0]
        assert len(alone[0]) == 7
        np.testing.assert_array_equal(alone[0], together[i][0])
        np.testing.assert_array_equal(alone[1], together[i][1])


def test_a_bfloat16_screen_changes_neither_rows_nor_similarities() -> None:
    if not has_bfloat16():
        pytest.skip("this CPU has no bfloat16")
    base, asked = unit(6, 20_000), unit(7, 40)
    for exact, screened in zip(
        above(base, asked, 0.4), above(base, asked, 0.4, screen="bfloat16"), strict=True
    ):
        np.testing.assert_array_equal(exact[0], screened[0])
        np.testing.assert_array_equal(exact[1], screened[1])


def test_equal_similarities_are_ordered_by_row_number() -> None:
    base = np.repeat(unit(8, 3), 5, axis=0)
    rows, _ = top_k(base, base[:1], 8)
    assert rows[0, :5].tolist() == [0, 1, 2, 3, 4]
    assert rows[0, 5:].tolist() == sorted(rows[0, 5:].tolist())


@settings(max_examples=30, deadline=None)
@given(count=st.integers(0, 60), queries=st.integers(0, 5), k=st.integers(1, 70), seed=st.integers(0, 2**16))
def test_small_searches_match_a_full_sort(count: int, queries: int, k: int, seed: int) -> None:
    base, asked = unit(seed, count, 8), unit(seed + 1, queries, 8)
    rows, scores = top_k(base, asked, k)
    assert rows.shape == scores.shape == (queries, min(k, count))
    for i in range(queries):
        exact = search.similarities(base, np.arange(count), asked[i])
        np.testing.assert_array_equal(scores[i], np.sort(exact)[::-1][:k])


def test_each_query_has_its_own_threshold_and_infinities_mean_all_and_none() -> None:
    base, asked = unit(9, 50), unit(10, 2)
    everything, nothing = above(base, asked, [-np.inf, np.inf])
    assert len(everything[0]) == 50
    assert len(nothing[0]) == 0


def test_refuses_vectors_and_settings_it_cannot_use() -> None:
    base, asked = unit(11, 10), unit(12, 2)
    with pytest.raises(InvalidVectorError, match="shape"):
        above(base, asked[:, :3], 0.5)
    with pytest.raises(InvalidVectorError, match="NaN"):
        above(base, np.full_like(asked, np.nan), 0.5)
    with pytest.raises(InvalidValueError, match="NaN"):
        above(base, asked, np.nan)
    with pytest.raises(InvalidValueError, match="thresholds"):
        above(base, asked, [0.1, 0.2, 0.3])
    with pytest.raises(InvalidValueError, match="k must be"):
        top_k(base, asked, 0)
    with pytest.raises(InvalidValueError, match="float16"):
        top_k(base, asked, 1, screen="float16")  # type: ignore[arg-type]


def test_queries_of_any_length_lose_nothing() -> None:
    base, asked = unit(13, 5_000), 50 * unit(14, 4)
    for i, (rows, scores) in enumerate(above(base, asked, 20.0, screen="float32")):
        exact = search.similarities(base, np.arange(len(base)), asked[i])
        assert sorted(rows.tolist()) == np.flatnonzero(exact >= 20).tolist()
        assert np.all(scores >= 20)
