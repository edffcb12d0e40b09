"""The alignment model on a decoder: the last token has read source and claim, and three heads read it.

Same contract as the encoder's: ids and mask in, six numbers out. The shape is a
Llama's; weights of its layers come from a base, frozen, and an adapter beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from ragguard.errors import ConfigurationError, UnreadableFileError
from ragguard.models.decoder_pair_layers import DecoderBackbone
from ragguard.models.pair_encoder import PairEncoder
from ragguard.models.pair_weights import require_finite, require_same_names

if TYPE_CHECKING:
    from torch import Tensor

    from ragguard.models.decoder_pair_base import DecoderBase

_COUNTS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
)


class DecoderPairEncoder(PairEncoder):
    """A causal decoder whose last real token's normed hidden state goes into the three heads.

    Which text a token is of, the layout of the tokens says: segment ids are taken
    and not looked at.
    """

    @classmethod
    def from_config(cls, config: Any, *, dropout: float = 0.1) -> DecoderPairEncoder:
        """Return one of this shape with random weights, to be trained or loaded into."""
        return cls(DecoderBackbone(config), dropout=dropout)

    @classmethod
    def from_base(
        cls, base: DecoderBase, *, bidirectional: bool = False, dropout: float = 0.0
    ) -> DecoderPairEncoder:
        """Return the base's layers, frozen, under fresh heads: to be trained.

        Args:
            bidirectional: every token sees every other.
            dropout: before the binary and the 3-way head while training.

        Raises:
            UnreadableFileError: a weight of the base is missing, left over, misshapen or not finite.
        """
        encoder = decoder_of(base.settings, base.state, source=base.name, bidirectional=bidirectional)
        encoder.dropout.p = dropout
        return encoder


def decoder_of(
    settings: Mapping[str, Any], state: Mapping[str, Tensor], *, source: str, bidirectional: bool = False
) -> DecoderPairEncoder:
    """Return a decoder that holds exactly these weights, frozen; its heads are fresh.

    Args:
        settings: of the shape, as `decoder_config` takes them.
        state: `embed_tokens.*`, `layers.*` and `pooler.weight`; float tensors, not copied.
        source: the name of the base, for errors.

    Raises:
        ConfigurationError: the settings are of something else than a plain Llama.
        UnreadableFileError: a weight is missing, unexpected, of another shape or not finite.
    """
    config = decoder_config({**settings, "bidirectional": bidirectional}, source=source)
    with torch.device("meta"):
        backbone = DecoderBackbone(config)
    require_same_names(backbone.state_dict(), state, source=source)
    require_finite(state, source=source)
    backbone.load_state_dict(dict(state), assign=True)
    return DecoderPairEncoder(backbone.requires_grad_(False), dropout=0.0)


def decoder_config(settings: Mapping[str, Any], *, source: str) -> Any:
    """Return the configuration of a decoder.

    Args:
        settings: the counts that shape it, `rms_norm_eps`, `rope_theta`, `pad_token_id`, and
            `bidirectional` if it is.
        source: for errors.

    Raises:
        ConfigurationError: another architecture, or one with scaled positions or biases.
        UnreadableFileError: a count is missing or unusable.
    """
    from transformers import LlamaConfig

    _require_plain(settings, source=source)
    counts = {name: settings.get(name) for name in _COUNTS}
    for name, value in counts.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UnreadableFileError(
                f"{name} in the configuration of {source} cannot be used", hint="write config.json anew"
            )
    heads, kept = settings["num_attention_heads"], settings["num_key_value_heads"]
    if heads % kept or settings["head_dim"] % 2:
        raise UnreadableFileError(
            f"{source} has {heads} heads over {kept} of width {settings['head_dim']}",
            hint="write config.json anew",
        )
    return LlamaConfig(
        **counts,
        rms_norm_eps=float(settings["rms_norm_eps"]),
        rope_theta=float(settings["rope_theta"]),
        pad_token_id=settings.get("pad_token_id"),
        type_vocab_size=1,
        bidirectional=bool(settings.get("bidirectional", False)),
    )


def decoder_settings(config: Mapping[str, Any], *, pad_id: int) -> dict[str, Any]:
    """Return the settings in a Llama's `config.json` that a decoder here is shaped by."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    heads, width = config.get("num_attention_heads") or 1, config.get("hidden_size") or 0
    return {
        "model_type": config.get("model_type"),
        **{name: config.get(name) for name in _COUNTS},
        "num_key_value_heads": config.get("num_key_value_heads") or heads,
        "head_dim": config.get("head_dim") or width // heads,
        "rms_norm_eps": config.get("rms_norm_eps", 1e-6),
        "rope_theta": config.get("rope_theta") or rope.get("rope_theta") or 10000.0,
        "rope_type": rope.get("rope_type") or rope.get("type") or "default",
        "hidden_act": config.get("hidden_act", "silu"),
        "biases": bool(config.get("attention_bias") or config.get("mlp_bias")),
        "pad_token_id": pad_id,
    }


def _require_plain(settings: Mapping[str, Any], *, source: str) -> None:
    for name, wanted in (
        ("model_type", "llama"),
        ("rope_type", "default"),
        ("hidden_act", "silu"),
        ("biases", False),
    ):
        if settings.get(name) != wanted:
            raise ConfigurationError(
                f"{name} of {source} is {str(settings.get(name))[:40]!r}, and only {wanted!r} is known",
                hint="use a model of the plain Llama architecture, such as SmolLM2",
            )
