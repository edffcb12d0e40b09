"""From the names in a configuration to a back end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragguard.errors import InvalidValueError, UnknownNameError
from ragguard.models.backends.protocol import Backend
from ragguard.models.cpu import has_bfloat16

if TYPE_CHECKING:
    from ragguard.models.pair_parts import PairModel

AUTO = "auto"
DTYPES = {
    "torch": ("float32", "bfloat16"),
    "openvino": ("float32", "bfloat16"),
    "onnxruntime": ("float32", "int8"),
}
"""The dtypes of each back end."""


def require_known(backend: str, dtype: str) -> None:
    """Return if there is such a back end and it has the dtype.

    Raises:
        UnknownNameError: no such back end.
        InvalidValueError: it has no such dtype.
    """
    if backend not in (AUTO, *DTYPES):
        raise UnknownNameError(
            f"unknown back end {backend!r}", hint=f"known: {', '.join((AUTO, *sorted(DTYPES)))}"
        )
    offered = (AUTO, *DTYPES[_named(backend)])
    if dtype not in offered:
        raise InvalidValueError(
            f"the back end {_named(backend)!r} has no dtype {dtype!r}",
            hint=f"use one of {', '.join(offered)}",
        )


def make_backend(model: PairModel, *, backend: str, dtype: str, owns_model: bool = False) -> Backend:
    """Return the back end, the model loaded into it.

    "auto" is torch: what is installed beside it does not change a score. The dtype
    "auto" is bfloat16 where the CPU has it and the back end too, else float32; int8 is
    never chosen unasked.

    Args:
        owns_model: the encoder may be changed.

    Raises:
        UnknownNameError: no such back end.
        InvalidValueError: no such dtype, or the CPU lacks bfloat16.
        MissingDependencyError: the back end is not installed.
    """
    require_known(backend, dtype)
    name = _named(backend)
    if dtype == AUTO:
        dtype = "bfloat16" if "bfloat16" in DTYPES[name] and has_bfloat16() else "float32"
    if name == "openvino":
        from ragguard.models.backends.openvino_cpu import OpenVinoBackend

        return OpenVinoBackend(model, dtype=dtype)
    if name == "onnxruntime":
        from ragguard.models.backends.onnxruntime_cpu import OnnxRuntimeBackend

        return OnnxRuntimeBackend(model, dtype=dtype)
    from ragguard.models.backends.torch_cpu import TorchBackend

    return TorchBackend(model, dtype=dtype, owns_model=owns_model)


def _named(backend: str) -> str:
    return "torch" if backend == AUTO else backend
