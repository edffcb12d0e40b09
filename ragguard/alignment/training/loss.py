"""The multi-task loss: one unit for a head at chance, whatever its number of classes."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ragguard.alignment.training.examples import IGNORE
from ragguard.models.pair_encoder import BINARY, REGRESSION, THREE_WAY


def alignment_loss(logits: Tensor, binary: Tensor, three_way: Tensor, similarity: Tensor) -> Tensor:
    """Return CE(binary)/ln 2 + CE(3-way)/ln 3 + squared error, each a mean over the rows it knows.

    Args:
        logits: shape (rows, 6).
        binary: shape (rows,), 0, 1 or -100 where unknown.
        three_way: shape (rows,), 0, 1, 2 or -100.
        similarity: shape (rows,), in [0, 1], NaN where unknown.

    References:
        Zha et al. (2023), AlignScore, section 3.2.
    """
    total = logits.sum() * 0.0
    if bool((binary != IGNORE).any()):
        total = total + cross_entropy(logits[:, BINARY], binary, ignore_index=IGNORE) / math.log(2)
    if bool((three_way != IGNORE).any()):
        total = total + cross_entropy(logits[:, THREE_WAY], three_way, ignore_index=IGNORE) / math.log(3)
    known = ~torch.isnan(similarity)
    if bool(known.any()):
        error: Tensor = logits[known, REGRESSION] - similarity[known]
        total = total + (error**2).mean()
    return total
