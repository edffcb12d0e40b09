"""An embedder that embeds each text once, in a process and, given a folder, between runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ragguard.models.embedders import SentenceTransformerEmbedder
from ragguard.protocols import FloatArray, Progress


class RememberedEmbedder:
    """The embedder, its vectors kept by text.

    Args:
        model: what embeds.
        folder: of `vectors.npy` and `texts.json`; None keeps them in memory alone.
    """

    def __init__(self, model: SentenceTransformerEmbedder, folder: Path | None = None) -> None:
        self._model, self._folder = model, folder
        self._known: dict[str, FloatArray] = {}
        self._new = False
        if folder is not None and (folder / "texts.json").exists():
            texts = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
            self._known = dict(zip(texts, np.load(folder / "vectors.npy", allow_pickle=False), strict=True))

    @property
    def dimension(self) -> int:
        return self._model.dimension

    @property
    def max_tokens(self) -> int:
        return self._model.max_tokens

    def embed_passages(self, texts: Sequence[str], /, *, progress: Progress | None = None) -> FloatArray:
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        if missing:
            self._known.update(zip(missing, self._model.embed_passages(missing), strict=True))
            self._new = True
        return np.stack([self._known[text] for text in texts])

    def embed_queries(self, texts: Sequence[str], /) -> FloatArray:
        return self._model.embed_queries(texts)

    def token_spans(self, text: str, /) -> list[tuple[int, int]]:
        return self._model.token_spans(text)

    def fingerprint(self) -> Mapping[str, Any]:
        return self._model.fingerprint()

    def save(self) -> None:
        """Write what was embedded anew, where there is a folder."""
        if self._folder is None or not self._new:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        np.save(self._folder / "vectors.npy", np.stack(list(self._known.values())))
        (self._folder / "texts.json").write_text(json.dumps(list(self._known)), encoding="utf-8")
