"""BM25: how much of a question's rarer words a passage holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragguard.errors import MissingDependencyError

_STOP_WORDS = "en"


class Bm25:
    """Scores passages by words, with the word statistics of just these passages.

    Made from a question's candidates it needs no index and no state: the same
    candidates give the same scores. Made from a whole corpus it is the usual baseline.

    Args:
        texts: the passages; words are compared in lower case, English stop words left out.

    Raises:
        MissingDependencyError: bm25s is not installed.

    References:
        Robertson and Zaragoza (2009), The Probabilistic Relevance Framework: BM25 and Beyond.
        Lù (2024), BM25S, arXiv 2407.03618 (the variant is Lucene's, k1 = 1.5, b = 0.75).
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._library = _library()
        self._count = len(texts)
        words = self._words(texts)
        self._index: Any = None
        if any(words):
            self._index = self._library.BM25(method="lucene", k1=1.5, b=0.75)
            self._index.index(words, show_progress=False)

    def scores(self, question: str) -> NDArray[np.float64]:
        """Return one score a passage, shape (passages,), 0 where no word is shared, in the order given."""
        words = self._words([question])[0]
        if self._index is None or not words:
            return np.zeros(self._count)
        found: NDArray[np.float64] = np.asarray(self._index.get_scores(words), dtype=np.float64)
        return found

    def _words(self, texts: Sequence[str]) -> list[list[str]]:
        words: list[list[str]] = self._library.tokenize(
            list(texts), stopwords=_STOP_WORDS, return_ids=False, show_progress=False
        )
        return words


def require_bm25() -> None:
    """Refuse now what would fail at the first question.

    Raises:
        MissingDependencyError: bm25s is not installed.
    """
    _library()


def _library() -> Any:
    try:
        import bm25s
    except ImportError as error:
        raise MissingDependencyError(
            "word statistics need bm25s", hint="pip install 'ragguard[bm25]'"
        ) from error
    return bm25s
