"""What travels with a trained reranker: whose preferences it learned, from what, and what that gained.

A pair model carries the card in its `ragguard.json`; a CrossEncoder's folder has
it beside the weights, in `preference.json`, with the weights' checksum.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ragguard.errors import ReaderMismatchError, ScoringError, UnreadableFileError
from ragguard.models.bundled import sha256_of, weights_file
from ragguard.models.pair_folder import read_json
from ragguard.protocols import Fingerprint, PairScorer

if TYPE_CHECKING:
    from ragguard.models.pair_parts import PairModel

KIND = "preference reranker"
SIDECAR = "preference.json"
SCHEMA_VERSION = 1
_MANIFEST = "ragguard.json"


def card_of(model: PairModel | str | Path) -> dict[str, Any]:
    """Return the card of a trained reranker, or {} where a model has none of this kind.

    Raises:
        UnreadableFileError: the folder's card cannot be read, or its weights were altered.
    """
    if not isinstance(model, str | Path):
        return _of_this_kind(model.card)
    folder = Path(model).expanduser()
    if (folder / _MANIFEST).is_file():
        return _of_this_kind(read_json(folder / _MANIFEST).get("card"))
    if not (folder / SIDECAR).is_file():
        return {}
    found = read_json(folder / SIDECAR)
    if found.get("weights_sha256") != sha256_of(weights_file(folder)):
        raise UnreadableFileError(
            f"the weights of {folder.name} are not those that {SIDECAR} was written for",
            hint="copy or train the model anew",
        )
    return _of_this_kind(found.get("card"))


def require_reader(card: Mapping[str, Any], reader: str | None, *, force: bool = False) -> None:
    """Return if a reranker with this card may serve the reader.

    Args:
        card: as `card_of` gives it; a model without one learned from no reader, and serves any.
        reader: id of the reader to serve; None where it is not known.
        force: serve whatever the card says.

    Raises:
        ReaderMismatchError: it learned from another reader, or it is not said whom it is to serve.
    """
    learned = card.get("reader")
    if force or learned is None or learned == reader:
        return
    whom = "no reader is named to serve" if reader is None else f"is asked to serve {reader!r}"
    raise ReaderMismatchError(
        f"this reranker learned from reader {learned!r} and {whom}",
        hint="probe and train with the reader you serve, or force it",
        details={"learned_from": learned, "serves": reader},
    )


def load_reranker(folder: str | Path, *, reader: str | None, force: bool = False) -> PairScorer:
    """Return the scorer of a trained reranker's folder.

    Args:
        folder: as `train_reranker` wrote it.
        reader: id of the reader it is to serve.
        force: load it for another reader too.

    Raises:
        ReaderMismatchError: it learned from another reader.
        UnreadableFileError: a file is missing, malformed or altered.
    """
    place = Path(folder).expanduser()
    require_reader(card_of(place), reader, force=force)
    if (place / _MANIFEST).is_file():
        from ragguard.models.pair_engine import PairEngine
        from ragguard.models.relevance import RelevanceScorer

        return RelevanceScorer(PairEngine(place))
    return CrossEncoderScorer(place)


class CrossEncoderScorer:
    """Scores (question, passage) pairs by a sentence-transformers CrossEncoder; a `PairScorer`.

    Args:
        folder: of the CrossEncoder, of one output; loaded on first use.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._model: Any = None

    def score_pairs(self, pairs: Sequence[tuple[str, str]], /) -> NDArray[np.float64]:
        """Return the logits, before any activation, shape (len(pairs),).

        Raises:
            ScoringError: the model failed, or gave NaN or infinity.
        """
        if not pairs:
            return np.zeros(0)
        import torch

        try:
            found = self._loaded().predict(
                list(pairs), activation_fn=torch.nn.Identity(), show_progress_bar=False
            )
        except Exception as error:  # the library raises its own, torch's and the tokenizer's
            raise ScoringError(f"the CrossEncoder failed ({type(error).__name__})") from error
        scores = np.asarray(found, dtype=np.float64)
        if scores.shape != (len(pairs),) or not np.isfinite(scores).all():
            raise ScoringError(f"the CrossEncoder gave shape {scores.shape} for {len(pairs)} pairs, or NaN")
        return scores

    def fingerprint(self) -> Fingerprint:
        """Name and checksum of the weights."""
        return {
            "scorer": "cross-encoder",
            "name": self.folder.name,
            "weights_sha256": sha256_of(weights_file(self.folder)),
        }

    def _loaded(self) -> Any:
        if self._model is None:
            from sentence_transformers import CrossEncoder

            self._model = CrossEncoder(
                str(self.folder), device="cpu", local_files_only=True, model_kwargs={"use_safetensors": True}
            )
        return self._model


def folder_kind(folder: Path) -> str:
    """Return what a folder's card says it is, or "" without one."""
    if not (folder / SIDECAR).is_file():
        return ""
    found = read_json(folder / SIDECAR).get("card")
    return str(found.get("kind", "")) if isinstance(found, dict) else ""


def write_sidecar(folder: Path, card: Mapping[str, Any]) -> Path:
    """Write the card beside the weights of a CrossEncoder's folder, and return the folder."""
    text = {
        "schema_version": SCHEMA_VERSION,
        "weights_sha256": sha256_of(weights_file(folder)),
        "card": dict(card),
    }
    new = folder / f"{SIDECAR}.new"
    new.write_text(json.dumps(text, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
    new.replace(folder / SIDECAR)
    return folder


def _of_this_kind(card: object) -> dict[str, Any]:
    return dict(card) if isinstance(card, Mapping) and card.get("kind") == KIND else {}
