"""The published checkpoints (Lightning `.ckpt` files), read without Lightning and without running them.

Such a file is a pickle: it is opened with `weights_only`, which knows tensors and
plain containers and refuses code. Two thirds of it is the optimiser's state, which
is mapped and never read.

References:
    Zha, Yang, Li and Hu (2023), AlignScore; the files AlignScore-base and AlignScore-large.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragguard.errors import ConfigurationError, UnreadableFileError
from ragguard.models.bundled import sha256_of
from ragguard.models.pair_classifier import three_head_state
from ragguard.models.pair_folder import load_folder, read_text, save_pair_model
from ragguard.models.pair_parts import PairModel
from ragguard.models.pair_tokenizer import tokens_for
from ragguard.models.pair_weights import encoder_of, layer_count

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".ckpt"
_HEAD_WIDTH = 64  # of one attention head, in RoBERTa of every size; the weights do not tell
_WORDS = "base_model.embeddings.word_embeddings.weight"
_POSITIONS = "base_model.embeddings.position_embeddings.weight"
_SEGMENTS = "base_model.embeddings.token_type_embeddings.weight"
_INNER = "base_model.encoder.layer.0.intermediate.dense.weight"
_PAD = 1


def load_checkpoint(path: Path, *, tokenizer: Path | None = None) -> PairModel:
    """Return the model of a released AlignScore checkpoint; its size is read off the weights.

    Args:
        tokenizer: the folder of the `tokenizer.json` of roberta-base or -large (they are the
            same), or that file; by default it is looked for beside the checkpoint.

    Raises:
        UnreadableFileError: missing, truncated, a pickle that wants to run code, or
            weights are missing, unexpected, of another shape or not finite.
        ConfigurationError: no tokenizer is at hand, or it is another model's.
    """
    definition = read_text(_tokenizer_file(path, tokenizer))
    state = three_head_state(_state_of(path))
    config = _config_of(state, source=path.name)
    return PairModel(
        encoder=encoder_of(config, state, source=path.name),
        tokens=tokens_for(definition, config, max_tokens=None, source=path.name),
        name=path.stem,
        weights_sha256=sha256_of(path),
    )


def convert_checkpoint(
    source: Path | str, target: Path | str, *, tokenizer: Path | str | None = None, storage: str = "float32"
) -> Path:
    """Write a checkpoint as a folder that loads without a pickle, and return the folder.

    Args:
        source: the `.ckpt` file; a model's folder is written anew, e.g. in another storage.
        target: the folder to write.
        tokenizer: as in `load_checkpoint`.
        storage: as in `save_pair_model`.

    Raises:
        UnreadableFileError: as `load_checkpoint` or `load_folder`.
        ConfigurationError: as these.
        InvalidValueError: something else is at `target`, or unknown storage.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        model = load_folder(path)
    else:
        model = load_checkpoint(path, tokenizer=None if tokenizer is None else Path(tokenizer))
    card = {**model.card, "converted_from": path.name, "source_sha256": model.weights_sha256}
    return save_pair_model(
        target,
        model.encoder,
        tokenizer=model.tokens.definition,
        max_tokens=model.tokens.max_tokens,
        card=card,
        storage=storage,
        name=model.name,
    )


def _tokenizer_file(path: Path, given: Path | None) -> Path:
    place = (path.parent if given is None else given).expanduser()
    file = place / "tokenizer.json" if place.is_dir() else place
    if not path.is_file():
        raise UnreadableFileError(f"there is no file {path.name}", hint="check the path")
    if not file.is_file():
        raise ConfigurationError(
            f"{path.name} needs a tokenizer.json, and none is {'beside it' if given is None else 'there'}",
            hint="copy the one of roberta-base beside the checkpoint, or name its folder with `tokenizer`",
        )
    return file


def _state_of(path: Path) -> dict[str, Tensor]:
    found = _opened(path)
    state = found.get("state_dict") if isinstance(found, Mapping) else None
    if not isinstance(state, Mapping) or not state:
        raise UnreadableFileError(f"{path.name} holds no state_dict", hint="give a Lightning checkpoint")
    import torch

    if not all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in state.items()):
        raise UnreadableFileError(f"the state_dict of {path.name} is malformed", hint="fetch the file anew")
    return dict(state)


def _opened(path: Path) -> Any:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the old storage classes these files were written with
            mapped = zipfile.is_zipfile(path)  # files older than torch 1.6 are not, and are read whole
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except (
        Exception
    ) as error:  # torch raises RuntimeError, EOFError, KeyError, struct's, pickle's and zip's errors
        if type(error).__name__ == "UnpicklingError":
            raise UnreadableFileError(
                f"{path.name} is not a file of weights alone", hint="pickles that hold code are never run"
            ) from error
        raise UnreadableFileError(
            f"{path.name} is truncated or no checkpoint: {type(error).__name__}", hint="fetch the file anew"
        ) from error


def _config_of(state: Mapping[str, Tensor], *, source: str) -> dict[str, Any]:
    """Return the RoBERTa shape that the weights tell; the settings kept in the file are not relied on."""
    needed = (_WORDS, _POSITIONS, _SEGMENTS, _INNER)
    for name in needed:
        if name not in state or state[name].ndim != 2:
            raise UnreadableFileError(
                f"{source} lacks {name}", hint="give an AlignScore checkpoint", details={"missing": [name]}
            )
    vocabulary, width = state[_WORDS].shape
    if width == 0 or width % _HEAD_WIDTH:
        raise UnreadableFileError(
            f"{source} has width {width}, which is no multiple of {_HEAD_WIDTH}",
            hint="give AlignScore-base (768) or AlignScore-large (1024)",
        )
    return {
        "model_type": "roberta",
        "vocab_size": vocabulary,
        "hidden_size": width,
        "num_hidden_layers": layer_count(state),
        "num_attention_heads": width // _HEAD_WIDTH,
        "intermediate_size": state[_INNER].shape[0],
        "hidden_act": "gelu",
        "max_position_embeddings": state[_POSITIONS].shape[0],
        "type_vocab_size": state[_SEGMENTS].shape[0],
        "layer_norm_eps": 1e-5,
        "pad_token_id": _PAD,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }
