"""An embedding model and a language model without weights, for examples and tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import CompletionResponse, LLMMetadata
from llama_index.core.llms.custom import CustomLLM
from pydantic import Field, PrivateAttr

from ragguard.testing import HashEmbedder


class HashEmbedding(BaseEmbedding):
    """Deterministic embeddings; texts that share words are near.

    Args:
        dimension: numbers in a vector.
    """

    dimension: int = 256
    model_name: str = "hash"

    _embedder: HashEmbedder = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Make the embedder behind it."""
        self._embedder = HashEmbedder(self.dimension)

    @classmethod
    def class_name(cls) -> str:
        """The name in serialised form."""
        return "HashEmbedding"

    def _get_text_embedding(self, text: str) -> list[float]:
        return [float(v) for v in self._embedder.embed_passages([text])[0]]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


class ScriptedLLM(CustomLLM):
    """Says what it is told, one answer after another, the last one for ever.

    Args:
        answers: texts, or functions from the prompt to one.
        cuts: where a streamed answer is cut into pieces; every character by default.

    Attributes:
        prompts: what it was asked.
    """

    answers: list[str | Callable[[str], str]]
    cuts: list[int] | None = None
    prompts: list[str] = Field(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        """The name in serialised form."""
        return "ScriptedLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """A large window: what is asked is never cut."""
        return LLMMetadata(context_window=100_000, num_output=1_000, model_name="scripted")

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:  # noqa: FBT001, FBT002
        """Return the next answer."""
        return CompletionResponse(text=self._next(prompt))

    def stream_complete(
        self,
        prompt: str,
        formatted: bool = False,  # noqa: FBT001, FBT002
        **kwargs: Any,
    ) -> Iterator[CompletionResponse]:
        """Yield the next answer, piece by piece."""
        said = self._next(prompt)
        return _streamed(said, range(1, len(said)) if self.cuts is None else self.cuts)

    def _next(self, prompt: str) -> str:
        self.prompts.append(prompt)
        chosen = self.answers[min(len(self.prompts), len(self.answers)) - 1]
        return chosen if isinstance(chosen, str) else chosen(prompt)


def _streamed(text: str, cuts: Sequence[int]) -> Iterator[CompletionResponse]:
    ends = [*sorted({c for c in cuts if 0 < c < len(text)}), len(text)]
    for start, end in zip([0, *ends], ends, strict=False):
        yield CompletionResponse(text=text[:end], delta=text[start:end])
