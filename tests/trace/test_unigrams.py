from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.trace.lexicon import digests, sorting
from ragguard.trace.unigrams import Unigrams, estimated_discount, pooled

COUNTS = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=3), st.integers(1, 1_000), min_size=1)


@given(COUNTS)
def test_probabilities_of_the_seen_and_as_many_unseen_words_sum_to_one(counts: dict[str, int]) -> None:
    unigrams = Unigrams.from_counts(counts)
    total = unigrams.probability(list(counts)).sum() + len(counts) * unigrams.unseen
    assert total == pytest.approx(1.0)


@given(COUNTS)
def test_a_word_counted_more_often_is_never_less_likely(counts: dict[str, int]) -> None:
    words = sorted(counts, key=lambda word: counts[word])
    surprisal = Unigrams.from_counts(counts).surprisal(["never seen", *words])
    assert np.isfinite(surprisal).all()
    assert (np.diff(surprisal) <= 0).all()
    assert surprisal[1] < surprisal[0]


def test_the_estimate_is_that_of_the_formula() -> None:
    unigrams = Unigrams.from_counts({"a": 1, "b": 1, "c": 2, "d": 6})
    assert unigrams.discount == pytest.approx(2 / (2 + 2 * 1))
    expected = [(6 - 0.5) / 10 + 0.5 / 20, (1 - 0.5) / 10 + 0.5 / 20, 0.5 / 20]
    assert np.exp(-unigrams.surprisal(["d", "a", "x"])) == pytest.approx(expected)


@pytest.mark.parametrize("counts", [{"a": 1}, {"a": 1, "b": 1}, {"a": 5, "b": 9}])
def test_the_discount_stays_within_its_bounds(counts: dict[str, int]) -> None:
    assert 0.5 <= estimated_discount(np.array(list(counts.values()))) <= 0.9


def test_one_typo_does_not_outweigh_a_sentence() -> None:
    counts = {f"w{rank}": max(1, 50_000 // rank) for rank in range(1, 20_000)}
    unigrams = Unigrams.from_counts(counts)
    rare, unseen = unigrams.surprisal(["w19999", "tpyo"])
    assert unseen - rare < 3.0
    assert unseen < sum(unigrams.surprisal([f"w{rank}" for rank in range(100, 120)])) / 4


@given(COUNTS, st.lists(st.text("abcdefghx", min_size=1, max_size=3), max_size=12))
def test_divergence_is_that_of_the_definition_and_never_negative(
    counts: dict[str, int], words: list[str]
) -> None:
    unigrams = Unigrams.from_counts(counts)
    share = {word: words.count(word) / len(words) for word in words}
    p = dict(zip(share, unigrams.probability(list(share)).tolist(), strict=True))
    defined = sum(q * math.log(q / p[word]) for word, q in share.items())
    assert unigrams.kl(words) == pytest.approx(max(0.0, defined), abs=1e-9)
    assert unigrams.kl(words) >= 0


def test_divergence_is_small_for_the_corpus_itself_and_large_for_one_rare_word() -> None:
    counts = {"the": 60, "of": 30, "aspirin": 10}
    unigrams = Unigrams.from_counts(counts)
    assert unigrams.kl([word for word, count in counts.items() for _ in range(count)]) < 0.01
    assert unigrams.kl(["aspirin"] * 5) > 2


def test_no_words_at_all_have_no_surprise() -> None:
    empty = Unigrams(np.zeros((2, 0), dtype=np.uint64), np.zeros(0, dtype=np.int64))
    assert empty.surprisal(["x", "y"]).tolist() == [0.0, 0.0]
    assert Unigrams.from_counts({"a": 1}).surprisal([]).shape == (0,)
    assert Unigrams.from_counts({"a": 1}).kl([]) == 0.0


@given(COUNTS, COUNTS)
def test_pooled_counts_are_those_of_both(one: dict[str, int], other: dict[str, int]) -> None:
    table, counts = pooled([part(one), part(other)])
    both = {word: one.get(word, 0) + other.get(word, 0) for word in {**one, **other}}
    expected = part(both)
    np.testing.assert_array_equal(table, expected[0])
    assert counts.tolist() == expected[1].tolist()


def part(counts: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    table = digests(list(counts))
    order = sorting(table)
    return table[:, order], np.array(list(counts.values()), dtype=np.int64)[order]
