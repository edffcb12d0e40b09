"""Vectors of length one."""

from __future__ import annotations

import numpy as np

from ragguard.errors import InvalidVectorError
from ragguard.protocols import FloatArray


def unit_vectors(vectors: FloatArray, *, source: str) -> FloatArray:
    """Return the rows scaled to length one.

    Raises:
        InvalidVectorError: a row is zero, or holds NaN or infinity.
    """
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    bad = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if len(bad):
        raise InvalidVectorError(
            f"{source} returned NaN, infinity or zeros for {len(bad)} of {len(vectors)} texts",
            hint="check the model",
            details={"rows": bad[:10].tolist()},
        )
    unit: FloatArray = (vectors / lengths[:, None]).astype(np.float32)
    return unit
