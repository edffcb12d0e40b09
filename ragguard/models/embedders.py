"""Embedders: text to float32 unit vectors."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ragguard.errors import InvalidValueError, UnknownNameError
from ragguard.models.batches import shaped_batches
from ragguard.models.bundled import (
    BUNDLED,
    BUNDLED_NAME,
    BUNDLED_SHA256,
    model_folder,
    require_sha256,
    sha256_of,
    weights_file,
)
from ragguard.models.tokens import Spans, TokenReader
from ragguard.models.vectors import unit_vectors
from ragguard.models.wrapped import LangChainEmbedder
from ragguard.protocols import FloatArray, Progress

__all__ = ["LangChainEmbedder", "SentenceTransformerEmbedder", "load_embedder"]

_DTYPES = ("float32", "bfloat16")


class SentenceTransformerEmbedder:
    """Embeds with a sentence-transformers model that is on this machine.

    Constructing costs nothing; weights load on first use or `warm_up()`, once,
    whichever thread comes first. A text longer than `max_tokens` is cut there;
    `token_spans` tells beforehand.

    Args:
        model: "bundled" (all-MiniLM-L6-v2, its checksum verified), a folder, or a
            name in the local model cache.
        device: a torch device.
        dtype: "float32", or "bfloat16" where the CPU has it: about 3 times faster,
            similarities within .004, and a calibration of its own.
        batch_tokens: tokens in one forward pass; memory grows with it.
        allow_download: fetch a name that is not cached. Off: no network, ever.

    Raises:
        InvalidValueError: `dtype` or `batch_tokens` is out of range; on loading:
            the model is not here, or the CPU lacks bfloat16.
        UnreadableFileError: on loading: the bundled weights are not the published ones.
    """

    def __init__(
        self,
        model: str = BUNDLED,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        batch_tokens: int = 8192,
        allow_download: bool = False,
    ) -> None:
        if dtype not in _DTYPES:
            raise InvalidValueError(f"unknown dtype {dtype!r}", hint=f"use one of {', '.join(_DTYPES)}")
        if batch_tokens < 1:
            raise InvalidValueError(f"batch_tokens must be at least 1, not {batch_tokens}", hint="try 8192")
        self._name, self._device, self._dtype = str(model), device, dtype
        self._batch_tokens, self._allow_download = batch_tokens, allow_download
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None

    def warm_up(self) -> None:
        """Load the weights now and run once."""
        self.embed_queries(["warm up"])

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return self._model().dimension

    @property
    def max_tokens(self) -> int:
        """Tokens of one text that are embedded, the model's own special tokens included."""
        return self._model().reader.max_tokens

    def embed_passages(self, texts: Sequence[str], /, *, progress: Progress | None = None) -> FloatArray:
        """Return float32 unit vectors (len(texts), dimension), in order.

        Raises:
            InvalidVectorError: the model returned NaN, infinity or zeros.
        """
        return self._embed(texts, self._model().passage_prompt, progress)

    def embed_queries(self, texts: Sequence[str], /) -> FloatArray:
        """Return float32 unit vectors (len(texts), dimension), in order.

        Raises:
            InvalidVectorError: the model returned NaN, infinity or zeros.
        """
        return self._embed(texts, self._model().query_prompt, None)

    def token_spans(self, text: str, /) -> Spans:
        """Return the character range of every token, uncut, without special tokens."""
        return self.token_spans_batch([text])[0]

    def token_spans_batch(self, texts: Sequence[str], /) -> list[Spans]:
        """Return `token_spans` of every text, tokenised together."""
        return self._model().reader.spans(texts)

    def fingerprint(self) -> dict[str, Any]:
        """Return what determines a vector: weights, pooling, prompts, length, back end and dtype."""
        return {**self._model().fingerprint, "backend": f"torch-{self._device}", "dtype": self._dtype}

    def _embed(self, texts: Sequence[str], prompt: str, progress: Progress | None) -> FloatArray:
        loaded = self._model()
        ids = loaded.reader.ids([prompt + text for text in texts] if prompt else texts)
        vectors = np.zeros((len(ids), loaded.dimension), dtype=np.float32)
        done = 0
        for chosen, rows, length in shaped_batches(
            [len(one) for one in ids], batch_tokens=self._batch_tokens, max_tokens=loaded.reader.max_tokens
        ):
            vectors[chosen] = loaded.forward([ids[i] for i in chosen], rows, length)
            done += len(chosen)
            if progress is not None:
                progress("embedding", done, len(ids))
        return unit_vectors(vectors, source=loaded.fingerprint["name"])

    def _model(self) -> _Loaded:
        if self._loaded is None:
            with self._lock:
                if self._loaded is None:
                    folder = model_folder(self._name, allow_download=self._allow_download)
                    self._loaded = _Loaded(folder, self._name, self._device, self._dtype)
        return self._loaded


class _Loaded:
    """A model in memory, its tokenizer, and what identifies them."""

    def __init__(self, folder: Path, name: str, device: str, dtype: str) -> None:
        if dtype == "bfloat16" and device == "cpu":
            from ragguard.models.cpu import require_bfloat16

            require_bfloat16()
        weights = weights_file(folder)
        if name == BUNDLED:
            require_sha256(weights, BUNDLED_SHA256)
        self._model = _load(folder, device)
        if dtype == "bfloat16":
            self._model.bfloat16()
        self._device = device
        self._pad = int(self._model.tokenizer.pad_token_id or 0)
        self._segments = "token_type_ids" in self._model.tokenizer.model_input_names
        self.reader = TokenReader.from_folder(folder, max_tokens=int(self._model.max_seq_length or 512))
        prompts = self._model.prompts or {}
        self.query_prompt = prompts.get("query") or ""
        self.passage_prompt = prompts.get("document") or prompts.get("passage") or ""
        self.dimension = int(self.forward([[self._pad]], 1, 32).shape[1])
        self.fingerprint: dict[str, Any] = {
            "name": BUNDLED_NAME if name == BUNDLED else folder.name if Path(name).is_dir() else name,
            "weights_sha256": BUNDLED_SHA256 if name == BUNDLED else sha256_of(weights),
            "pooling": _pooling(self._model),
            "normalised": True,
            "max_tokens": self.reader.max_tokens,
            "prompts": [self.query_prompt, self.passage_prompt],
        }

    def forward(self, ids: Sequence[Sequence[int]], rows: int, length: int) -> FloatArray:
        """Return (len(ids), dimension); rows beyond len(ids) repeat the last and are dropped."""
        import torch

        tokens = torch.full((rows, length), self._pad, dtype=torch.long)
        mask = torch.zeros((rows, length), dtype=torch.long)
        for i in range(rows):
            one = ids[min(i, len(ids) - 1)]
            tokens[i, : len(one)] = torch.tensor(one, dtype=torch.long)
            mask[i, : len(one)] = 1
        features = {"input_ids": tokens, "attention_mask": mask}
        if self._segments:
            features["token_type_ids"] = torch.zeros_like(tokens)
        with torch.inference_mode():
            output = self._model({k: v.to(self._device) for k, v in features.items()})
        vectors: FloatArray = output["sentence_embedding"][: len(ids)].float().cpu().numpy()
        return vectors


def _load(folder: Path, device: str) -> Any:
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # it would draw on stderr under a command's own bar
    try:
        model = SentenceTransformer(
            str(folder),
            device=device,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
    except Exception as error:  # transformers, safetensors and json each raise their own
        raise InvalidValueError(
            f"{folder.name} could not be loaded as a sentence-transformers model ({type(error).__name__})",
            hint="check the folder, or use 'bundled'",
        ) from error
    finally:
        if shown:
            logging.enable_progress_bar()
    return model.eval()


def _pooling(model: Any) -> str:
    for module in model:
        if getattr(module, "pooling_mode", None) is not None:
            return str(module.pooling_mode)
        if hasattr(module, "get_pooling_mode_str"):  # sentence-transformers 5
            return str(module.get_pooling_mode_str())
    return "unknown"


def load_embedder(spec: str | Mapping[str, Any]) -> SentenceTransformerEmbedder:
    """Return the embedder named by a model name, or described by a mapping of its settings.

    Args:
        spec: "bundled", a folder, a cached name, or e.g. {"model": "bundled", "dtype": "bfloat16"}.

    Raises:
        UnknownNameError: the mapping has a key that is no setting.
    """
    settings = {"model": spec} if isinstance(spec, str) else dict(spec)
    known = {"model", "device", "dtype", "batch_tokens", "allow_download"}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise UnknownNameError(
            f"unknown embedder setting {unknown[0]!r}", hint=f"known: {', '.join(sorted(known))}"
        )
    return SentenceTransformerEmbedder(settings.pop("model", BUNDLED), **settings)
