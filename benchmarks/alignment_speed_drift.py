"""What a back end or dtype does to a trained model's verdicts, against torch in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.consistency_sets import load_items
from benchmarks.length_mix import evidence_pairs
from benchmarks.question_sets import AbsentDataError
from ragguard.errors import ConfigurationError, MissingDependencyError, UnreadableFileError
from ragguard.models.backends.choose import DTYPES
from ragguard.models.cpu import has_bfloat16
from ragguard.models.pair_engine import PairEngine
from ragguard.models.pair_logits import ALIGNED, BINARY, ENTAILED, THREE_WAY
from ragguard.protocols import FloatArray

Shares = NDArray[np.float64]


def drift(model: str, data: Path, *, pairs: int) -> dict[str, Any]:
    """Return, for each back end and dtype, the share of pairs whose p > 0.5 flips, and how far p moves."""
    reference = PairEngine(model, backend="torch", dtype="float32", cache_size=0)
    try:
        reference.warm_up()
    except (ConfigurationError, UnreadableFileError) as error:
        return {"skipped": str(error)}
    texts, source = _texts(data, pairs)
    expected = _probabilities(reference.logits(texts))
    rows: dict[str, Any] = {}
    for backend, dtypes in DTYPES.items():
        for dtype in dtypes:
            if (backend, dtype) == ("torch", "float32") or (dtype == "bfloat16" and not has_bfloat16()):
                continue
            engine = PairEngine(model, backend=backend, dtype=dtype, cache_size=0)
            try:
                found = _probabilities(engine.logits(texts))
            except MissingDependencyError as error:
                rows[f"{backend}_{dtype}"] = {"skipped": str(error)}
                continue
            rows[f"{backend}_{dtype}"] = {head: _row(found[head], expected[head]) for head in expected}
    return {"pairs": len(texts), "texts": source, "against": "torch_float32", "kinds": rows}


def _row(found: Shares, expected: Shares) -> dict[str, float]:
    moved = np.abs(found - expected)
    return {
        "flips": float(np.mean((found > 0.5) != (expected > 0.5))),
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


def _texts(data: Path, count: int) -> tuple[list[tuple[str, str]], str]:
    """Claims of the public consistency sets against their passages; made-up pairs without the data."""
    try:
        items = [item for each in load_items(data, "tuning").values() for item in each]
    except AbsentDataError:
        return evidence_pairs(count), "length_mix"
    order = np.random.default_rng(0).permutation(len(items))[:count]
    return [("\n".join(items[i].passages), items[i].claim) for i in order], "consistency sets, tuning half"
