"""An engine that stands for a user's own model: it says what a function of the two texts says.

What it is given passes through a real tokenizer first, so that a text too long for a
model is noticed here as it would be there.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence

import numpy as np

from ragguard.models.pair_tokens import PairTokens
from ragguard.protocols import Fingerprint, FloatArray
from tests.models.random_models import roberta_tokenizer

Says = Callable[[str, str], tuple[float, float]]
"""(source, claim) -> log-odds of support, log-odds of contradiction."""

YES, NO = (8.0, -8.0), (-8.0, -8.0)
OTHERWISE = (-8.0, 8.0)
"""The source says something else."""


def keyed(*keys: str) -> Says:
    """Supported is a claim by a source that holds every key the claim holds; one without keys is not."""

    def says(source: str, claim: str) -> tuple[float, float]:
        wanted = [key for key in keys if key in claim]
        return YES if wanted and all(key in source for key in wanted) else NO

    return says


def by_words(source: str, claim: str) -> tuple[float, float]:
    """Support by the share of the claim's words that the source holds, whatever they say there."""
    words = set(re.findall(r"\w{3,}|\d+", claim.lower()))
    share = len(words & set(re.findall(r"\w{3,}|\d+", source.lower()))) / max(1, len(words))
    return 16.0 * share - 10.0, -8.0


class WordEngine:
    """Scores pairs by a function; counts its calls, the pairs, and the tokens that did not fit."""

    def __init__(self, says: Says = by_words, *, max_tokens: int = 512) -> None:
        self.tokens = tokens_of(max_tokens)
        self.calls: list[list[tuple[str, str]]] = []
        self.cut = 0
        self._says = says

    @property
    def pairs(self) -> int:
        return sum(map(len, self.calls))

    def logits(self, pairs: Sequence[tuple[str, str]]) -> FloatArray:
        self.calls.append(list(pairs))
        self.cut += sum(one.cut for one in self.tokens.encode(pairs))
        return np.array([logits_of(*self._says(*pair)) for pair in pairs], dtype=np.float32).reshape(-1, 6)

    def warm_up(self) -> None:
        self.logits([("warm up", "warm up")])

    def fingerprint(self) -> Fingerprint:
        return {"engine": "words", "max_tokens": self.tokens.max_tokens}


def logits_of(support: float, against: float) -> list[float]:
    """Six logits with these log-odds of "entailed" and, where both can hold, of "contradicted"."""
    support, against = np.clip([support, against], -30.0, 30.0)  # beyond, the rest would be exactly 0
    entailed = 1 / (1 + np.exp(-support))
    contradicted = min(1 / (1 + np.exp(-against)), (1 - entailed) * 0.999)
    shares = np.log(np.array([entailed, 1 - entailed - contradicted, contradicted]))
    return [0.0, 0.0, support, *shares]


@functools.cache
def tokens_of(max_tokens: int) -> PairTokens:
    return PairTokens(roberta_tokenizer(), max_tokens=max_tokens)
