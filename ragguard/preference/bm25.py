"""BM25 among a question's candidates: how much of its rarer words each holds.

The word statistics are those of the candidates alone, so there is no index, no
state and nothing to keep current: the same candidates give the same scores. What
every candidate holds (the topic) then counts little, and what sets one apart counts
most, which is what reordering them needs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ragguard.text.words import content_word_list

K1, B = 1.5, 0.75
VARIANT = f"candidates, stems, k1 {K1}, b {B}"
"""In fingerprints."""


def bm25_scores(question: str, texts: Sequence[str]) -> NDArray[np.float64]:
    """Return one score a text, shape (len(texts),), 0 where it shares no word with the question.

    A word that the question repeats counts once.

    References:
        Robertson and Zaragoza (2009), The Probabilistic Relevance Framework: BM25 and
        Beyond, section 3; the weight of a word is Lucene's, which is never negative.
    """
    found = np.zeros(len(texts))
    words = [content_word_list(text) for text in texts]
    lengths = np.array([len(each) for each in words], dtype=np.float64)
    if not lengths.any():
        return found
    counts = [Counter(each) for each in words]
    norm = K1 * (1 - B + B * lengths / lengths.mean())
    for word in dict.fromkeys(content_word_list(question)):
        times = np.array([each[word] for each in counts], dtype=np.float64)
        holding = int((times > 0).sum())
        weight = math.log(1 + (len(texts) - holding + 0.5) / (holding + 0.5))
        found += weight * times / (times + norm)
    return found
