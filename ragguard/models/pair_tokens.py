"""Pairs of texts to token ids, each pair on its own: what its neighbours are changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragguard.errors import ConfigurationError, UnreadableFileError
from ragguard.models.tokens import Spans, TokenReader, printable


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """Ids and segment ids of one pair, special tokens included, and how many tokens were cut."""

    ids: tuple[int, ...]
    types: tuple[int, ...]
    cut: int


class PairTokens:
    """A fast tokenizer for pairs, safe to use from several threads.

    A pair too long loses the end of its first text (the source); only where the
    second alone is too long do both lose, longest first, as the published code
    does. `EncodedPair.cut` says how much: nothing is cut silently.

    "[SEP]" or "</s>" in a text is read as these characters, never as the token: a
    passage must not be able to end itself and begin the claim.

    Args:
        definition: the JSON of a `tokenizers.Tokenizer` (the text of `tokenizer.json`).
        max_tokens: of a pair, special tokens included.

    Raises:
        UnreadableFileError: the definition is not a tokenizer's.
    """

    def __init__(self, definition: str, *, max_tokens: int) -> None:
        from tokenizers import Tokenizer

        self.definition = definition
        self.max_tokens = max_tokens
        try:
            self._whole: Any = Tokenizer.from_str(definition)
        except Exception as error:  # the Rust side raises plain Exception
            raise UnreadableFileError(
                "tokenizer.json is no tokenizer's definition", hint="copy it from the model anew"
            ) from error
        self._reader = TokenReader(definition, max_tokens=max_tokens, reads_special="as text")
        self._whole.no_truncation()
        self._whole.no_padding()
        self._first: Any = Tokenizer.from_str(definition)
        self._first.no_padding()
        self._first.enable_truncation(max_length=max_tokens, strategy="only_first")
        self._longest: Any = Tokenizer.from_str(definition)
        self._longest.no_padding()
        self._longest.enable_truncation(max_length=max_tokens, strategy="longest_first")
        for one in (self._whole, self._first, self._longest):
            one.encode_special_tokens = True
        self.pair_overhead = int(self._whole.num_special_tokens_to_add(is_pair=True))
        pad = self._whole.token_to_id("[PAD]")
        self.pad_id = int(self._whole.token_to_id("<pad>") or 0) if pad is None else int(pad)

    @property
    def sha256(self) -> str:
        """Of the definition, in hex."""
        return hashlib.sha256(self.definition.encode("utf-8")).hexdigest()

    @property
    def largest_id(self) -> int:
        """The largest id of the vocabulary, -1 where it is empty."""
        return max(self._whole.get_vocab().values(), default=-1)

    @classmethod
    def from_folder(cls, folder: Path, *, max_tokens: int) -> PairTokens:
        """Read `tokenizer.json` of a model folder.

        Raises:
            ConfigurationError: there is none.
        """
        try:
            definition = (folder / "tokenizer.json").read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"{folder.name} has no tokenizer.json", hint="use a model with a fast tokenizer"
            ) from error
        return cls(definition, max_tokens=max_tokens)

    def spans(self, texts: Sequence[str]) -> list[Spans]:
        """Return the character range of every token of every text, uncut, without special tokens."""
        return self._reader.spans(texts)

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of every text, uncut, without special tokens."""
        return [len(one) for one in self.spans(texts)]

    def encode(self, pairs: Sequence[tuple[str, str]]) -> list[EncodedPair]:
        """Return the ids of every (source, claim) pair, in order, at most `max_tokens` each."""
        clean = [(printable(a), printable(b)) for a, b in pairs]
        encoded = self._whole.encode_batch(clean)
        return [
            EncodedPair(tuple(one.ids), tuple(one.type_ids), 0)
            if len(one.ids) <= self.max_tokens
            else self._cut(pair, len(one.ids))
            for one, pair in zip(encoded, clean, strict=True)
        ]

    def _cut(self, pair: tuple[str, str], tokens: int) -> EncodedPair:
        claim = len(self._whole.encode(pair[1], add_special_tokens=False).ids)
        fits = claim + self.pair_overhead < self.max_tokens
        one = (self._first if fits else self._longest).encode(*pair)
        return EncodedPair(tuple(one.ids), tuple(one.type_ids), tokens - len(one.ids))
