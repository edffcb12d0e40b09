"""A Llama decoder without its language head, read at the last token alone.

Written out rather than taken from transformers for three things: rotary angles stay
in float32 whatever the weights are in (rounded to bfloat16, distant positions
turn by the wrong angle), the final norm stands apart as `pooler` so that a back end
can keep it in float32, and padding costs no mask: it is to the right, where a
causal token does not look.

References:
    Touvron et al. (2023), LLaMA, section 2.2. Su et al. (2021), RoFormer, section 3.2.
    Ainslie et al. (2023), GQA, section 2.2.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu


class Pooled(NamedTuple):
    """What an encoder of pairs gives its heads: one vector a row."""

    pooler_output: Tensor


class DecoderBackbone(nn.Module):
    """Token ids to the normed hidden state of each row's last real token.

    Args:
        config: a transformers `LlamaConfig`; `bidirectional` true lets every token see
            every other, as it was not pre-trained to.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))
        self.pooler = RmsNorm(config.hidden_size, eps=config.rms_norm_eps)
        self._bidirectional = bool(getattr(config, "bidirectional", False))

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the table of the tokens' vectors."""
        return self.embed_tokens

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Pooled:
        """Return the vectors (rows, width) at the last token of each row; padding is to the right.

        Args:
            token_type_ids: taken as encoders do, and not looked at.
        """
        hidden = self.embed_tokens(input_ids)
        angles = _rotary(self.config, input_ids)
        mask = attention_mask.bool()[:, None, None, :] if self._bidirectional else None
        for layer in self.layers:
            hidden = layer(hidden, angles, mask)
        last = (attention_mask.sum(dim=1) - 1)[:, None, None].expand(-1, 1, hidden.shape[-1])
        return Pooled(self.pooler(hidden.gather(1, last).squeeze(1)))


class RmsNorm(nn.Module):
    """Scales a vector to a root mean square of one, then by learned weights; in float32 inside."""

    def __init__(self, width: int, *, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, hidden: Tensor) -> Tensor:
        wide = hidden.float()
        wide = wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + self.eps)
        return self.weight * wide.to(hidden.dtype)


class _Layer(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.input_layernorm = RmsNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.self_attn = _Attention(config)
        self.post_attention_layernorm = RmsNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.mlp = _Gated(config.hidden_size, config.intermediate_size)

    def forward(self, hidden: Tensor, angles: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        hidden = hidden + self.self_attn(self.input_layernorm(hidden), angles, mask)
        added: Tensor = self.mlp(self.post_attention_layernorm(hidden))
        return hidden + added


class _Gated(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        out: Tensor = self.down_proj(silu(self.gate_proj(hidden)) * self.up_proj(hidden))
        return out


class _Attention(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self._width = config.head_dim
        self._shared = config.num_attention_heads // config.num_key_value_heads
        # Exporters ask for plain operators through transformers' own setting.
        self._plain = getattr(config, "_attn_implementation", None) == "eager"
        inner, kept = (n * config.head_dim for n in (config.num_attention_heads, config.num_key_value_heads))
        self.q_proj = nn.Linear(config.hidden_size, inner, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, kept, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, kept, bias=False)
        self.o_proj = nn.Linear(inner, config.hidden_size, bias=False)

    def forward(self, hidden: Tensor, angles: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        queries = _turned(self._heads(self.q_proj(hidden)), angles)
        keys = self._repeated(_turned(self._heads(self.k_proj(hidden)), angles))
        values = self._repeated(self._heads(self.v_proj(hidden)))
        # At the lengths of pairs the fused kernel's backward pass takes longer than plain products.
        if self._plain or self.training:
            mixed = _plain_attention(queries, keys, values, mask)
        else:
            mixed = scaled_dot_product_attention(
                queries, keys, values, attn_mask=mask, is_causal=mask is None
            )
        out: Tensor = self.o_proj(mixed.transpose(1, 2).flatten(2))
        return out

    def _heads(self, hidden: Tensor) -> Tensor:
        return hidden.view(hidden.shape[0], hidden.shape[1], -1, self._width).transpose(1, 2)

    def _repeated(self, heads: Tensor) -> Tensor:
        return heads.repeat_interleave(self._shared, dim=1) if self._shared > 1 else heads


def _plain_attention(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        places = torch.arange(queries.shape[2], device=queries.device)
        mask = places[:, None] >= places[None, :]
    scores = queries @ keys.transpose(2, 3) * queries.shape[-1] ** -0.5
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return torch.softmax(scores, dim=-1) @ values


def _rotary(config: Any, input_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine (length, head width) of each position's angles."""
    steps = torch.arange(0, config.head_dim, 2, device=input_ids.device).float() / config.head_dim
    places = torch.arange(input_ids.shape[1], device=input_ids.device).float()
    angles = places[:, None] * rotary_base(config) ** -steps
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotary_base(config: Any) -> float:
    """Return theta of the rotary positions; transformers 5 moved it."""
    found = getattr(config, "rope_theta", None)
    return float(config.rope_parameters["rope_theta"] if found is None else found)


def _turned(heads: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    cosine, sine = (each.to(heads.dtype) for each in angles)
    half = heads.shape[-1] // 2
    return heads * cosine + torch.cat([-heads[..., half:], heads[..., :half]], dim=-1) * sine
