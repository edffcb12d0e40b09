"""The alignment model as a first reranker: how well a passage bears on a question.

The binary head was also trained on questions in place of claims. It reads the
passage as the source and the question as the claim.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ragguard.models.pair_engine import PairEngine
from ragguard.models.pair_logits import ALIGNED, BINARY
from ragguard.protocols import Fingerprint


class RelevanceScorer:
    """Scores (question, passage) pairs; a `PairScorer`.

    A passage longer than the model takes is judged by its beginning.

    Args:
        engine: a `PairEngine` to share; one of the bundled model by default.
    """

    def __init__(self, engine: PairEngine | None = None) -> None:
        self.engine = PairEngine() if engine is None else engine

    def score_pairs(self, pairs: Sequence[tuple[str, str]], /) -> NDArray[np.float64]:
        """Return the log-odds that the passage answers the question, shape (len(pairs),).

        Raises:
            ScoringError: the back end failed.
        """
        logits = self.engine.logits([(passage, question) for question, passage in pairs])
        two = logits[:, BINARY].astype(np.float64)
        found: NDArray[np.float64] = two[:, ALIGNED] - two[:, 1 - ALIGNED]
        return found

    def fingerprint(self) -> Fingerprint:
        """What determines a score: the engine's own, and which head is read."""
        return {"scorer": "relevance", "version": 1, "head": "binary", "engine": self.engine.fingerprint()}
