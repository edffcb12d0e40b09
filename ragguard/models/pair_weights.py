"""An encoder from a shape and named tensors: every weight from the file, or no encoder at all.

Loading what fits and leaving the rest random gives a model that runs and knows
nothing. So each name that is missing, left over or of another shape is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ragguard.errors import ConfigurationError, UnreadableFileError

if TYPE_CHECKING:
    from torch import Tensor

    from ragguard.models.pair_encoder import PairEncoder

ARCHITECTURES = ("bert", "roberta", "xlm-roberta")
"""Backbones whose pooled first token is tanh(W h + b), as the three heads expect."""

_SETTINGS = (
    "model_type",
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "max_position_embeddings",
    "type_vocab_size",
    "layer_norm_eps",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
)
_LAYER = re.compile(r"base_model\.encoder\.layer\.(\d+)\.")
_NAMED = 5


def encoder_of(config: Mapping[str, Any], state: Mapping[str, Tensor], *, source: str) -> PairEncoder:
    """Return the encoder of this configuration that holds exactly these weights.

    Args:
        config: what `config.json` holds; `model_type` is one of `ARCHITECTURES`.
        state: `base_model.*`, `bin_layer.*`, `tri_layer.*` and `reg_layer.*`; float tensors.
        source: the name of the file, for errors.

    Raises:
        ConfigurationError: another architecture.
        UnreadableFileError: the configuration is malformed, or a weight is missing,
            unexpected, of another shape, not a float, or not finite. The first such
            names are in the message, all in `details`.
    """
    import torch

    encoder = _shaped(config, layers=layer_count(state), source=source)
    require_same_names(encoder.state_dict(), state, source=source)
    require_finite(state, source=source)
    # Copied out of the mapped file: aligned as torch likes it, so that a score does not depend on where
    # in a file a matrix lay, and safe from what happens to the file later.
    weights = {name: t.detach().to(torch.float32, copy=True).contiguous() for name, t in state.items()}
    encoder.load_state_dict(weights, assign=True)
    _fill_buffers(encoder)
    encoder.requires_grad_(False).eval()
    return encoder


def shape_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a configuration that shape the encoder.

    Others are not passed on: some make transformers fetch code, or attention kernels.
    """
    return {name: config[name] for name in _SETTINGS if config.get(name) is not None}


def layer_count(state: Mapping[str, Any]) -> int:
    """Return how many layers the names speak of."""
    found = (_LAYER.match(name) for name in state)
    return len({match.group(1) for match in found if match})


def _shaped(config: Mapping[str, Any], *, layers: int, source: str) -> PairEncoder:
    """Return an encoder of shapes alone: nothing is drawn at random, so nothing can be left so."""
    import torch
    from transformers import AutoConfig

    from ragguard.models.pair_encoder import PairEncoder

    kind, stated = config.get("model_type"), config.get("num_hidden_layers")
    if kind not in ARCHITECTURES:
        raise ConfigurationError(
            f"{source} is of architecture {str(kind)[:40]!r}", hint=f"use one of {', '.join(ARCHITECTURES)}"
        )
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise ConfigurationError(f"{source} has relative positions", hint="use a model with absolute ones")
    if stated != layers:  # also before building: a forged count would build layers for hours
        raise UnreadableFileError(
            f"{source} should have {str(stated)[:20]} layers and has weights of {layers}",
            hint="the configuration is another model's",
        )
    _require_numbers(config, source=source)
    try:
        with torch.device("meta"):
            return PairEncoder.from_config(AutoConfig.for_model(**shape_settings(config)), dropout=0.0)
    except Exception as error:  # validators and layers raise what they like
        raise UnreadableFileError(
            f"the configuration of {source} cannot be used: {type(error).__name__}",
            hint="write config.json anew",
        ) from error


def _require_numbers(config: Mapping[str, Any], *, source: str) -> None:
    """Settings that no shape depends on would be found wrong only by wrong scores."""
    for name, value in shape_settings(config).items():
        if name in ("model_type", "hidden_act"):
            fits = isinstance(value, str)
        elif name == "layer_norm_eps":
            fits = isinstance(value, float) and 0.0 < value < 1e-2
        else:
            fits = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if not fits:
            raise UnreadableFileError(
                f"{name} in the configuration of {source} cannot be used", hint="write config.json anew"
            )


def require_same_names(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], *, source: str) -> None:
    """Return if the tensors found are those wanted, by name and shape.

    Raises:
        UnreadableFileError: one is missing, left over or of another shape.
    """
    missing = sorted(set(wanted) - set(found))
    unexpected = sorted(set(found) - set(wanted))
    if missing or unexpected:
        told = [f"lacks {_some(missing)}"] * bool(missing) + [f"has unknown {_some(unexpected)}"] * bool(
            unexpected
        )
        raise UnreadableFileError(
            f"{source} {' and '.join(told)}",
            hint="an alignment model needs its backbone, pooler and three heads whole; none is made up",
            details={"missing": missing, "unexpected": unexpected},
        )
    wrong = [name for name in sorted(wanted) if wanted[name].shape != found[name].shape]
    if wrong:
        name = wrong[0]
        raise UnreadableFileError(
            f"{name} of {source} has shape {tuple(found[name].shape)}, needed {tuple(wanted[name].shape)}",
            hint="the file is of another model or its heads are mixed up",
            details={"wrong_shape": wrong},
        )


def require_finite(state: Mapping[str, Tensor], *, source: str) -> None:
    """Return if all are floats and finite.

    Raises:
        UnreadableFileError: one is not.
    """
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            raise UnreadableFileError(
                f"{name} of {source} holds {tensor.dtype}, not floats", hint="the file is of another model"
            )
        if not bool(tensor.isfinite().all()):
            raise UnreadableFileError(
                f"{name} of {source} holds NaN or infinity", hint="fetch or train the model anew"
            )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _fill_buffers(encoder: PairEncoder) -> None:
    """Give the constants that no file holds their values: positions count up, segments are 0."""
    import torch

    for module in encoder.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            if not buffer.is_meta:
                continue
            row = torch.arange(buffer.shape[-1]) if name == "position_ids" else torch.zeros(buffer.shape[-1])
            module.register_buffer(name, row.long().expand(buffer.shape).clone(), persistent=False)
