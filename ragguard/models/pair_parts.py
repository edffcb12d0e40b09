"""What a loaded alignment model is: an encoder, its tokenizer, and where both came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ragguard.models.pair_tokens import PairTokens

if TYPE_CHECKING:
    from ragguard.models.pair_encoder import PairEncoder


@dataclass(frozen=True)
class PairModel:
    """An alignment model in float32 on the CPU, in evaluation mode; every weight came from a file.

    Attributes:
        encoder: pairs of ids to six numbers.
        tokens: its tokenizer.
        name: for people; two models may share one.
        weights_sha256: of the file the weights were read from, in hex.
        card: what was measured when it was made; may be empty.
    """

    encoder: PairEncoder
    tokens: PairTokens
    name: str
    weights_sha256: str
    card: Mapping[str, Any] = field(default_factory=dict)

    @property
    def uses_segments(self) -> bool:
        """Whether it is told which text a token is of (BERT); RoBERTa has one segment only."""
        return int(self.encoder.base_model.config.type_vocab_size) > 1

    def fingerprint(self) -> dict[str, Any]:
        """Return what determines its logits, JSON-serialisable."""
        config = self.encoder.base_model.config
        return {
            "name": self.name,
            "weights_sha256": self.weights_sha256,
            "max_tokens": self.tokens.max_tokens,
            "tokenizer_sha256": self.tokens.sha256,
            "architecture": str(config.model_type),
        }
