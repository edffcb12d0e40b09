"""Vectors of the pieces seen last: an answer that streams is judged again with every sentence."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from ragguard.protocols import Embedder, FloatArray

_MOST = 1024


class LatelyEmbedded:
    """An embedder's passages, each embedded once while it is among the last thousand asked for.

    Texts are kept as hashes alone: what users wrote does not stay in memory.

    Args:
        embedder: of `embed_passages`.
        most: vectors kept.
    """

    def __init__(self, embedder: Embedder, *, most: int = _MOST) -> None:
        self._embedder, self._most = embedder, most
        self._known: OrderedDict[bytes, FloatArray] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> dict[str, FloatArray]:
        """Return the vector of every different text; those not known are embedded together."""
        keys = {text: hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts}
        with self._lock:
            found = {text: self._known[key] for text, key in keys.items() if key in self._known}
        missing = [text for text in keys if text not in found]
        if missing:
            vectors = np.asarray(self._embedder.embed_passages(missing))
            found.update(zip(missing, vectors, strict=True))
        with self._lock:
            for text, key in keys.items():
                self._known[key] = found[text]
                self._known.move_to_end(key)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return found
