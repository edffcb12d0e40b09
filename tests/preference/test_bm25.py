"""BM25 against its formula, written out once more, and against bm25s where texts are made for both."""

from __future__ import annotations

import math

import bm25s
import numpy as np
import pytest

from ragguard.preference.bm25 import bm25_scores

TEXTS = ["red bridge river", "red red hous", "green river garden flower", "yellow lamp"]


def by_formula(question: list[str], texts: list[str], k1: float = 1.5, b: float = 0.75) -> list[float]:
    documents = [t.split() for t in texts]
    mean = sum(map(len, documents)) / len(documents)
    found = []
    for words in documents:
        total = 0.0
        for word in question:
            holding = sum(word in d for d in documents)
            idf = math.log(1 + (len(documents) - holding + 0.5) / (holding + 0.5))
            count = words.count(word)
            total += idf * count / (count + k1 * (1 - b + b * len(words) / mean))
        found.append(total)
    return found


def test_scores_follow_the_formula() -> None:
    np.testing.assert_allclose(bm25_scores("red river", TEXTS), by_formula(["red", "river"], TEXTS))


def test_scores_are_those_of_bm25s() -> None:
    index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    index.index([text.split() for text in TEXTS], show_progress=False)
    np.testing.assert_allclose(
        bm25_scores("red river lamp", TEXTS), index.get_scores(["red", "river", "lamp"]), rtol=1e-5
    )


def test_inflected_words_are_one_word() -> None:
    assert bm25_scores("copying a file", ["Files were copied.", "Something else."])[0] > 0


@pytest.mark.parametrize("question", ["", "unknown words", "the of and"])
def test_nothing_shared_scores_nothing(question: str) -> None:
    assert bm25_scores(question, TEXTS).tolist() == [0.0] * 4


def test_texts_without_words_score_nothing() -> None:
    assert bm25_scores("red river", ["", "the", "..."]).tolist() == [0.0] * 3
    assert bm25_scores("red", []).shape == (0,)


def test_a_word_of_every_candidate_counts_less_than_one_that_sets_apart() -> None:
    found = bm25_scores("virus spike", ["virus shape", "virus spike", "virus other"])
    assert found.argmax() == 1
    assert found[0] < found[1] / 2
