"""PreferenceReranker: passages in the order that suits the reader, before the calibrated cut."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragguard import protocols
from ragguard.errors import (
    DeadlineExceededError,
    InvalidScoreError,
    InvalidValueError,
    QuestionTooLongError,
    RagGuardError,
    ScoringError,
)
from ragguard.models.pair_model import SHIPPED
from ragguard.preference.blend import BEST_BM25, LOG_ODDS, Blend, Floats, Parts
from ragguard.preference.bm25 import VARIANT, bm25_scores
from ragguard.preference.ranking import order_of
from ragguard.preference.reranker_marks import marked, reranked_before
from ragguard.preference.scorers import load_scorer
from ragguard.types import Action, ErrorInfo, Passage, Stage, Turn, Verdict
from ragguard.worker import deadline, remaining, run_on_worker

RETRIEVER_SCORE = "ragguard_retriever_score"
"""Key of a passage's metadata: the score it came with."""
RERANKER_SCORE = "ragguard_reranker_score"
"""Key of a passage's metadata: the score it was ordered by; None where the retriever's order stands."""

_FALLS_BACK = (ScoringError, InvalidScoreError, QuestionTooLongError, DeadlineExceededError)


@dataclass(frozen=True)
class Ranked:
    """A passage's place in the list that was given, from 0, and its score."""

    index: int
    score: float


class PreferenceReranker:
    """Orders the passages of a turn by how well they serve its question; also a `PairScorer`.

    Passages of equal score keep the retriever's order. Each leaves as a copy with the new
    score, and the retriever's under `RETRIEVER_SCORE` of its metadata. One that came without
    a score leaves without: a calibrated cut does not apply to what its retriever did not
    score. A turn reranked before, for the same question, passes as it is.

    Where scores cannot be had (the budget is used up, the model failed or gave NaN, the
    question leaves no room for a passage), the retriever's order stands: nothing is dropped,
    no passage has a score, and the verdict is `degraded` and says why under
    `details["fallback"]`. A calibrated cut then promises nothing, as its threshold is about
    other scores.

    Args:
        model: "bundled", a model's folder, or a `PairScorer`.
        weights: of "relevance", "similarity" (the retriever's score) and "bm25", 1 together;
            by default those stored with the model, for the bundled one `BUNDLED`, else
            relevance alone.
        depth: how many of the best passages are read and kept; None for all. Those below
            are left out, as beyond the retriever's reach.
        budget: seconds for one turn, looked at between batches; None sets no limit but the
            turn's. Loading weights is not counted.
        reader: id of the reader that will read the passages; a model trained for one needs it.
        force: serve a model that was trained for another reader.
        backend: see `PairEngine`.
        dtype: see `PairEngine`.
        name: tells several of these apart.

    Raises:
        InvalidValueError: weights, depth or budget cannot be used.
        ReaderMismatchError: the model was trained for another reader, or none is named.
    """

    reranks = True

    def __init__(
        self,
        model: str | Path | protocols.PairScorer = "bundled",
        *,
        weights: Mapping[str, float] | Blend | None = None,
        depth: int | None = None,
        budget: float | None = None,
        reader: str | None = None,
        force: bool = False,
        backend: str = "auto",
        dtype: str = "auto",
        name: str = "rerank",
    ) -> None:
        if depth is not None and depth < 1:
            raise InvalidValueError(f"depth must be at least 1, got {depth}", hint="e.g. 50")
        if budget is not None and not (math.isfinite(budget) and budget > 0):
            raise InvalidValueError(f"budget must be more than 0 seconds, got {budget}", hint="e.g. 0.5")
        loaded = load_scorer(model, reader=reader, force=force, backend=backend, dtype=dtype)
        self.scorer, self.reader = loaded.scorer, loaded.reader
        if weights is None:
            self.blend = loaded.blend or Blend()
        else:
            self.blend = weights if isinstance(weights, Blend) else Blend.of(weights)
        self.depth = depth
        self.budget = budget
        self.name = name
        self.stages = frozenset({Stage.PASSAGES})
        self._warm = False
        self._recipe: dict[str, Any] | None = None
        if isinstance(model, str | Path):
            named = str(model) if model in SHIPPED else str(Path(model).expanduser().resolve())
            options = {"model": named, "weights": self.blend.weights, "depth": depth, "budget": budget}
            options |= {
                "reader": self.reader,
                "force": force,
                "backend": backend,
                "dtype": dtype,
                "name": name,
            }
            self._recipe = {"use": "rerank", "options": options}

    def warm_up(self) -> None:
        """Load what the scorer needs now, so that the first turn does not wait for it."""
        warm_up = getattr(self.scorer, "warm_up", None)
        if not self._warm and callable(warm_up):
            warm_up()
        self._warm = True

    def rank(self, question: str, passages: Sequence[str | Passage]) -> list[Ranked]:
        """Return the passages' places and scores, best first.

        Args:
            question: read whole.
            passages: texts, or passages with the retriever's score. Where none has one, its
                weight is shared out among the other parts.

        Raises:
            ScoringError: the model failed, or gave a score that is not finite.
            InvalidScoreError: some passages have a finite retriever's score and others not.
            QuestionTooLongError: the question leaves no room for a passage.
            DeadlineExceededError: the budget is used up.
        """
        given = [p if isinstance(p, Passage) else Passage(id=str(i), text=p) for i, p in enumerate(passages)]
        if not given:
            return []
        self.warm_up()
        with deadline(self.budget):
            scores = self._scores(question, given)
        return [Ranked(int(i), float(scores[i])) for i in order_of(scores)]

    def score_pairs(self, pairs: Sequence[tuple[str, str]], /) -> NDArray[np.float64]:
        """Return the model's own score a (question, passage) pair, shape (len(pairs),), nothing blended in.

        Raises:
            ScoringError: the model failed, or gave a score that is not finite.
            QuestionTooLongError: a question leaves no room for a passage.
        """
        found = np.asarray(self.scorer.score_pairs(pairs), dtype=np.float64)
        if found.shape != (len(pairs),):
            raise ScoringError(f"the reranker returned shape {found.shape} for {len(pairs)} pairs")
        if not np.isfinite(found).all():
            raise ScoringError(f"{int((~np.isfinite(found)).sum())} of {len(found)} scores are not finite")
        return found

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        """Rerank the turn's passages.

        Raises:
            DeadlineExceededError: the time of the whole turn is over.
        """
        passages = turn.passages or ()
        if not passages or reranked_before(turn, self.name):
            done = {"passages": len(passages), **({"reranked_before": True} if passages else {})}
            return Verdict(guard=self.name, stage=stage, action=Action.PASS, details=done)
        candidates = passages[: self.depth]
        try:
            ranked = self.rank(turn.query, candidates)
        except _FALLS_BACK as error:
            left = remaining()
            if isinstance(error, DeadlineExceededError) and left is not None and left <= 0:
                raise
            return self._fallback(turn, stage, error)
        revised = turn.replace(
            passages=tuple(_scored(candidates[one.index], one.score) for one in ranked),
            metadata=marked(turn, self.name, [candidates[one.index].id for one in ranked]),
        )
        moved = sum(one.index != place for place, one in enumerate(ranked))
        return Verdict(
            guard=self.name,
            stage=stage,
            action=Action.REVISE,
            score=ranked[0].score,
            revised=revised,
            details={"passages": len(ranked), "moved": moved, "beyond_depth": len(passages) - len(ranked)},
        )

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        """`check`, off the event loop."""
        return await run_on_worker(self.check, turn, stage)

    def recipe(self) -> dict[str, Any] | None:
        """How settings name this guard, or None where its model cannot be named in a file."""
        return self._recipe

    def fingerprint(self) -> dict[str, Any]:
        """What determines a score: the model, the weights and their scales, and the depth."""
        scales = {"log_odds": LOG_ODDS, "best_bm25": BEST_BM25}
        return {
            "guard": "rerank",
            "version": 1,
            "scorer": dict(self.scorer.fingerprint()),
            "weights": self.blend.weights,
            "scales": scales,
            "bm25": VARIANT if self.blend.bm25 > 0 else None,
            "depth": self.depth,
        }

    def _scores(self, question: str, passages: Sequence[Passage]) -> Floats:
        blend, similarity = self.blend, _similarities(passages)
        if blend.similarity > 0 and similarity is None:
            blend = _without_similarity(blend)
        texts = [p.text for p in passages]
        empty = np.zeros(len(passages))
        relevance = self.score_pairs([(question, text) for text in texts]) if blend.relevance > 0 else empty
        words = bm25_scores(question, texts) if blend.bm25 > 0 else empty
        found = blend.scores(Parts(relevance, empty if similarity is None else similarity, words))
        if not np.isfinite(found).all():
            raise InvalidScoreError("a retriever's score is not finite", hint="every result needs one")
        return found

    def _fallback(self, turn: Turn, stage: Stage, error: RagGuardError) -> Verdict:
        """The retriever's order, without scores: those of another scale would be taken for the reranker's."""
        passages = tuple(_scored(p, None) for p in turn.passages or ())
        return Verdict(
            guard=self.name,
            stage=stage,
            action=Action.REVISE,
            revised=turn.replace(passages=passages),
            degraded=True,
            error=ErrorInfo(type=type(error).__name__, code=error.code),
            details={"passages": len(passages), "moved": 0, "fallback": error.code},
        )


def _similarities(passages: Sequence[Passage]) -> Floats | None:
    """The retriever's scores, or None where it gave none at all."""
    if all(p.score is None for p in passages):
        return None
    return np.array([math.nan if p.score is None else p.score for p in passages], dtype=np.float64)


def _without_similarity(blend: Blend) -> Blend:
    rest = blend.relevance + blend.bm25
    return Blend(blend.relevance / rest, 0.0, blend.bm25 / rest) if rest > 0 else Blend()


def _scored(passage: Passage, score: float | None) -> Passage:
    return passage.model_copy(
        update={
            "score": None if passage.score is None else score,
            "metadata": {**passage.metadata, RETRIEVER_SCORE: passage.score, RERANKER_SCORE: score},
        }
    )
