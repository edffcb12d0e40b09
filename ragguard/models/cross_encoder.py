"""A sentence-transformers cross-encoder of one output as a `PairScorer`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragguard.errors import ConfigurationError, ScoringError, UnreadableFileError
from ragguard.models.bundled import sha256_of, weights_file
from ragguard.models.pair_folder import read_json
from ragguard.models.passage_windows import best_of
from ragguard.models.relevance import read_beside
from ragguard.models.tokens import TokenReader
from ragguard.protocols import Fingerprint
from ragguard.worker import check_deadline

_BATCH = 16


def is_cross_encoder(folder: Path) -> bool:
    """Return whether a folder says that it holds a classifier of one output, and is no model of ours."""
    if (folder / "ragguard.json").is_file() or not (folder / "config.json").is_file():
        return False
    config = read_json(folder / "config.json")
    kinds, labels = config.get("architectures") or [], config.get("id2label")
    return any(str(k).endswith("ForSequenceClassification") for k in kinds) and (
        isinstance(labels, dict) and len(labels) == 1
    )


class CrossEncoderScorer:
    """Scores (question, passage) pairs by the model's one output, before any activation.

    The question is read whole or not at all; a long passage counts as its best window.

    Args:
        folder: as `CrossEncoder.save_pretrained` wrote it, with safetensors weights and a fast tokenizer.
        batch: pairs of one forward pass; a deadline is looked at between passes.

    Raises:
        UnreadableFileError: there is no such folder.
    """

    def __init__(self, folder: str | Path, *, batch: int = _BATCH) -> None:
        self.folder = Path(folder).expanduser()
        if not (self.folder / "config.json").is_file():
            raise UnreadableFileError(
                f"{self.folder.name} holds no cross-encoder", hint="give a model's folder"
            )
        self._batch = batch
        self._lock = threading.Lock()
        self._loaded: tuple[Any, TokenReader] | None = None

    def warm_up(self) -> None:
        """Load the weights now."""
        self._parts()

    def score_pairs(self, pairs: Sequence[tuple[str, str]], /) -> NDArray[np.float64]:
        """Return one score a pair, shape (len(pairs),), higher is more relevant.

        Raises:
            QuestionTooLongError: a question leaves no room for a passage.
            ScoringError: the model failed.
            DeadlineExceededError: the turn's time ran out.
        """
        if not pairs:
            return np.zeros(0)
        model, tokens = self._parts()
        room = tokens.max_tokens - int(model.tokenizer.num_special_tokens_to_add(pair=True))
        cut = read_beside(pairs, tokens.spans, room=room)
        read = [(question, part) for (question, _), parts in zip(pairs, cut, strict=True) for part in parts]
        found = np.concatenate(
            [self._predict(model, read[at : at + self._batch]) for at in range(0, len(read), self._batch)]
        )
        return best_of(found, [len(parts) for parts in cut])

    def fingerprint(self) -> Fingerprint:
        """Hash of the weights and of the tokenizer, and how pairs are read; loads nothing."""
        return {
            "scorer": "cross-encoder",
            "version": 1,
            "weights_sha256": sha256_of(weights_file(self.folder)),
            "tokenizer_sha256": sha256_of(self.folder / "tokenizer.json"),
            "dtype": "float32",
        }

    def _predict(self, model: Any, pairs: list[tuple[str, str]]) -> NDArray[np.float64]:
        import torch

        check_deadline()
        try:
            with self._lock:  # its tokenizer is not safe to share
                found = model.predict(
                    pairs, batch_size=len(pairs), activation_fn=torch.nn.Identity(), show_progress_bar=False
                )
        except Exception as error:  # torch raises what it likes, and its message may hold the text
            raise ScoringError(f"the cross-encoder failed ({type(error).__name__})") from error
        return np.asarray(found, dtype=np.float64).reshape(len(pairs))

    def _parts(self) -> tuple[Any, TokenReader]:
        with self._lock:
            if self._loaded is None:
                self._loaded = _load(self.folder)
            return self._loaded


def _load(folder: Path) -> tuple[Any, TokenReader]:
    from sentence_transformers import CrossEncoder

    weights_file(folder)
    try:
        model = CrossEncoder(
            str(folder), device="cpu", local_files_only=True, model_kwargs={"use_safetensors": True}
        )
    except Exception as error:  # many kinds
        raise UnreadableFileError(
            f"{folder.name} cannot be loaded as a cross-encoder: {type(error).__name__}"
        ) from error
    if model.num_labels != 1:
        raise ConfigurationError(
            f"{folder.name} has {model.num_labels} outputs, and a reranker has one",
            hint="a score must be one number",
        )
    model.eval()
    positions = int(model.model.config.max_position_embeddings)
    most = min(int(model.tokenizer.model_max_length), positions)
    return model, TokenReader.from_folder(folder, max_tokens=most, reads_special="as text")
