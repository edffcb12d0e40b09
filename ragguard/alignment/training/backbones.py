"""What a run starts from, and what of it a checkpoint holds: an encoder whole, or a decoder's adapter alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ragguard.alignment.training.near_words import NearWords
from ragguard.errors import InvalidValueError, UnreadableFileError
from ragguard.models.bundled import bundled_folder, model_folder
from ragguard.models.decoder_pair import DecoderPairEncoder
from ragguard.models.decoder_pair_base import DecoderBase, decoder_base, is_decoder
from ragguard.models.decoder_pair_tokens import DecoderPairTokens
from ragguard.models.lora import adapter_state, add_lora, has_lora, load_adapter_state
from ragguard.models.pair_encoder import PairEncoder
from ragguard.models.pair_tokens import PairTokens

SETTINGS = ("backbone", "max_tokens", "lora_rank", "lora_alpha", "bidirectional")
"""What of a recipe decides the shape of the model."""


def start_of(settings: Mapping[str, Any]) -> tuple[PairEncoder, PairTokens]:
    """Return the model of a recipe with fresh heads (and a fresh adapter), and its tokenizer.

    Args:
        settings: a recipe's fields, as a run's `recipe.json` has them.

    Raises:
        InvalidValueError: an adapter is asked for on an encoder, or there is no such backbone.
        MissingDependencyError: the backbone's package is not installed.
    """
    backbone, most = str(settings["backbone"]), int(settings["max_tokens"])
    if is_decoder(backbone):
        base = decoder_base(backbone)
        return adapted(base, settings), DecoderPairTokens(base.tokenizer, max_tokens=most)
    if settings.get("bidirectional"):
        raise InvalidValueError("bidirectional is of decoders alone", hint="leave it out of the recipe")
    folder = model_folder(backbone)
    return PairEncoder.from_backbone(folder), PairTokens.from_folder(folder, max_tokens=most)


def adapted(base: DecoderBase, settings: Mapping[str, Any]) -> DecoderPairEncoder:
    """Return the base under fresh heads and a fresh adapter of the recipe's rank."""
    model = DecoderPairEncoder.from_base(base, bidirectional=bool(settings.get("bidirectional")))
    add_lora(model.base_model, rank=int(settings["lora_rank"]), alpha=float(settings["lora_alpha"]))
    return model


def kept_state(model: PairEncoder) -> dict[str, Tensor]:
    """Return what a checkpoint holds of a model: every weight, or of an adapted one the adapter and heads."""
    return adapter_state(model) if has_lora(model) else dict(model.state_dict())


def put_back(model: PairEncoder, state: Mapping[str, Tensor]) -> None:
    """Copy what `kept_state` gave into a model of the same recipe.

    Raises:
        UnreadableFileError: it is of a model of another shape.
    """
    if has_lora(model):
        load_adapter_state(model, state, source="the state")
        return
    try:
        model.load_state_dict(dict(state))
    except RuntimeError as error:
        raise UnreadableFileError(
            "the state is of a model of another shape", hint="use the backbone it was trained on"
        ) from error


def near_words(model: PairEncoder, tokens: PairTokens) -> NearWords:
    """Return near words for made examples: of the model's own table, or MiniLM's where it is a decoder's.

    A decoder's tokens are pieces with blanks; MiniLM's are words. So both tiers learn from the same pairs.
    """
    from tokenizers import Tokenizer

    table: Any = model.base_model
    if has_lora(model):
        folder = bundled_folder()
        tokens, table = PairTokens.from_folder(folder, max_tokens=64), _bundled_encoder()
    return NearWords.of(table, dict(Tokenizer.from_str(tokens.definition).get_vocab()))


def _bundled_encoder() -> Any:
    from transformers import AutoModel

    return AutoModel.from_pretrained(str(bundled_folder()), local_files_only=True, use_safetensors=True)
