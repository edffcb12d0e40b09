"""A pair engine that remembers across runs: fitting and measuring ask about the same pairs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ragguard.models.pair_engine import PairEngine
from ragguard.models.pair_logits import LOGITS
from ragguard.models.pair_tokens import PairTokens
from ragguard.protocols import FloatArray


class CachedEngine:
    """Scores as the engine does; logits are kept in a file named by the engine's fingerprint.

    Args:
        engine: what scores pairs that are not in the file.
        folder: of the files; made when needed.
    """

    def __init__(self, engine: PairEngine, folder: Path) -> None:
        self._engine = engine
        key = hashlib.sha256(json.dumps(engine.fingerprint(), sort_keys=True).encode()).hexdigest()[:16]
        self._file = folder / f"logits-{key}.npz"
        self._known: dict[bytes, FloatArray] = {}
        self._unsaved = 0
        if self._file.exists():
            saved = np.load(self._file)
            self._known = {bytes(k): v for k, v in zip(saved["keys"], saved["logits"], strict=True)}

    @property
    def tokens(self) -> PairTokens:
        return self._engine.tokens

    def fingerprint(self) -> dict[str, Any]:
        return self._engine.fingerprint()

    def warm_up(self) -> None:
        self._engine.warm_up()

    def logits(self, pairs: Sequence[tuple[str, str]]) -> FloatArray:
        """Return what the engine returns; asks it about the pairs that are new."""
        keys = [hashlib.sha256(f"{a}\0{b}".encode(errors="surrogatepass")).digest()[:16] for a, b in pairs]
        new = {key: pair for key, pair in zip(keys, pairs, strict=True) if key not in self._known}
        if new:
            for key, row in zip(new, self._engine.logits(list(new.values())), strict=True):
                self._known[key] = row
            self._unsaved += len(new)
        if self._unsaved > 5000:
            self.save()
        return np.stack([self._known[k] for k in keys]) if keys else np.zeros((0, LOGITS), dtype=np.float32)

    def save(self) -> None:
        """Write everything known to the file."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix(".new.npz")
        keys = np.frombuffer(b"".join(self._known), dtype=np.uint8).reshape(-1, 16)
        np.savez(new, keys=keys, logits=np.stack(list(self._known.values())))
        new.replace(self._file)
        self._unsaved = 0
