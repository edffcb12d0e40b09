"""Whether a tokenizer belongs to an encoder: its ids in range, its padding the same, pairs marked as pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragguard.errors import ConfigurationError, InvalidValueError
from ragguard.models.pair_tokens import PairTokens

_ROBERTA = ("roberta", "xlm-roberta")


def tokens_for(
    definition: str, config: Mapping[str, Any], *, max_tokens: int | None, source: str
) -> PairTokens:
    """Return the tokenizer, once it is known to fit the encoder of this configuration.

    Args:
        definition: the text of `tokenizer.json`.
        max_tokens: of a pair; None for all positions that the encoder has.
        source: the name of the model, for errors.

    Raises:
        UnreadableFileError: the definition cannot be read.
        InvalidValueError: `max_tokens` is more than the encoder has positions, or too few for a pair.
        ConfigurationError: the tokenizer is another model's.
    """
    most = positions(config)
    limit = most if max_tokens is None else max_tokens
    if not 0 < limit <= most:
        raise InvalidValueError(f"max_tokens is {limit}", hint=f"{source} has {most} positions")
    tokens = PairTokens(definition, max_tokens=limit)
    if limit < tokens.pair_overhead + 2:
        raise InvalidValueError(
            f"max_tokens is {limit}", hint=f"a pair takes {tokens.pair_overhead} special tokens and its texts"
        )
    _require_fit(tokens, config, source=source)
    return tokens


def positions(config: Mapping[str, Any]) -> int:
    """Return how many tokens the encoder can take; RoBERTa numbers positions from pad_token_id + 1."""
    most = int(config.get("max_position_embeddings") or 512)
    if config.get("model_type") in _ROBERTA:
        most -= _pad_id(config) + 1
    return most


def _pad_id(config: Mapping[str, Any]) -> int:
    stated = config.get("pad_token_id")
    return (1 if config.get("model_type") in _ROBERTA else 0) if stated is None else int(stated)


def _require_fit(tokens: PairTokens, config: Mapping[str, Any], *, source: str) -> None:
    if tokens.largest_id >= int(config.get("vocab_size") or 0):
        raise ConfigurationError(
            f"the tokenizer has ids up to {tokens.largest_id}, {source} embeds {config.get('vocab_size')}",
            hint="give the tokenizer.json of the same model",
        )
    if tokens.pad_id != _pad_id(config):
        raise ConfigurationError(
            f"the tokenizer pads with id {tokens.pad_id}, {source} with {_pad_id(config)}",
            hint="give the tokenizer.json of the same model",
        )
    if tokens.pair_overhead < 3:  # at least a first token, and an end after each text
        raise ConfigurationError(
            f"the tokenizer of {source} does not mark where the first text of a pair ends",
            hint="its post-processor needs a template for pairs",
        )
    segments, known = _segments(tokens), int(config.get("type_vocab_size") or 1)
    if 1 < known < segments:  # an encoder of one segment is not told of any
        raise ConfigurationError(
            f"the tokenizer marks {segments} segments, {source} knows {known}",
            hint="give the tokenizer.json of the same model",
        )


def _segments(tokens: PairTokens) -> int:
    return 1 + max(tokens.encode([("a", "b")])[0].types)
