"""What scores the items: baselines that every learned aligner has to beat, and the learned ones.

A scorer is named in `SCORERS`; building it may load weights, and its `score` takes
items and returns one array in [0, 1] for each of its rows ("" or e.g. "min").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from benchmarks.consistency_aligners import (
    Built,
    build_aligner,
    build_compat,
    build_model,
    by_claims,
    one_by_one,
)
from benchmarks.consistency_metrics import Array
from benchmarks.consistency_sets import Item
from benchmarks.consistency_vectors import SentenceVectors
from ragguard.alignment.lexical import LexicalAligner
from ragguard.models.cpu import has_bfloat16
from ragguard.models.embedders import SentenceTransformerEmbedder
from ragguard.protocols import Progress
from ragguard.text.sentences import sentence_spans
from ragguard.text.words import content_words


@dataclass(frozen=True)
class Setting:
    """What building a scorer may need.

    Attributes:
        model: name or folder of the trained pair model.
        dtype: it computes in.
        cache: folder for vectors.
        progress: called as progress(what, done, total).
    """

    model: str
    dtype: str
    cache: Path
    progress: Progress


def build_overlap(_: Setting) -> Built:
    """The share of the claim's content words that occur anywhere in the source."""

    def score(items: Sequence[Item]) -> Mapping[str, Array]:
        known: dict[str, set[str]] = {}
        found = []
        for item in items:
            wanted = content_words(item.claim)
            if item.context not in known:
                known[item.context] = content_words(item.context)
            here = known[item.context]
            found.append(len(wanted & here) / len(wanted) if wanted else 0.0)
        return {"": np.array(found)}

    return Built(score, {"": 0.5})


def build_length(_: Setting) -> Built:
    """1/(1 + words of the claim): what can be told without reading the source."""
    return Built(lambda items: {"": np.array([1 / (1 + len(i.claim.split())) for i in items])})


def build_embedding(setting: Setting) -> Built:
    """The highest cosine of the claim with a sentence of the source, by the bundled MiniLM."""
    model = SentenceTransformerEmbedder(dtype="bfloat16" if has_bfloat16() else "float32")
    vectors = SentenceVectors(model, setting.cache, setting.progress)

    def score(items: Sequence[Item]) -> Mapping[str, Array]:
        sentences = {i.context: [i.context[a:b] for a, b in sentence_spans(i.context)] for i in items}
        vectors([text for texts in sentences.values() for text in texts] + [i.claim for i in items])
        found = []
        for item in items:
            here = sentences[item.context]
            best = float((vectors(here) @ vectors([item.claim])[0]).max()) if here else 0.0
            found.append(min(1.0, max(0.0, best)))
        return {"": np.array(found)}

    return Built(score, {"": 0.5}, model.fingerprint())


def build_lexical(_: Setting) -> Built:
    """The library's word-based aligner, claim by claim."""
    aligner = LexicalAligner()
    score = by_claims(one_by_one(aligner), prod)
    return Built(score, {"min": aligner.default_threshold}, aligner.fingerprint())


BASELINES: Mapping[str, Callable[[Setting], Built]] = {
    "length": build_length,
    "overlap": build_overlap,
    "embedding": build_embedding,
    "lexical": build_lexical,
}


def _learned(build: Callable[[str, str], Built]) -> Callable[[Setting], Built]:
    return lambda setting: build(setting.model, setting.dtype)


SCORERS: Mapping[str, Callable[[Setting], Built]] = {
    **BASELINES,
    "model": _learned(build_model),
    "compat": _learned(build_compat),
    "aligner": _learned(build_aligner),
}
