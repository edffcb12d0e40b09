"""One vector of features for a claim: the model's log-odds and the symbolic checks, all oriented upwards."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ragguard.alignment.checks import FEATURES as CHECKS
from ragguard.alignment.checks.overlap import OVERLAP
from ragguard.alignment.observation import Observation

MODEL_FEATURES: tuple[str, ...] = (
    "chunk_entailed",
    "chunk_aligned",
    "together_entailed",
    "together_aligned",
    "sentence_entailed",
    "sentence_aligned",
    "chunk_uncontradicted",
    "together_uncontradicted",
    "sentence_uncontradicted",
    "few_rivals",
)
BACKED: Mapping[str, str] = {
    "backed_words": "words_in_window",
    "backed_order": "ordered",
    "backed_copy": "triples",
}
"""Likeness that counts as far as the model is of the same opinion, and the likeness it is made of."""
_HOLDS: tuple[str, ...] = tuple(name for name in CHECKS if name.endswith("_holds"))
NAMES: tuple[str, ...] = (*MODEL_FEATURES, *BACKED, *CHECKS)


def feature_vector(observation: Observation, checks: Mapping[str, float]) -> NDArray[np.float64]:
    """Return the features of a claim in the order of `NAMES`, each growing with support.

    Model features are log-odds in [-12, 12]; `few_rivals` is minus the log of the
    number of chunks that are about the same, because the highest of many is high by chance.
    Likeness of words is 0 where a check found a conflict, or another to whom the source
    ascribes it: "Dino bought Rex" has every word of "Rex bought Dino", and that speaks
    for nothing. Where a check misses something, a figure that is nowhere in the source,
    likeness counts as far as the model believes the claim: a sentence with one figure
    changed is very like its source.
    """
    seen = observation
    believed = float(expit(max(seen.entailed.max(), seen.aligned.max())))
    counted = _counted(checks, believed)
    checks = {name: checks[name] * (counted if name in OVERLAP else 1.0) for name in CHECKS}
    chunks = slice(0, seen.chunks)
    alone = seen.alone if seen.alone.stop > seen.alone.start else slice(seen.together, seen.together + 1)
    best_chunk = int(np.argmax(seen.entailed[chunks]))
    best_alone = alone.start + int(np.argmax(seen.entailed[alone]))
    backing = float(expit(max(seen.aligned[chunks].max(), seen.aligned[seen.together])))
    values = [
        seen.entailed[best_chunk],
        seen.aligned[chunks].max(),
        seen.entailed[seen.together],
        seen.aligned[seen.together],
        seen.entailed[best_alone],
        seen.aligned[alone].max(),
        -seen.contradicted[best_chunk],
        -seen.contradicted[seen.together],
        -seen.contradicted[alone.start],
        -np.log(seen.rivals),
        *(backing * checks[name] for name in BACKED.values()),
        *(checks[name] for name in CHECKS),
    ]
    return np.asarray(values, dtype=np.float64)


def _counted(checks: Mapping[str, float], believed: float) -> float:
    """The share of the likeness that counts, in [0, 1], when the model believes the claim to that degree."""
    if min(checks["no_conflict"], checks["owner_holds"], checks["role_holds"]) < 1.0:
        return 0.0
    return 1.0 if all(checks[name] >= 1.0 for name in _HOLDS) else believed
