"""The alignment model: one encoder over a pair of texts, three heads, six numbers out.

The layout is AlignScore's: a pooled first token, then a binary head (aligned or
not), a 3-way head (entailed, neutral, contradicted) and a regression head
(similarity). Text a is the source, text b the claim.

References:
    Zha, Yang, Li and Hu (2023), AlignScore, section 3.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ragguard.models.pair_logits import (
    ALIGNED,
    BINARY,
    CONTRADICTED,
    ENTAILED,
    LOGITS,
    NEUTRAL,
    REGRESSION,
    THREE_WAY,
)

__all__ = [
    "ALIGNED",
    "BINARY",
    "CONTRADICTED",
    "ENTAILED",
    "LOGITS",
    "NEUTRAL",
    "REGRESSION",
    "THREE_WAY",
    "PairEncoder",
]


class PairEncoder(nn.Module):
    """A BERT or RoBERTa backbone with pooler, and the three heads on its pooled vector.

    Args:
        backbone: a transformers encoder whose output has `pooler_output`.
        dropout: before the binary and the 3-way head while training.
    """

    def __init__(self, backbone: nn.Module, *, dropout: float = 0.1) -> None:
        super().__init__()
        width = int(backbone.config.hidden_size)
        self.base_model = backbone
        self.bin_layer = nn.Linear(width, 2)
        self.tri_layer = nn.Linear(width, 3)
        self.reg_layer = nn.Linear(width, 1)
        self.dropout = nn.Dropout(dropout)

    @classmethod
    def from_config(cls, config: Any, *, dropout: float = 0.1) -> PairEncoder:
        """Return one of this shape with random weights, to be trained or loaded into."""
        from transformers import AutoModel

        return cls(AutoModel.from_config(config), dropout=dropout)

    @classmethod
    def from_backbone(cls, folder: Path, *, dropout: float = 0.0) -> PairEncoder:
        """Return the encoder of a folder under fresh heads, all its dropout set to `dropout`: to be trained."""
        from transformers import AutoConfig, AutoModel

        config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
        config.attention_probs_dropout_prob = config.hidden_dropout_prob = dropout
        backbone = AutoModel.from_pretrained(
            str(folder), config=config, local_files_only=True, use_safetensors=True
        )
        return cls(backbone, dropout=dropout)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Return logits of shape (rows, 6): regression, binary (2), 3-way (3)."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        pooled = self.base_model(**inputs).pooler_output
        dropped = self.dropout(pooled)
        return torch.cat([self.reg_layer(pooled), self.bin_layer(dropped), self.tri_layer(dropped)], dim=1)
