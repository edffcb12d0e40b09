"""The model as torch runs it, in float32 or bfloat16."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from ragguard.models.backends.protocol import IntArray, version_of
from ragguard.models.cpu import import_torch, require_bfloat16
from ragguard.protocols import FloatArray

if TYPE_CHECKING:
    from ragguard.models.pair_parts import PairModel


class TorchBackend:
    """Runs a pair model in torch on the CPU.

    In bfloat16 the encoder alone is halved: pooler and heads stay float32, as a
    logit near 4 would otherwise move in steps of 1/64.

    Args:
        dtype: "float32" or "bfloat16".
        owns_model: the encoder may be changed; otherwise bfloat16 takes a copy.

    Raises:
        InvalidValueError: bfloat16 on a CPU that has none.
    """

    name = "torch"
    most_rows = None

    def __init__(self, model: PairModel, *, dtype: str, owns_model: bool = False) -> None:
        torch = import_torch()
        encoder: Any = model.encoder
        if dtype == "bfloat16":
            require_bfloat16()
            encoder = _halved(encoder if owns_model else copy.deepcopy(encoder), torch)
        self.dtype = dtype
        self.library = version_of("torch", torch.__version__)
        self._encoder = encoder.eval()
        self._torch = torch

    def run(self, ids: IntArray, mask: IntArray, types: IntArray | None, /) -> FloatArray:
        """Return the logits (rows, 6)."""
        torch = self._torch
        with torch.inference_mode():
            segments = None if types is None else torch.from_numpy(types)
            logits = self._encoder(torch.from_numpy(ids), torch.from_numpy(mask), segments)
        return np.asarray(logits.numpy(), dtype=np.float32)


def _halved(encoder: Any, torch: Any) -> Any:
    encoder.base_model.to(torch.bfloat16)
    pooler = encoder.base_model.pooler
    pooler.float()
    pooler.register_forward_pre_hook(lambda _, hidden: (hidden[0].float(),))
    return encoder
