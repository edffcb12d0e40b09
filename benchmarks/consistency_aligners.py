"""Aligners claim by claim, and the trained pair model with nothing around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from benchmarks.consistency_metrics import Array
from benchmarks.consistency_sets import Item
from ragguard.alignment.aligner import AlignmentAligner
from ragguard.alignment.chunks import chunk_passages
from ragguard.alignment.claims import split_claims
from ragguard.alignment.compat import PublishedScorer
from ragguard.models.pair_engine import PairEngine
from ragguard.models.pair_logits import ALIGNED, BINARY, CONTRADICTED, ENTAILED, THREE_WAY
from ragguard.protocols import Aligner
from ragguard.types import Claim, Evidence, Passage, Span

Score = Callable[[Sequence[Item]], Mapping[str, Array]]
Judge = Callable[[Sequence[Item]], list[list[Evidence]]]
_STEP = 32  # tokens
_TOGETHER = 16  # items a call


@dataclass(frozen=True)
class Built:
    """A scorer ready to run.

    Attributes:
        score: items -> row -> (n,) in [0, 1].
        thresholds: row -> the fixed one, above which it counts as supported; rows without one are not in it.
        fingerprint: what determines the scores.
    """

    score: Score
    thresholds: Mapping[str, float] = field(default_factory=dict)
    fingerprint: Mapping[str, Any] = field(default_factory=dict)


def by_claims(judge: Judge, all_supported: Callable[[Sequence[float]], float]) -> Score:
    """Return the score of an aligner: answers are split into claims, as the guard does.

    Rows: `min`, the least supported claim, on which the guard decides; `mean`; `share`
    of the claims with the outcome "supported"; and `all`, P(every claim is supported).

    Args:
        judge: items -> the evidence of the claims of each.
        all_supported: the claims' scores -> P(every claim is supported).
    """

    def score(items: Sequence[Item]) -> Mapping[str, Array]:
        found = []
        for evidence in judge(items):
            scores = [e.score or 0.0 for e in evidence]
            share = np.mean([e.outcome == "supported" for e in evidence])
            found.append((min(scores), np.mean(scores), share, all_supported(scores)))
        columns = np.array(found, dtype=np.float64).reshape(-1, 4)
        return {name: columns[:, place] for place, name in enumerate(("min", "mean", "share", "all"))}

    return score


def one_by_one(aligner: Aligner) -> Judge:
    """Return the judge that asks any aligner about one item after the other."""

    def judge(items: Sequence[Item]) -> list[list[Evidence]]:
        return [aligner.align(claims_of(i), passages_of(i), question=i.question or "") for i in items]

    return judge


def together(aligner: AlignmentAligner) -> Judge:
    """Return the judge that lets the model read several items at once."""

    def judge(items: Sequence[Item]) -> list[list[Evidence]]:
        found = []
        for start in range(0, len(items), _TOGETHER):
            asked = [
                (claims_of(i), passages_of(i), i.question or "") for i in items[start : start + _TOGETHER]
            ]
            readings = aligner.read_many(asked)
            found += [aligner.judge(r, a[0], a[1]) for r, a in zip(readings, asked, strict=True)]
        return found

    return judge


def claims_of(item: Item) -> list[Claim]:
    """Return the claims of the item, or the whole of it where it holds none."""
    whole = Claim(text=item.claim, span=Span(start=0, end=len(item.claim)))
    return split_claims(item.claim) or [whole]


def passages_of(item: Item) -> list[Passage]:
    """Return the item's source as passages."""
    return [Passage(id=str(place), text=text) for place, text in enumerate(item.passages)]


def build_aligner(model: str, dtype: str) -> Built:
    """The library's trained aligner, as the guard uses it.

    Raises:
        RagGuardError: its weights are missing or cannot be used here.
    """
    aligner = AlignmentAligner(model, engine=_engine(model, dtype))
    score = by_claims(together(aligner), aligner.combiner.all_supported)
    return Built(score, {"min": aligner.default_threshold}, aligner.fingerprint())


def build_model(model: str, dtype: str) -> Built:
    """The pair model alone: the whole claim against each chunk of the source, the highest counts.

    Rows: `three_way`, the highest P(entailed); `binary`, the highest P(aligned);
    `not_contradicted`, 1 less the highest P(contradicted).

    Raises:
        RagGuardError: its weights are missing or cannot be used here.
    """
    engine = _engine(model, dtype)
    tokens = engine.tokens

    def score(items: Sequence[Item]) -> Mapping[str, Array]:
        pairs: list[tuple[str, str]] = []
        owner: list[int] = []
        cut: dict[tuple[tuple[str, ...], int], list[str]] = {}
        lengths = tokens.counts([item.claim for item in items])
        for place, item in enumerate(items):
            # In steps, so that the claims about one document mostly share its chunks.
            room = max(
                _STEP, (tokens.max_tokens - tokens.pair_overhead - int(lengths[place])) // _STEP * _STEP
            )
            key = item.passages, room
            if key not in cut:
                cut[key] = [c.text for c in chunk_passages(passages_of(item), tokens.spans, budget=room)]
            pairs += [(text, item.claim) for text in cut[key]]
            owner += [place] * len(cut[key])
        logits = engine.logits(pairs).astype(np.float64)
        binary, three_way = softmax(logits[:, BINARY]), softmax(logits[:, THREE_WAY])
        best = {"three_way": three_way[:, ENTAILED], "binary": binary[:, ALIGNED]}
        rows = {name: highest(values, owner, len(items)) for name, values in best.items()}
        rows["not_contradicted"] = 1.0 - highest(three_way[:, CONTRADICTED], owner, len(items))
        return rows

    return Built(score, dict.fromkeys(("three_way", "binary", "not_contradicted"), 0.5), engine.fingerprint())


def build_compat(model: str, dtype: str) -> Built:
    """The pair model in the published profile: chunks of about 350 words, mean over sentences of the highest.

    Raises:
        RagGuardError: its weights are missing or cannot be used here.
    """
    scorer = PublishedScorer(_engine(model, dtype))

    def score(items: Sequence[Item]) -> Mapping[str, Array]:
        found = scorer.score([i.context for i in items], [i.claim for i in items])
        return {"": np.array([0.0 if value is None else value for value in found])}

    return Built(score, {"": 0.5}, scorer.fingerprint())


def softmax(logits: Array) -> Array:
    """Return the softmax of each row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Array = powers / powers.sum(axis=1, keepdims=True)
    return shares


def highest(values: Array, owner: Sequence[int], count: int) -> Array:
    """Return the highest value of each owner, 0 for one without any."""
    found = np.zeros(count)
    np.maximum.at(found, np.asarray(owner, dtype=np.intp), values)
    return found


@lru_cache(maxsize=1)
def _engine(model: str, dtype: str) -> PairEngine:
    """One engine for all rows of a model: its cache serves them all."""
    engine = PairEngine(model, dtype=dtype)
    engine.warm_up()  # weights that are not here are missed now, not in the middle
    return engine
