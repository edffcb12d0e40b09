"""Alignment models: the one that comes with ragguard, a folder's, or a published checkpoint's.

Nothing is fetched, and nothing is scored with weights that no file held.
"""

from __future__ import annotations

from pathlib import Path

from ragguard.errors import ConfigurationError, UnreadableFileError
from ragguard.models.lora_folder import is_adapter_folder, load_adapter_folder
from ragguard.models.pair_checkpoint import SUFFIX, convert_checkpoint, load_checkpoint
from ragguard.models.pair_folder import load_folder, load_own_folder, save_pair_model
from ragguard.models.pair_parts import PairModel

__all__ = ["SHIPPED", "PairModel", "convert_checkpoint", "load_pair_model", "model_folder", "save_pair_model"]

BUNDLED, BUNDLED_LARGE = "bundled", "bundled-large"
WEIGHTS_FOLDER = Path(__file__).parent / "weights"
SHIPPED = {BUNDLED: "align-small", BUNDLED_LARGE: "align-large"}
"""Names of the models that come with ragguard -> their folders."""


def load_pair_model(model: str | Path = BUNDLED, *, tokenizer: str | Path | None = None) -> PairModel:
    """Return an alignment model that is on this machine.

    Args:
        model: "bundled" or "bundled-large" (their checksums verified), the folder of a
            model or of an adapter, or a Lightning checkpoint (`AlignScore-base.ckpt`).
        tokenizer: for a checkpoint without `tokenizer.json` beside it: that file or its folder.

    Raises:
        ConfigurationError: the model is not shipped, its outputs are not the three
            heads, the tokenizer is missing or another model's, or an adapter's base is
            another than it was trained on.
        MissingDependencyError: the base of an adapter is not installed.
        UnreadableFileError: there is no such model, a file of it is missing, altered
            or malformed, or a weight is missing, unexpected, misshapen or not finite.
    """
    if model in SHIPPED:
        return _load_shipped(str(model))
    path = Path(model).expanduser()
    if path.is_dir():
        return load_adapter_folder(path) if is_adapter_folder(path) else load_folder(path)
    if path.suffix == SUFFIX:
        return load_checkpoint(path, tokenizer=None if tokenizer is None else Path(tokenizer))
    raise UnreadableFileError(
        f"there is no alignment model {path.name!r}",
        hint=f"give 'bundled', a model's folder or a {SUFFIX} file",
    )


def model_folder(model: str | Path) -> Path | None:
    """Return the folder of a model, where what belongs to it may lie; None for a checkpoint."""
    if model in SHIPPED:
        return WEIGHTS_FOLDER / SHIPPED[str(model)]
    path = Path(model).expanduser()
    return path if path.is_dir() else None


def _load_shipped(model: str) -> PairModel:
    folder = WEIGHTS_FOLDER / SHIPPED[model]
    if folder.is_dir():
        return load_adapter_folder(folder) if is_adapter_folder(folder) else load_own_folder(folder)
    if model == BUNDLED_LARGE:
        raise ConfigurationError("'bundled-large' is not shipped with this version", hint="use 'bundled'")
    raise UnreadableFileError("the bundled alignment model is missing", hint="install ragguard anew")
