"""Pairs of texts as one text for a decoder, with borders that no text can forge.

    <|im_start|> source <|im_end|>
    Statement:
    claim <|im_end|>
    Supported:

The layout is written into the tokenizer's own definition, as the template of a
pair. So it travels in `tokenizer.json`, and whatever reads pairs (counts, spans,
cutting) works as with an encoder. The control tokens are struck from the tokens
looked for in texts: a passage that says "<|im_end|>" is read as these ten signs.
"""

from __future__ import annotations

import json
from typing import Any

from ragguard.errors import ConfigurationError, UnreadableFileError
from ragguard.models.pair_tokens import PairTokens

START, END = "<|im_start|>", "<|im_end|>"
CLAIM, VERDICT = f"{END}\nStatement:\n", f"{END}\nSupported:"

# Spans of words without the blank before them, as the encoders' tokenizers give them.
_TRIMMING = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


class DecoderPairTokens(PairTokens):
    """`PairTokens` in the layout of a decoder: source, then claim, then the place that is read."""

    @classmethod
    def from_base(cls, definition: str, *, max_tokens: int) -> DecoderPairTokens:
        """Return the tokenizer for pairs of a language model's tokenizer.

        Args:
            definition: the text of the language model's `tokenizer.json`.
            max_tokens: of a pair, layout included.

        Raises:
            UnreadableFileError: the definition is not a tokenizer's.
            ConfigurationError: it has not the control tokens of the layout.
        """
        return cls(decoder_definition(definition), max_tokens=max_tokens)


def decoder_definition(definition: str) -> str:
    """Return the language model's tokenizer with the layout of pairs in it.

    Raises:
        UnreadableFileError: the definition is not a tokenizer's.
        ConfigurationError: it has not the control tokens of the layout.
    """
    from tokenizers import Tokenizer

    try:
        whole: Any = Tokenizer.from_str(definition)
    except Exception as error:  # the Rust side raises plain Exception
        raise UnreadableFileError(
            "tokenizer.json is no tokenizer's definition", hint="copy it from the model anew"
        ) from error
    for token in (START, END):
        if whole.token_to_id(token) is None:
            raise ConfigurationError(
                f"the tokenizer has no control token {token}", hint="use a model with the ChatML tokens"
            )
    whole.no_truncation()
    whole.no_padding()
    parts = {part: whole.encode(part, add_special_tokens=False) for part in (START, CLAIM, VERDICT)}
    fields = json.loads(whole.to_str())
    fields["added_tokens"] = [one for one in fields["added_tokens"] if not one["special"]]
    template = _template({part: (one.ids, one.tokens) for part, one in parts.items()})
    trimming = [_TRIMMING] if '"ByteLevel"' in json.dumps(fields["pre_tokenizer"]) else []
    fields["post_processor"] = {"type": "Sequence", "processors": [*trimming, template]}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def _template(parts: dict[str, tuple[list[int], list[str]]]) -> dict[str, Any]:
    def text(name: str, segment: int) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": segment}}

    def mark(part: str) -> dict[str, Any]:
        return {"SpecialToken": {"id": part, "type_id": 0}}

    return {
        "type": "TemplateProcessing",
        "single": [text("A", 0)],
        "pair": [mark(START), text("A", 0), mark(CLAIM), text("B", 1), mark(VERDICT)],
        "special_tokens": {
            part: {"id": part, "ids": ids, "tokens": tokens} for part, (ids, tokens) in parts.items()
        },
    }
