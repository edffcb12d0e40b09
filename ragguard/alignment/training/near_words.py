"""Words near a word in meaning, from a model's own table of word embeddings."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WHOLE = re.compile(r"[a-z]{4,}")


class NearWords:
    """Callable: word -> words of similar meaning and another stem.

    Neighbours in an embedding table are mostly words of the same kind (red, blue),
    sometimes equals (film, movie): those nearer than `most` are left out.

    Args:
        vocabulary: token -> row of the table.
        table: shape (tokens, width).
        least: cosine similarity from which a word counts as near.
        most: similarity from which it counts as the same.
    """

    def __init__(
        self,
        vocabulary: dict[str, int],
        table: NDArray[np.float32],
        *,
        least: float = 0.42,
        most: float = 0.68,
    ) -> None:
        self._words = sorted((w for w in vocabulary if _WHOLE.fullmatch(w)), key=vocabulary.__getitem__)
        rows = table[[vocabulary[w] for w in self._words]].astype(np.float32)
        rows -= rows.mean(axis=0)
        self._rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        self._place = {word: i for i, word in enumerate(self._words)}
        self._least, self._most = least, most
        self._near = lru_cache(maxsize=None)(self._find)

    @classmethod
    def of(cls, encoder: Any, vocabulary: dict[str, int]) -> NearWords:
        """Return the near words of a transformers encoder with a word-piece vocabulary."""
        table = encoder.get_input_embeddings().weight.detach().float().numpy()
        return cls(vocabulary, table)

    def __call__(self, word: str) -> Sequence[str]:
        return self._near(word)

    def _find(self, word: str) -> tuple[str, ...]:
        place = self._place.get(word)
        if place is None:
            return ()
        cosine = self._rows @ self._rows[place]
        best = np.argsort(-cosine)[1:30]
        return tuple(
            self._words[i]
            for i in best
            if self._least <= cosine[i] <= self._most and not _same_stem(word, self._words[i])
        )[:8]


def _same_stem(one: str, other: str) -> bool:
    common = len(os.path.commonprefix([one, other]))  # noqa: RUF071 - of letters, as is meant here
    return common >= min(len(one), len(other)) - 3 and common >= 3
