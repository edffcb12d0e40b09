"""A fast tokenizer that several threads may use: character spans, and ids cut to a length."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from ragguard.errors import ConfigurationError, InvalidValueError

Spans = list[tuple[int, int]]
_SURROGATE = re.compile("[\ud800-\udfff]")


class TokenReader:
    """Tokens of a text with the characters each came from, nothing added and nothing cut.

    Args:
        definition: the JSON of a `tokenizers.Tokenizer` (the text of `tokenizer.json`).
        max_tokens: where `ids` cuts, special tokens included.
        reads_special: "[SEP]" in a text "as tokens", which is how sentence embedders
            were trained, or "as text".
    """

    def __init__(
        self,
        definition: str,
        *,
        max_tokens: int,
        reads_special: Literal["as tokens", "as text"] = "as tokens",
    ) -> None:
        from tokenizers import Tokenizer

        self.max_tokens = max_tokens
        # Two fixed copies: switching truncation on and off on one is not thread-safe
        # (the Rust side answers "Already borrowed").
        self._whole: Any = Tokenizer.from_str(definition)
        self._whole.no_truncation()
        self._whole.no_padding()
        self._cut: Any = Tokenizer.from_str(definition)
        self._cut.no_padding()
        self._cut.enable_truncation(max_length=max_tokens)
        for one in (self._whole, self._cut):
            one.encode_special_tokens = reads_special == "as text"

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        *,
        max_tokens: int,
        reads_special: Literal["as tokens", "as text"] = "as tokens",
    ) -> TokenReader:
        """Read `tokenizer.json` of a model folder.

        Raises:
            ConfigurationError: the model has no fast tokenizer, which offsets need.
        """
        try:
            definition = (folder / "tokenizer.json").read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"{folder.name} has no tokenizer.json, and character offsets need one",
                hint="use a model with a fast tokenizer",
            ) from error
        return cls(definition, max_tokens=max_tokens, reads_special=reads_special)

    def spans(self, texts: Sequence[str]) -> list[Spans]:
        """Return the character range of every token of every text."""
        encoded = self._whole.encode_batch([printable(t) for t in texts], add_special_tokens=False)
        return [one.offsets for one in encoded]

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids, special tokens added, at most `max_tokens` of them."""
        return [one.ids for one in self._cut.encode_batch([printable(t) for t in texts])]


def printable(text: str) -> str:
    """Return the text with unpaired surrogates, which no tokenizer takes, replaced; offsets are kept.

    Raises:
        InvalidValueError: it is not a string.
    """
    if not isinstance(text, str):
        raise InvalidValueError(f"a text is of type {type(text).__name__}", hint="give strings")
    return _SURROGATE.sub("\ufffd", text)
