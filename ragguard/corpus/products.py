"""The products that preselect pairs for `search`, each with the largest error it can make.

A product need not be exact, only honest about its error: `search` keeps what
could reach the threshold within it and scores that again.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

from ragguard.errors import InvalidValueError
from ragguard.protocols import FloatArray


class Product(Protocol):
    """Similarities of queries with a run of rows, to within `error` for unit vectors."""

    @property
    def error(self) -> float: ...

    def __call__(self, queries: FloatArray, start: int, stop: int, out: FloatArray, /) -> None:
        """Write the similarities to `out`, (q, stop - start) float32."""
        ...


class Float32Product:
    """The vectors themselves, through numpy's BLAS; nothing is copied."""

    def __init__(self, vectors: FloatArray) -> None:
        self._vectors = vectors
        # The classical bound d * 2**-24 on a rounded sum, plus one rounding of the exact value.
        self.error = (vectors.shape[1] + 1) * 2.0**-24

    def __call__(self, queries: FloatArray, start: int, stop: int, out: FloatArray, /) -> None:
        np.matmul(queries, self._vectors[start:stop].T, out=out)


class Bfloat16Product:
    """A bfloat16 copy of the vectors, half their size; make it once and pass it as `screen`.

    Raises:
        InvalidValueError: this CPU has no bfloat16 instructions.
        MissingDependencyError: torch is not installed.
    """

    # 8 significant bits: at most 2**-9 on each factor and on the result, and the sum's own error.
    error = 3 * 2.0**-9 + 2.0**-11

    def __init__(self, vectors: FloatArray) -> None:
        from ragguard.models.cpu import import_torch, require_bfloat16

        require_bfloat16()
        self._torch: Any = import_torch()
        # torch cannot share read-only memory; the copy is dropped after the cast.
        source = vectors if vectors.flags.writeable else vectors.copy()
        self._matrix = self._torch.from_numpy(source).to(self._torch.bfloat16)

    def __call__(self, queries: FloatArray, start: int, stop: int, out: FloatArray, /) -> None:
        left = self._torch.from_numpy(queries.copy()).to(self._torch.bfloat16)
        self._torch.from_numpy(out).copy_(left @ self._matrix[start:stop].T)


Screen: TypeAlias = Literal["float32", "bfloat16"] | Product


def product_for(vectors: FloatArray, screen: Screen) -> Product:
    """Return the product of that name, or `screen` itself when it is one.

    Raises:
        InvalidValueError: no such name, or it cannot be had on this machine.
    """
    if screen == "float32":
        return Float32Product(vectors)
    if screen == "bfloat16":
        return Bfloat16Product(vectors)
    if isinstance(screen, str):
        raise InvalidValueError(f"unknown screen {screen!r}", hint="use 'float32' or 'bfloat16'")
    return screen
