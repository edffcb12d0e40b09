"""A reranker's model by name: the bundled relevance head, one trained from it, or a cross-encoder.

The weights of a blend travel with a model in `blend.json`; whose preferences it
learnt is in its card.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ragguard import protocols
from ragguard.errors import InvalidValueError, UnreadableFileError
from ragguard.models.cross_encoder import CrossEncoderScorer, is_cross_encoder
from ragguard.models.pair_folder import read_json
from ragguard.models.pair_model import SHIPPED
from ragguard.models.relevance import RelevanceScorer
from ragguard.models.shared_engines import shared_engine
from ragguard.preference.blend import BUNDLED, Blend
from ragguard.preference.card import card_of, require_reader

BLEND_FILE = "blend.json"


@dataclass(frozen=True)
class Loaded:
    """A scorer with what belongs to it.

    Attributes:
        scorer: gives one score a (question, passage) pair.
        reader: id of the reader whose preferences it learnt, or None.
        blend: the weights that belong to it, or None.
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
        force: take a model that learnt from another reader.
        backend: see `PairEngine`.
        dtype: see `PairEngine`.

    Raises:
        ReaderMismatchError: it learnt from another reader, or from one and none is named.
        UnreadableFileError: there is no such model, or a file of it cannot be read.
    """
    if not isinstance(model, str | Path):
        return Loaded(model)
    if model in SHIPPED:
        return Loaded(RelevanceScorer(shared_engine(model, backend=backend, dtype=dtype)), None, BUNDLED)
    folder = Path(model).expanduser()
    if not folder.is_dir():
        raise UnreadableFileError(
            f"there is no reranker {folder.name!r}", hint="give 'bundled' or a model's folder"
        )
    card = card_of(folder)
    require_reader(card, reader, force=force)
    learnt = card.get("reader")
    scorer: protocols.PairScorer = (
        CrossEncoderScorer(folder)
        if is_cross_encoder(folder)
        else RelevanceScorer(shared_engine(folder, backend=backend, dtype=dtype))
    )
    return Loaded(scorer, None if learnt is None else str(learnt), read_blend(folder))


def read_blend(folder: Path) -> Blend | None:
    """Return the weights stored in a model's folder, or None where there are none.

    Raises:
        UnreadableFileError: the file holds no weights.
    """
    if not (folder / BLEND_FILE).is_file():
        return None
    weights = read_json(folder / BLEND_FILE).get("weights")
    try:
        return Blend.of(weights if isinstance(weights, dict) else {})
    except (InvalidValueError, TypeError, ValueError) as error:
        raise UnreadableFileError(
            f"{BLEND_FILE} of {folder.name} holds no weights", hint="choose them anew"
        ) from error


def write_blend(folder: Path, blend: Blend) -> Path:
    """Store weights in a model's folder, and return the file."""
    target = folder / BLEND_FILE
    new = folder / f"{BLEND_FILE}.new"
    new.write_text(json.dumps({"weights": blend.weights}, indent=1) + "\n", encoding="utf-8")
    new.replace(target)
    return target
