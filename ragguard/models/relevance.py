"""The alignment model as a reranker: how well a passage bears on a question.

The binary head was also trained on questions in place of claims. It reads the
passage as the source and the question as the claim.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from ragguard.errors import QuestionTooLongError, UnknownNameError
from ragguard.models.pair_logits import ALIGNED, BINARY
from ragguard.models.passage_windows import best_of, windows
from ragguard.models.shared_engines import shared_engine
from ragguard.models.tokens import Spans
from ragguard.protocols import Fingerprint

if TYPE_CHECKING:
    from ragguard.models.pair_engine import PairEngine

LongPassage: TypeAlias = Literal["best window", "beginning"]
"""How a passage longer than the model takes is judged."""

MOST_WINDOWS = 16
"""Of one passage; what lies beyond is not read, so that one passage cannot take all the time."""

_LEAST_ROOM = 32


class RelevanceScorer:
    """Scores (question, passage) pairs; a `PairScorer`.

    The question is read whole or not at all. A passage longer than the room it leaves
    is cut into overlapping windows and judged by the best of them, or by its beginning.

    Args:
        engine: a `PairEngine` to share; by default that of the bundled model, shared in this process.
        long_passages: "best window" or "beginning".

    Raises:
        UnknownNameError: long passages can be judged in no such way.
    """

    def __init__(
        self, engine: PairEngine | None = None, *, long_passages: LongPassage = "best window"
    ) -> None:
        if long_passages not in get_args(LongPassage):
            raise UnknownNameError(
                f"long passages cannot be judged by {long_passages!r}",
                hint=f"one of {', '.join(get_args(LongPassage))}",
            )
        self.engine = shared_engine() if engine is None else engine
        self.long_passages = long_passages

    def score_pairs(self, pairs: Sequence[tuple[str, str]], /) -> NDArray[np.float64]:
        """Return the log-odds that the passage answers the question, shape (len(pairs),).

        Raises:
            QuestionTooLongError: a question leaves no room for a passage.
            ScoringError: the back end failed.
            DeadlineExceededError: the turn's time ran out.
        """
        if not pairs:
            return np.zeros(0)
        tokens = self.engine.tokens
        most = MOST_WINDOWS if self.long_passages == "best window" else 1
        cut = read_beside(pairs, tokens.spans, room=tokens.max_tokens - tokens.pair_overhead, most=most)
        read = [(part, question) for (question, _), parts in zip(pairs, cut, strict=True) for part in parts]
        two = self.engine.logits(read)[:, BINARY].astype(np.float64)
        found = two[:, ALIGNED] - two[:, 1 - ALIGNED]
        return best_of(found, [len(parts) for parts in cut])

    def warm_up(self) -> None:
        """Load the weights now."""
        self.engine.warm_up()

    def fingerprint(self) -> Fingerprint:
        """What determines a score: the engine's own, which head is read, and how long passages are."""
        return {
            "scorer": "relevance",
            "version": 2,
            "head": "binary",
            "long_passages": self.long_passages,
            "engine": self.engine.fingerprint(),
        }


def read_beside(
    pairs: Sequence[tuple[str, str]],
    spans_of: Callable[[Sequence[str]], list[Spans]],
    *,
    room: int,
    most: int = MOST_WINDOWS,
) -> list[list[str]]:
    """Return the parts of each passage that a model reads beside its question, at least one a pair.

    Args:
        pairs: (question, passage), at least one.
        spans_of: the tokens of texts, as character ranges.
        room: tokens for question and passage together.
        most: parts of one passage.

    Raises:
        QuestionTooLongError: a question leaves no room for a passage.
    """
    asked = list(dict.fromkeys(question for question, _ in pairs))
    taken = dict(zip(asked, map(len, spans_of(asked)), strict=True))
    longest, limit = max(taken.values()), room - _LEAST_ROOM
    if longest > limit:
        raise QuestionTooLongError(
            f"a question has {longest} tokens, and the reranker reads at most {limit}",
            hint="shorten the question; it is never cut",
            details={"tokens": longest, "most": limit},
        )
    return [
        windows(passage, where, room=room - taken[question], most=most)
        for (question, passage), where in zip(pairs, spans_of([p for _, p in pairs]), strict=True)
    ]
