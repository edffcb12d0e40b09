"""What the engine expects of a back end."""

from __future__ import annotations

from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ragguard.protocols import FloatArray

IntArray: TypeAlias = NDArray[np.int64]


@runtime_checkable
class Backend(Protocol):
    """One model, loaded, and called by one thread at a time.

    A row's logits may depend on the shape of the batch but not on its other rows.
    """

    @property
    def name(self) -> str: ...

    @property
    def dtype(self) -> str: ...

    @property
    def library(self) -> str:
        """The library and the version that decides how it computes, for fingerprints."""
        ...

    @property
    def most_rows(self) -> int | None:
        """Rows of a batch above which rows would change one another; None for no such number."""
        ...

    def run(self, ids: IntArray, mask: IntArray, types: IntArray | None, /) -> FloatArray:
        """Return the logits (rows, 6) of ids, attention mask and segment ids, each (rows, length).

        Args:
            types: None where the model has one segment only.
        """
        ...


def version_of(module: str, version: str) -> str:
    """Return `module major.minor`: a patch release does not void a calibration."""
    return f"{module} {'.'.join(version.split('+')[0].split('.')[:2])}"
