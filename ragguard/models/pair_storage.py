"""Weights on disk: safetensors, as they are or with matrices in int8.

In int8 every row of a matrix has its own scale (the largest magnitude in it is
127). The three heads, vectors and scales stay in float32: they are few, and an
error there reaches every score. Reading gives float32 back; nothing is computed
in int8.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ragguard.errors import InvalidValueError, UnreadableFileError

if TYPE_CHECKING:
    from torch import Tensor

STORAGES = ("float32", "int8")
_SCALE = ".row_scale"
_LARGEST = 127
_BACKBONE = "base_model."


def write_weights(path: Path, state: Mapping[str, Tensor], *, storage: str) -> None:
    """Write the tensors as one safetensors file.

    Raises:
        InvalidValueError: unknown storage.
    """
    from safetensors.torch import save_file

    if storage not in STORAGES:
        raise InvalidValueError(f"unknown storage {storage!r}", hint=f"use one of {', '.join(STORAGES)}")
    plain = {name: tensor.detach().cpu().float().contiguous() for name, tensor in state.items()}
    save_file(_packed(plain) if storage == "int8" else plain, path, metadata={"format": "pt"})


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file; int8 matrices come back in float32.

    Raises:
        UnreadableFileError: missing, truncated, not safetensors, or a matrix and its
            scales do not belong together.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(path, device="cpu")
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise UnreadableFileError(
            f"cannot read weights from {path.name}", hint="it is missing, truncated or not safetensors"
        ) from error
    return _unpacked(found, source=path.name)


def _packed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    import torch

    packed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if tensor.ndim != 2 or not name.startswith(_BACKBONE):
            packed[name] = tensor
            continue
        scale = (tensor.abs().amax(dim=1, keepdim=True) / _LARGEST).clamp_min(torch.finfo(torch.float32).tiny)
        packed[name] = (tensor / scale).round().clamp(-_LARGEST, _LARGEST).to(torch.int8)
        packed[name + _SCALE] = scale.squeeze(1)
    return packed


def _unpacked(found: Mapping[str, Tensor], *, source: str) -> dict[str, Tensor]:
    import torch

    state: dict[str, Tensor] = {}
    for name, tensor in found.items():
        scale = found.get(name + _SCALE)
        if name.endswith(_SCALE):
            if name.removesuffix(_SCALE) not in found:
                raise UnreadableFileError(
                    f"{source} has {name} without its matrix", hint="write the model anew"
                )
        elif scale is None:
            state[name] = tensor
        elif tensor.dtype != torch.int8 or tensor.ndim != 2 or scale.shape != tensor.shape[:1]:
            raise UnreadableFileError(
                f"{name} of {source} and its scales do not belong together", hint="write the model anew"
            )
        else:
            state[name] = tensor.float() * scale.float().unsqueeze(1)
    return state
