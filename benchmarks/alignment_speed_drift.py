"""What a back end or dtype does to a trained model's verdicts, against torch in float32."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.consistency_aligners import claims_of, passages_of
from benchmarks.consistency_sets import Item, load_items
from benchmarks.length_mix import evidence_pairs
from benchmarks.question_sets import AbsentDataError
from ragguard.alignment.aligner import AlignmentAligner
from ragguard.errors import ConfigurationError, MissingDependencyError, UnreadableFileError
from ragguard.models.backends.choose import DTYPES
from ragguard.models.cpu import has_bfloat16
from ragguard.models.pair_engine import PairEngine
from ragguard.models.pair_logits import ALIGNED, BINARY, ENTAILED, THREE_WAY
from ragguard.protocols import FloatArray

Shares = NDArray[np.float64]
_PER_CALL = 16
_ITEMS_A_PAIR = 4
"""Pairs read alone for every item judged by the aligner, which reads several dozen of them."""


def drift(model: str, data: Path, *, pairs: int) -> dict[str, Any]:
    """Return, for each back end and dtype, the share of pairs whose p > 0.5 flips, and how far p moves."""
    reference = PairEngine(model, backend="torch", dtype="float32", cache_size=0)
    try:
        reference.warm_up()
    except (ConfigurationError, UnreadableFileError) as error:
        return {"skipped": str(error)}
    texts, source, items = _texts(data, pairs)
    expected = _probabilities(reference.logits(texts))
    verdicts = _claim_scores(model, reference, items)
    threshold = AlignmentAligner(model, engine=reference).default_threshold
    rows: dict[str, Any] = {}
    for backend, dtypes in DTYPES.items():
        for dtype in dtypes:
            if (backend, dtype) == ("torch", "float32") or (dtype == "bfloat16" and not has_bfloat16()):
                continue
            engine = PairEngine(model, backend=backend, dtype=dtype, cache_size=0)
            try:
                found = _probabilities(engine.logits(texts))
                claims = _claim_scores(model, engine, items)
            except MissingDependencyError as error:
                rows[f"{backend}_{dtype}"] = {"skipped": str(error)}
                continue
            row = {head: _row(found[head], expected[head]) for head in expected}
            rows[f"{backend}_{dtype}"] = row | {"claims": _row(claims, verdicts, threshold)}
    return {
        "pairs": len(texts),
        "claims": len(verdicts),
        "texts": source,
        "against": "torch_float32",
        "kinds": rows,
    }


def _claim_scores(model: str, engine: PairEngine, items: Sequence[Item]) -> Shares:
    """The scores of the items' claims by the aligner, as its verdicts go."""
    aligner = AlignmentAligner(model, engine=engine)
    asked = [(claims_of(item), passages_of(item), item.question or "") for item in items]
    scores = [
        aligner.combiner.scores(reading.features())
        for start in range(0, len(asked), _PER_CALL)
        for reading in aligner.read_many(asked[start : start + _PER_CALL])
    ]
    return np.concatenate(scores) if scores else np.empty(0)


def _row(found: Shares, expected: Shares, threshold: float = 0.5) -> dict[str, float]:
    moved = np.abs(found - expected)
    return {
        "flips": float(np.mean((found > threshold) != (expected > threshold))),
        "drift_mean": float(moved.mean()),
        "drift_p99": float(np.percentile(moved, 99)),
        "drift_max": float(moved.max()),
    }


def _probabilities(logits: FloatArray) -> dict[str, Shares]:
    return {
        "entailed": _softmax(logits[:, THREE_WAY])[:, ENTAILED],
        "aligned": _softmax(logits[:, BINARY])[:, ALIGNED],
    }


def _softmax(logits: FloatArray) -> Shares:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _texts(data: Path, count: int) -> tuple[list[tuple[str, str]], str, list[Item]]:
    """Claims of the public consistency sets against their passages; made-up pairs without the data."""
    try:
        items = [item for each in load_items(data, "tuning").values() for item in each]
    except AbsentDataError:
        return evidence_pairs(count), "length_mix", []
    order = np.random.default_rng(0).permutation(len(items))[:count]
    texts = [("\n".join(items[i].passages), items[i].claim) for i in order]
    some = [items[i] for i in order[: count // _ITEMS_A_PAIR]]
    return texts, "consistency sets, tuning half", some
