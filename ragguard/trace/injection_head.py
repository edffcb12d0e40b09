"""The learned head, and the combination of it with the signals that need no learning.

The head is a small network on an embedder's unit vectors: one number in [0, 1] a
unit, how much it sounds like an order or a request to an assistant. It was fitted
on vectors of one embedder and says nothing about another's. The combination is a
logistic model with weights >= 0; the head enters it only where some other signal
is there too, so it never decides alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragguard.errors import CalibrationMismatchError, InvalidVectorError, UnreadableFileError
from ragguard.protocols import Fingerprint, FloatArray
from ragguard.trace.injection import SIGNALS

HEAD_SHA256 = "36cbba15556b5c32a9c6942b740a174396dcf53b481a60b9d4040aca2176fb6d"
"""Of the file that is shipped; any other content is refused."""

TERMS = (*SIGNALS, "head_outlier", "request_head", "request_outlier", "request_head_outlier", "head_logit")
"""Columns of the combination: the signals and their products. A request is a question or an imperative."""

_SCHEMA = 1
_CLIP = 6.0
_COMPANY = 0.05
"""How unlike its passage a unit is at least for that to count as company of the head."""


def bundled_head_file() -> Path:
    """Return where the shipped head lies; its card is beside it."""
    return Path(__file__).parent / "weights" / "injection-head.safetensors"


@dataclass(frozen=True)
class InjectionHead:
    """Layers of the head, and the weights of the combination.

    Attributes:
        hidden: float32 (dimension, width), and its bias (width,).
        out: float32 (width,), and its bias.
        combination: weight by term of `TERMS`, each >= 0, and "bias".
        threshold: of the score, in (0, 1): about `rate` of the benign passages of its training lie above.
        rate: see `threshold`; a default, no promise: calibrate on your own passages for one.
        embedder: fingerprint of the embedder it was fitted on: name, weights, pooling.
        sha256: of its file, or "" for one just fitted.
    """

    hidden: tuple[NDArray[np.float32], NDArray[np.float32]]
    out: tuple[NDArray[np.float32], float]
    combination: Mapping[str, float]
    threshold: float
    rate: float
    embedder: Mapping[str, Any]
    sha256: str = ""

    @classmethod
    def bundled(cls) -> InjectionHead:
        """Return the head that is shipped.

        Raises:
            UnreadableFileError: its file is not the one published.
        """
        return cls.open(bundled_head_file(), sha256=HEAD_SHA256)

    @classmethod
    def open(cls, path: str | Path, *, sha256: str | None = None) -> InjectionHead:
        """Read a head from a safetensors file.

        Args:
            path: as `scripts/train_injection_head.py` wrote it.
            sha256: of the content that is meant; None takes any.

        Raises:
            UnreadableFileError: missing, truncated, not a head, or not the content meant.
        """
        path = Path(path)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UnreadableFileError(f"cannot read {path.name}", hint="reinstall ragguard") from error
        return _parsed(data, path.name, sha256)

    def require(self, embedder: Fingerprint) -> None:
        """Return if vectors of that embedder are what the head was fitted on.

        Raises:
            CalibrationMismatchError: they are not.
        """
        other = sorted(key for key, value in self.embedder.items() if embedder.get(key) != value)
        if other:
            raise CalibrationMismatchError(
                f"the injection head was trained on another embedder: {', '.join(other)} differ",
                hint="use the bundled embedder, train a head on yours, or pass head=None for rules alone",
                details={"differ": other},
            )

    def logits(self, vectors: FloatArray) -> NDArray[np.float64]:
        """Return one finite number a vector, higher is more like an order to a model; shape (len(vectors),).

        Raises:
            InvalidVectorError: shape (n, dimension) is another, or a number is not finite.
        """
        weight, bias = self.hidden
        if vectors.ndim != 2 or vectors.shape[1] != weight.shape[0] or not np.isfinite(vectors).all():
            raise InvalidVectorError(f"the head takes finite vectors of {weight.shape[0]} numbers")
        found = np.maximum(vectors @ weight + bias, 0) @ self.out[0] + self.out[1]
        # Rounded: the last bits of a vector depend on what was embedded beside it.
        logits: NDArray[np.float64] = np.round(np.clip(found.astype(np.float64), -_CLIP, _CLIP), 3)
        return logits

    def score(self, signals: NDArray[np.float64], logits: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Return the score of each unit in (0, 1), higher is more suspicious.

        Args:
            signals: see `SIGNALS`, shape (n, len(SIGNALS)).
            logits: the head's, or None where no vectors are at hand.
        """
        weights = np.array([self.combination[term] for term in TERMS])
        return sigmoid(terms(signals, logits) @ weights + self.combination["bias"])

    def fingerprint(self) -> dict[str, Any]:
        """What determines its numbers."""
        return {"head": "injection", "sha256": self.sha256}


def terms(signals: NDArray[np.float64], logits: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return the columns `TERMS` of the combination; those of the head are 0 where it stands alone."""
    request = signals[:, 3:5].max(axis=1, initial=0)
    outlier = signals[:, 5]
    head = np.zeros(len(signals))
    if logits is not None:
        company = (signals[:, :5].max(axis=1, initial=0) > 0) | (outlier >= _COMPANY)
        head = np.where(company, sigmoid(logits), 0.0)
        # Below even odds the head says nothing, rather than speak for a unit.
        logits = np.where(company, np.maximum(logits, 0) / _CLIP, 0.0)
    columns = [
        *signals[:, :6].T,
        head,
        head * outlier,
        request * head,
        request * outlier,
        request * head * outlier,
    ]
    return np.stack([*columns, np.zeros(len(signals)) if logits is None else logits], axis=1)


def sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-np.abs(values))
    return np.where(values >= 0, 1 / (1 + small), small / (1 + small))


def _parsed(data: bytes, name: str, sha256: str | None) -> InjectionHead:
    import hashlib

    from safetensors import SafetensorError
    from safetensors.numpy import load

    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and found != sha256:
        raise UnreadableFileError(
            f"{name} has sha256 {found[:12]}..., expected {sha256[:12]}...", hint="reinstall ragguard"
        )
    try:
        arrays = load(data)
        size = int.from_bytes(data[:8], "little")
        about = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["head"])
        head = InjectionHead(
            hidden=(_array(arrays, "hidden.weight", 2), _array(arrays, "hidden.bias", 1)),
            out=(_array(arrays, "out.weight", 1), float(_array(arrays, "out.bias", 1)[0])),
            combination={term: float(about["combination"][term]) for term in (*TERMS, "bias")},
            threshold=float(about["threshold"]),
            rate=float(about["rate"]),
            embedder=dict(about["embedder"]),
            sha256=found,
        )
        _check(head, about["schema_version"])
    except (SafetensorError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UnreadableFileError(
            f"{name} is no injection head ({type(error).__name__})",
            hint="train one with scripts/train_injection_head.py",
        ) from error
    return head


def _array(arrays: Mapping[str, Any], name: str, dimensions: int) -> NDArray[np.float32]:
    found = np.asarray(arrays[name])
    if found.ndim != dimensions or found.size == 0 or not np.isfinite(found).all():
        raise ValueError(name)
    return found.astype(np.float32)


def _check(head: InjectionHead, schema: int) -> None:
    width = head.hidden[0].shape[1]
    numbers: Sequence[float] = (*head.combination.values(), head.threshold, head.rate)
    fits = head.hidden[1].shape == head.out[0].shape == (width,) and all(map(math.isfinite, numbers))
    weights = [value for term, value in head.combination.items() if term != "bias"]
    if (
        schema != _SCHEMA
        or not fits
        or min(weights) < 0
        or not 0 < head.threshold < 1
        or not 0 < head.rate < 1
    ):
        raise ValueError("numbers")
