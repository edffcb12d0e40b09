"""BM25 against its formula, written out once more."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ragguard.preference.bm25 import Bm25

TEXTS = ["red bridge river", "red red house", "green river garden flower", "yellow lamp"]


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
    found = Bm25(TEXTS).scores("red river")
    np.testing.assert_allclose(found, by_formula(["red", "river"], TEXTS), rtol=1e-5)


@pytest.mark.parametrize("question", ["", "unknown words", "the of and"])
def test_nothing_shared_scores_nothing(question: str) -> None:
    assert Bm25(TEXTS).scores(question).tolist() == [0.0] * 4


def test_texts_without_words_score_nothing() -> None:
    assert Bm25(["", "the", "..."]).scores("red river").tolist() == [0.0] * 3
    assert Bm25([]).scores("red").shape == (0,)
