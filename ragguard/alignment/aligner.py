"""The trained aligner: a model's reading of the passages, symbolic checks, and one monotone score.

Each claim is read against every chunk that could bear on it, against the few
sentences that together hold most of its words (from whatever passages), and
against the best of these alone: one batch for all claims of an answer. What the
model said and what the checks found become one score in [0, 1] by a small
monotone model, and an outcome with the places it rests on.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ragguard.alignment.combiner import Combiner, load_combiner, plain_combiner
from ragguard.alignment.features import NAMES
from ragguard.alignment.outcomes import Judged, evidence_of, nothing_to_read
from ragguard.alignment.reading import LEAST_CHUNK, AnswerReading, Engine, prepare, read_answers, read_early
from ragguard.errors import InvalidValueError, ScoringError
from ragguard.models.pair_model import BUNDLED, model_folder
from ragguard.models.shared_engines import shared_engine
from ragguard.protocols import Fingerprint
from ragguard.types import Claim, Evidence, Passage

VERSION = 2
CHUNK_TOKENS = 128


class AlignmentAligner:
    """Judges claims against passages with a trained pair model; the default of `ConsistencyGuard`.

    Nothing of a passage is left unread, however long it is, and nothing of a claim: one
    that is too long to be read beside a passage is `unverifiable`, as is one without
    words, or with no passage to be held against. A passage that shares no word with a
    claim changes nothing for it, unless none shares one. A claim is judged as if it
    were alone; those it leans on ("It fell.") are read before it.

    In another language than English a claim is judged too, and its note says that the
    scores were not fitted on it.

    Args:
        model: "bundled" (the default), a model's folder, or a published checkpoint. All
            that name the same share one engine (`shared_engine`): weights lie in memory
            once, and claims of concurrent turns are scored together.
        engine: one of your own instead; `model` then only says whose combiner to use.
        combiner: the monotone model; by default the one in the model's folder, or,
            where it has none, `plain_combiner()`: the model's own probability.
        threshold: above which a claim is `supported`; the combiner's own by default.
        backend: see `PairEngine`.
        dtype: see `PairEngine`.
        chunk_tokens: of a chunk of source, at most; less where a claim is long.
        early_exit: leave the chunks of a claim unread where no reading of them could
            change its verdict; its score is then a bound, and its note says so. Leave
            it off while scores are collected for a calibration.

    Raises:
        InvalidValueError: a number is out of range.
    """

    name = "alignment"

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        engine: Engine | None = None,
        combiner: Combiner | None = None,
        threshold: float | None = None,
        backend: str = "auto",
        dtype: str = "auto",
        chunk_tokens: int = CHUNK_TOKENS,
        early_exit: bool = False,
    ) -> None:
        if chunk_tokens < LEAST_CHUNK:
            raise InvalidValueError(f"chunk_tokens must be at least {LEAST_CHUNK}, not {chunk_tokens}")
        self.engine: Engine = (
            shared_engine(model or BUNDLED, backend=backend, dtype=dtype) if engine is None else engine
        )
        self._model = getattr(self.engine, "source", None) if model is None else model
        self._combiner, self._threshold = combiner, _usable(threshold)
        self._chunk_tokens = chunk_tokens
        self.early_exit = early_exit

    @property
    def combiner(self) -> Combiner:
        """The monotone model of the score; read on first use.

        Raises:
            UnreadableFileError: it is damaged, or made for other features.
        """
        if self._combiner is None:
            folder = model_folder(self._model) if isinstance(self._model, str | Path) else None
            file = folder / "combiner.json" if folder else None
            here = file is not None and file.exists()
            self._combiner = load_combiner(file) if file and here else plain_combiner()
        return self._combiner

    @property
    def default_threshold(self) -> float:
        """The score above which a claim is supported."""
        return self.combiner.default_threshold if self._threshold is None else self._threshold

    def with_threshold(self, threshold: float) -> AlignmentAligner:
        """Return the same, on the same engine, that calls a claim supported above another score.

        Raises:
            InvalidValueError: it is not in [0, 1).
        """
        other = copy(self)
        other._threshold = _usable(threshold)
        return other

    def warm_up(self) -> None:
        """Load the weights and the combiner now."""
        self.engine.warm_up()
        self.combiner.scores(np.zeros((1, len(NAMES))))

    def align(
        self, claims: Sequence[Claim], passages: Sequence[Passage], /, *, question: str = ""
    ) -> list[Evidence]:
        """Return one evidence a claim, in order; all pairs of the answer go through the engine together.

        Raises:
            ScoringError: the back end failed; nothing is scored then.
        """
        return self.judge(self.read(claims, passages, question=question), claims, passages)

    def align_many(
        self, answers: Sequence[tuple[Sequence[Claim], Sequence[Passage], str]], /
    ) -> list[list[Evidence]]:
        """`align` for several (claims, passages, question); the pairs of all go through the engine together.

        Raises:
            ScoringError: the back end failed; nothing is scored then.
        """
        readings = self.read_many(answers)
        return [self.judge(one, a[0], a[1]) for one, a in zip(readings, answers, strict=True)]

    def read(
        self, claims: Sequence[Claim], passages: Sequence[Passage], /, *, question: str = ""
    ) -> AnswerReading:
        """Return what model and checks say of every claim, before it is scored."""
        return self.read_many([(claims, passages, question)])[0]

    def read_many(
        self, answers: Sequence[tuple[Sequence[Claim], Sequence[Passage], str]], /
    ) -> list[AnswerReading]:
        """`read` for several (claims, passages, question), their pairs scored together."""
        prepared = [
            prepare(self.engine, claims, passages, question=question, chunk_tokens=self._chunk_tokens)
            for claims, passages, question in answers
        ]
        if self.early_exit:
            return read_early(self.engine, prepared, self._passes)
        return read_answers(self.engine, prepared)

    def _passes(self, features: NDArray[np.float64]) -> NDArray[np.bool_]:
        passed: NDArray[np.bool_] = self.combiner.scores(features) > self.default_threshold
        return passed

    def judge(
        self, reading: AnswerReading, claims: Sequence[Claim], passages: Sequence[Passage], /
    ) -> list[Evidence]:
        """Return one evidence a claim of an answer that was read.

        Raises:
            ScoringError: a score is not finite.
        """
        if not reading.claims:
            return [nothing_to_read(claim) for claim in claims]
        scores = self.combiner.scores(reading.features())
        if not np.isfinite(scores).all():
            raise ScoringError("the combined score of a claim is not finite")
        return [
            evidence_of(Judged(claim, one, float(score), self.default_threshold), passages)
            for claim, one, score in zip(claims, reading.claims, scores, strict=True)
        ]

    def reading_fingerprint(self) -> Fingerprint:
        """What determines a reading: model, back end, dtype and chunking; not the combiner."""
        return {
            "aligner": self.name,
            "version": VERSION,
            "engine": self.engine.fingerprint(),
            "chunk_tokens": self._chunk_tokens,
        }

    def fingerprint(self) -> Fingerprint:
        """What determines a score: the reading's own, and the combiner's settings."""
        return {
            **self.reading_fingerprint(),
            "combiner": self.combiner.digest(),
            "supported_above": self.default_threshold,
        }


def _usable(threshold: float | None) -> float | None:
    if threshold is not None and not 0 <= threshold < 1:
        raise InvalidValueError(f"threshold must be in [0, 1), got {threshold}")
    return threshold
