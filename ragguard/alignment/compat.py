"""The published profile: AlignScore's own scores, for comparison with figures measured by it.

Sentences, chunks, order, truncation and means are the published ones, faults
included: what does not fit the model is cut, and a mean hides one lie in ten.
Three things differ. An empty claim or context has no score instead of an
exception or a number; a pair's score does not depend on the pairs beside it; and
what was cut is counted.

References:
    Zha, Yang, Li and Hu (2023), AlignScore, sections 3.2 and 3.3.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ragguard.alignment.compat_chunks import published_chunks
from ragguard.alignment.compat_sentences import published_sentences
from ragguard.errors import InvalidValueError
from ragguard.models.pair_logits import ALIGNED, BINARY, ENTAILED, REGRESSION, THREE_WAY
from ragguard.protocols import FloatArray

_LOG = logging.getLogger(__name__)

SPLITTER = "punkt-by-rule-1"
"""Changes whenever a border moves; part of the fingerprint."""

Pairs = list[tuple[str, str]]
_Scores = NDArray[np.float64]


class CountsTokens(Protocol):
    """A pair tokenizer, as `ragguard.models.pair_tokens.PairTokens`."""

    @property
    def max_tokens(self) -> int: ...

    @property
    def pair_overhead(self) -> int: ...

    def counts(self, texts: Sequence[str], /) -> list[int]: ...


class ScoresPairs(Protocol):
    """An alignment model that runs, as `ragguard.models.pair_engine.PairEngine`."""

    @property
    def tokens(self) -> CountsTokens: ...

    def logits(self, pairs: Sequence[tuple[str, str]], /) -> FloatArray:
        """Return float32 (len(pairs), 6), in order."""
        ...


def _softmax_column(logits: FloatArray, column: int) -> _Scores:
    wide = logits.astype(np.float64)
    powers = np.exp(wide - wide.max(axis=1, keepdims=True))
    share: _Scores = powers[:, column] / powers.sum(axis=1)
    return share


def _regression(logits: FloatArray) -> _Scores:
    """The raw value: no probability, and not held to [0, 1]."""
    return logits[:, REGRESSION].astype(np.float64)


_HEADS: dict[str, Callable[[FloatArray], _Scores]] = {
    "nli": lambda logits: _softmax_column(logits[:, THREE_WAY], ENTAILED),
    "bin": lambda logits: _softmax_column(logits[:, BINARY], ALIGNED),
    "reg": _regression,
}
_SPLIT = "_sp"
MODES = ("nli_sp", "nli", "bin_sp", "bin", "reg_sp", "reg")


@dataclass(frozen=True, slots=True)
class PublishedScore:
    """One context and claim, scored or not.

    Attributes:
        score: higher is better supported; in [0, 1] but for `reg` and `reg_sp`, which are
            unbounded. None unless `outcome` is "scored", so that no number stands for nothing.
        outcome: "scored"; "nothing_to_check", a claim without a letter or digit; or
            "unverifiable", a context without one.
        sentences: the score of each sentence of the claim, whose mean `score` is; one for
            modes that do not split.
        cut_pairs: how many of the pairs scored were longer than the model takes.
        cut_tokens: how many tokens of them it did not see.
    """

    score: float | None
    outcome: str = "scored"
    sentences: tuple[float, ...] = ()
    cut_pairs: int = 0
    cut_tokens: int = 0


class PublishedScorer:
    """Scores as the published AlignScore does.

    Args:
        engine: what gives six logits a pair; in float32 where figures are to be compared.
        mode: "nli_sp" (the default of the paper), "bin_sp", "reg_sp": over chunks of the
            context and sentences of the claim. "nli", "bin", "reg": over both whole.
        sentences: cuts a text; give `nltk.sent_tokenize` for punkt itself.

    Raises:
        InvalidValueError: unknown mode.
    """

    def __init__(
        self,
        engine: ScoresPairs,
        mode: str = "nli_sp",
        *,
        sentences: Callable[[str], Sequence[str]] = published_sentences,
    ) -> None:
        if mode not in MODES:
            raise InvalidValueError(f"unknown mode {mode!r}", hint=f"use one of {', '.join(MODES)}")
        self._engine = engine
        self._mode = mode
        self._sentences = sentences
        self._head = _HEADS[mode.removesuffix(_SPLIT)]

    def score(self, contexts: Sequence[str], claims: Sequence[str]) -> list[float | None]:
        """Return one score a (context, claim), in order; None where there is nothing to score.

        Raises:
            InvalidValueError: as `judge`.
        """
        return [one.score for one in self.judge(contexts, claims)]

    def judge(self, contexts: Sequence[str], claims: Sequence[str]) -> list[PublishedScore]:
        """Return the scores with what they are made of, in order.

        Raises:
            InvalidValueError: not as many contexts as claims, or one that is no string.
        """
        _require_texts(contexts, claims)
        tables = [self._pairs(a, b) for a, b in zip(contexts, claims, strict=True)]
        pairs = [pair for table, _ in tables for pair in table]
        scores = self._head(self._engine.logits(pairs)) if pairs else np.zeros(0)
        cut = self._cut(pairs)
        judged, start = [], 0
        for (table, claim_sentences), context, claim in zip(tables, contexts, claims, strict=True):
            part = slice(start, start + len(table))
            start += len(table)
            judged.append(_judged(scores[part], cut[part], claim_sentences, context, claim))
        _warn(judged)
        return judged

    def fingerprint(self) -> dict[str, Any]:
        """Return what determines a score, JSON-serialisable."""
        engine: dict[str, Any] = dict(getattr(self._engine, "fingerprint", dict)())
        own = self._sentences is published_sentences
        splitter = SPLITTER if own else getattr(self._sentences, "__name__", type(self._sentences).__name__)
        return {"profile": "published", "mode": self._mode, "splitter": splitter, "engine": engine}

    def _pairs(self, context: str, claim: str) -> tuple[Pairs, int]:
        """Every chunk with every sentence, chunk by chunk, and the number of sentences."""
        if not _says_something(context) or not _says_something(claim):
            return [], 0
        if not self._mode.endswith(_SPLIT):
            return [(context, claim)], 1
        sentences = list(self._sentences(claim)) or [claim]
        chunks = published_chunks(context, self._sentences)
        return [(chunk, one) for chunk in chunks for one in sentences], len(sentences)

    def _cut(self, pairs: Pairs) -> NDArray[np.int64]:
        tokens = self._engine.tokens
        texts = sorted({text for pair in pairs for text in pair})
        counts = dict(zip(texts, tokens.counts(texts), strict=True)) if texts else {}
        room = tokens.max_tokens - tokens.pair_overhead
        return np.array([max(0, counts[a] + counts[b] - room) for a, b in pairs], dtype=np.int64)


def _judged(
    scores: _Scores, cut: NDArray[np.int64], sentences: int, context: str, claim: str
) -> PublishedScore:
    if not sentences:
        outcome = "unverifiable" if _says_something(claim) else "nothing_to_check"
        return PublishedScore(score=None, outcome=outcome)
    best = scores.reshape(-1, sentences).max(axis=0)
    return PublishedScore(
        score=float(best.mean()),
        sentences=tuple(best.tolist()),
        cut_pairs=int((cut > 0).sum()),
        cut_tokens=int(cut.sum()),
    )


def _says_something(text: str) -> bool:
    return any(sign.isalnum() for sign in text)


def _require_texts(contexts: Sequence[str], claims: Sequence[str]) -> None:
    if isinstance(contexts, str) or isinstance(claims, str):
        raise InvalidValueError("a string was given where a list of texts is due", hint="give lists")
    if len(contexts) != len(claims):
        raise InvalidValueError(
            f"{len(contexts)} contexts and {len(claims)} claims", hint="give one context a claim"
        )
    given: list[object] = [*contexts, *claims]
    wrong = next((type(text).__name__ for text in given if not isinstance(text, str)), None)
    if wrong is not None:
        raise InvalidValueError(f"a text is of type {wrong}", hint="give strings")


def _warn(judged: Sequence[PublishedScore]) -> None:
    cut = [one for one in judged if one.cut_tokens]
    if cut:
        _LOG.warning(
            "%d of %d scores did not see their whole texts: %d tokens cut",
            len(cut),
            len(judged),
            sum(one.cut_tokens for one in cut),
        )
