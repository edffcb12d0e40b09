"""Aligners claim by claim, and the trained pair model with nothing around it.

The trained parts are imported when asked for: a benchmark of the baselines runs
without them, and says which are missing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from benchmarks.consistency_metrics import Array
from benchmarks.consistency_sets import Item
from ragguard.alignment.claims import split_claims
from ragguard.models.pair_logits import ALIGNED, BINARY, CONTRADICTED, ENTAILED, THREE_WAY
from ragguard.protocols import Aligner
from ragguard.types import Claim, Passage, Span

Score = Callable[[Sequence[Item]], Mapping[str, Array]]
_STEP = 32  # tokens


class AbsentScorerError(Exception):
    """A scorer cannot be built here: its module or its weights are missing."""


def by_claims(aligner: Aligner) -> Score:
    """Return the score of an aligner: answers are split into claims, as the guard does.

    Rows: `min`, the least supported claim, on which the guard decides; `mean`; and
    `all`, the product, which is P(all supported) if claims were independent.
    """

    def score(items: Sequence[Item]) -> Mapping[str, Array]:
        found = []
        for item in items:
            evidence = aligner.align(claims_of(item), passages_of(item), question=item.question or "")
            scores = [e.score or 0.0 for e in evidence]
            found.append((min(scores), float(np.mean(scores)), float(np.prod(scores))))
        columns = np.array(found, dtype=np.float64).reshape(-1, 3)
        return {name: columns[:, place] for place, name in enumerate(("min", "mean", "all"))}

    return score


def claims_of(item: Item) -> list[Claim]:
    """Return the claims of the item, or the whole of it where it holds none."""
    whole = Claim(text=item.claim, span=Span(start=0, end=len(item.claim)))
    return split_claims(item.claim) or [whole]


def passages_of(item: Item) -> list[Passage]:
    """Return the item's source as passages."""
    return [Passage(id=str(place), text=text) for place, text in enumerate(item.passages)]


def build_aligner(model: str) -> tuple[Score, float | None, Mapping[str, Any]]:
    """The library's trained aligner, as the guard uses it.

    Raises:
        AbsentScorerError: it is not part of this installation.
    """
    aligner = _loaded("ragguard.alignment.aligner", "AlignmentAligner")(model=model)
    return by_claims(aligner), getattr(aligner, "default_threshold", 0.5), aligner.fingerprint()


def build_model(model: str) -> tuple[Score, float | None, Mapping[str, Any]]:
    """The pair model alone: the whole claim against each chunk of the source, the highest counts.

    Rows: `three_way`, the highest P(entailed); `binary`, the highest P(aligned);
    `not_contradicted`, 1 less the highest P(contradicted).

    Raises:
        AbsentScorerError: its modules or weights are missing.
    """
    engine = _engine(model)
    chunk_passages = _loaded("ragguard.alignment.chunks", "chunk_passages")
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

    return score, 0.5, engine.fingerprint()


def build_compat(model: str) -> tuple[Score, float | None, Mapping[str, Any]]:
    """The pair model in the published profile: chunks of about 350 words, mean over sentences of the highest.

    Raises:
        AbsentScorerError: its modules or weights are missing.
    """
    scorer = _loaded("ragguard.alignment.compat", "PublishedScorer")(_engine(model))

    def score(items: Sequence[Item]) -> Mapping[str, Array]:
        found = scorer.score([i.context for i in items], [i.claim for i in items])
        return {"": np.array([0.0 if value is None else value for value in found])}

    return score, 0.5, scorer.fingerprint()


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
def _engine(model: str) -> Any:
    """One engine for all rows of a model: its cache serves them all."""
    engine = _loaded("ragguard.models.pair_engine", "PairEngine")(model)
    engine.warm_up()  # weights that are not here are missed now, not in the middle
    return engine


def _loaded(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise AbsentScorerError(f"{module}.{name} is not part of this installation") from error
