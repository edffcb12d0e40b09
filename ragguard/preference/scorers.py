"""A reranker's model by name: the bundled relevance head, one trained from it, or a cross-encoder.

What belongs to a trained one travels with it in `reranker.json`: the reader it was
trained for, and the weights of its blend.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragguard import protocols
from ragguard.errors import InvalidValueError, ReaderMismatchError, UnreadableFileError
from ragguard.models.pair_folder import read_json
from ragguard.models.pair_model import SHIPPED
from ragguard.preference.blend import Blend

CARD = "reranker.json"


@dataclass(frozen=True)
class Loaded:
    """A scorer with what belongs to it.

    Attributes:
        scorer: gives one score a (question, passage) pair.
        reader: id of the reader it was trained for, or None.
        blend: the weights stored with it, or None.
    """

    scorer: protocols.PairScorer
    reader: str | None = None
    blend: Blend | None = None


def load_scorer(
    model: str | Path | protocols.PairScorer,
    *,
    reader: str | None = None,
    force: bool = False,
    backend: str = "auto",
    dtype: str = "auto",
) -> Loaded:
    """Return the scorer of a model; its weights load on first use.

    Args:
        model: "bundled", a model's folder, or a `PairScorer` as it is.
        reader: id of the reader to be served, or None where it is not known.
        force: take a model that was trained for another reader.
        backend: see `PairEngine`.
        dtype: see `PairEngine`.

    Raises:
        ReaderMismatchError: it was trained for another reader.
        UnreadableFileError: there is no such model, or its card cannot be read.
    """
    if not isinstance(model, str | Path):
        return Loaded(model)
    if model in SHIPPED:
        return Loaded(_relevance(model, backend, dtype))
    folder = Path(model).expanduser()
    if not folder.is_dir():
        raise UnreadableFileError(
            f"there is no reranker {folder.name!r}", hint="give 'bundled' or a model's folder"
        )
    card = read_card(folder)
    own = card.get("reader")
    if own is not None and reader is not None and own != reader and not force:
        raise ReaderMismatchError(
            f"{folder.name} was trained for reader {own!r}, not {reader!r}",
            hint="train one for this reader, or force it",
            details={"trained_for": own, "reader": reader},
        )
    return Loaded(_scorer_of(folder, backend, dtype), own, _blend(card, folder))


def read_card(folder: Path) -> dict[str, Any]:
    """Return what a reranker's folder says of itself; {} where it says nothing.

    Raises:
        UnreadableFileError: the card is malformed.
    """
    card = read_json(folder / CARD) if (folder / CARD).is_file() else {}
    if not isinstance(card.get("reader"), str | None) or not isinstance(card.get("weights"), dict | None):
        raise UnreadableFileError(f"{CARD} of {folder.name} is malformed", hint="write the model anew")
    return card


def write_card(folder: Path, card: Mapping[str, Any]) -> Path:
    """Write what belongs to a reranker beside its weights; return the file."""
    target = folder / CARD
    temporary = folder / f".{CARD}.tmp"
    temporary.write_text(json.dumps(dict(card), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(target)
    return target


def _blend(card: Mapping[str, Any], folder: Path) -> Blend | None:
    if card.get("weights") is None:
        return None
    try:
        return Blend.of(card["weights"])
    except (InvalidValueError, TypeError, ValueError) as error:
        raise UnreadableFileError(f"{CARD} of {folder.name} holds no usable weights") from error


def _scorer_of(folder: Path, backend: str, dtype: str) -> protocols.PairScorer:
    from ragguard.models.cross_encoder import CrossEncoderScorer, is_cross_encoder

    if is_cross_encoder(folder):
        return CrossEncoderScorer(folder)
    return _relevance(folder, backend, dtype)


def _relevance(model: str | Path, backend: str, dtype: str) -> protocols.PairScorer:
    from ragguard.models.relevance import RelevanceScorer
    from ragguard.models.shared_engines import shared_engine

    return RelevanceScorer(shared_engine(model, backend=backend, dtype=dtype))
