"""AlignScore's scoring loop as published, re-created from its description: slow in the same ways.

One example at a time; its (chunk, sentence) pairs in batches of 32, padded to the
model's full length; the language-model head runs on every batch and its result is
dropped. When a claim leaves no room for its context, the whole batch is cut
longest-first instead.

References:
    Zha, Yang, Li and Hu (2023), AlignScore.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from ragguard.alignment.compat_sentences import published_sentences
from ragguard.models.pair_parts import PairModel

WORDS = 350


class LanguageModelHead(nn.Module):
    """RoBERTa's: dense, gelu, layer norm, and a row of the whole vocabulary for every position."""

    def __init__(self, width: int, words: int, *, eps: float = 1e-5) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.layer_norm = nn.LayerNorm(width, eps=eps)
        self.decoder = nn.Linear(width, words)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.decoder(self.layer_norm(nn.functional.gelu(self.dense(hidden))))


class PublishedLoop:
    """The loop over one loaded model.

    Args:
        model: an alignment model; the language-model head, which is not kept, is random.
        batch_size: pairs of one example that go through together.
        sentences: `nltk.sent_tokenize` where it and its data are installed.
    """

    def __init__(
        self,
        model: PairModel,
        *,
        batch_size: int = 32,
        sentences: Callable[[str], Sequence[str]] = published_sentences,
    ) -> None:
        self.model, self.batch_size, self.sentences = model, batch_size, sentences
        config = model.encoder.base_model.config
        self.head = LanguageModelHead(config.hidden_size, config.vocab_size).eval()
        self.dropped = 0
        """Numbers that the language-model head computed for nothing."""
        tokens = model.tokens
        self._by_first, self._by_longest = (
            self._tokenizer(tokens.definition, strategy) for strategy in ("only_first", "longest_first")
        )

    def score(self, contexts: Sequence[str], claims: Sequence[str], mode: str = "nli_sp") -> list[float]:
        scores = []
        for context, claim in zip(contexts, claims, strict=True):
            if mode.endswith("_sp"):
                scores.append(self._split_score(context, claim, mode.removesuffix("_sp")))
            else:
                scores.append(float(self._batch([(context, claim)], mode)[0]))
        return scores

    def _split_score(self, context: str, claim: str, head: str) -> float:
        sentences = list(self.sentences(context)) or [""]
        wanted = len(context.strip().split()) // WORDS + 1
        size = max(len(sentences) // wanted, 1)
        chunks = [" ".join(sentences[i : i + size]) for i in range(0, len(sentences), size)]
        claims = list(self.sentences(claim))
        pairs = [(chunk, one) for chunk in chunks for one in claims]
        found = [
            self._batch(pairs[start : start + self.batch_size], head)
            for start in range(0, len(pairs), self.batch_size)
        ]
        table = torch.cat(found).view(len(chunks), len(claims))
        return float(table.max(dim=0).values.mean())

    @torch.no_grad()
    def _batch(self, pairs: list[tuple[str, str]], head: str) -> Tensor:
        encoder = self.model.encoder
        output = encoder.base_model(**self._inputs(pairs))
        self.dropped += self.head(output.last_hidden_state).numel()
        pooled = output.pooler_output
        reg, binary, three_way = (
            layer(pooled) for layer in (encoder.reg_layer, encoder.bin_layer, encoder.tri_layer)
        )
        if head == "nli":
            return three_way.softmax(dim=-1)[:, 0]
        return binary.softmax(dim=-1)[:, 1] if head == "bin" else reg[:, 0]

    def _inputs(self, pairs: list[tuple[str, str]]) -> dict[str, Tensor]:
        try:
            encoded = self._by_first.encode_batch(pairs)
        except Exception:  # noqa: BLE001 - as published: any failure, and all rows of the batch
            encoded = self._by_longest.encode_batch(pairs)
        inputs = {
            "input_ids": torch.tensor([one.ids for one in encoded]),
            "attention_mask": torch.tensor([one.attention_mask for one in encoded]),
        }
        if self.model.uses_segments:
            inputs["token_type_ids"] = torch.tensor([one.type_ids for one in encoded])
        return inputs

    def _tokenizer(self, definition: str, strategy: str) -> Any:
        tokens = self.model.tokens
        tokenizer = Tokenizer.from_str(definition)
        tokenizer.enable_truncation(max_length=tokens.max_tokens, strategy=strategy)
        tokenizer.enable_padding(
            length=tokens.max_tokens, pad_id=tokens.pad_id, pad_token=tokenizer.id_to_token(tokens.pad_id)
        )
        return tokenizer
