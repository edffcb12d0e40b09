"""Alignment models as folders: ours, which is checked whole, and plain transformers ones.

Ours holds `config.json`, `model.safetensors`, `tokenizer.json` and `ragguard.json`
(schema version, token limit, order of the logits, sha256 of the weights and of the
tokenizer, card). A plain folder is read where it says by itself what its outputs
are: the three heads by name, or one classifier of six outputs in our order. Three
NLI labels are not enough: two heads would be made up.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragguard.errors import InvalidValueError, UnreadableFileError
from ragguard.models.bundled import sha256_of
from ragguard.models.pair_classifier import classifier_state
from ragguard.models.pair_logits import LOGIT_NAMES
from ragguard.models.pair_parts import PairModel
from ragguard.models.pair_storage import read_weights, write_weights
from ragguard.models.pair_tokenizer import tokens_for
from ragguard.models.pair_weights import encoder_of, shape_settings

if TYPE_CHECKING:
    from ragguard.models.pair_encoder import PairEncoder

SCHEMA_VERSION = 1

_CONFIG, _WEIGHTS, _TOKENIZER, _MANIFEST = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "ragguard.json",
)
_LARGEST_JSON = 64 << 20


def save_pair_model(
    folder: Path | str,
    encoder: PairEncoder,
    *,
    tokenizer: str,
    max_tokens: int,
    card: Mapping[str, Any],
    storage: str = "float32",
    name: str = "",
) -> Path:
    """Write a model as a folder of ours, whole or not at all, and return the folder.

    An earlier folder of that name is replaced only if it is a model of ours.

    Args:
        tokenizer: the text of `tokenizer.json`.
        max_tokens: of a pair, special tokens included.
        card: figures and provenance, JSON-serialisable.
        storage: of the weights: "float32", or "int8" (a quarter of the size; matrices
            are rounded, and read back as float32).
        name: recorded in fingerprints; the folder's name by default.

    Raises:
        InvalidValueError: unknown storage, a card that is not JSON, or something else
            is in that place.
        ConfigurationError: the tokenizer does not fit the encoder.
    """
    target = Path(folder)
    if target.exists() and not (target / _MANIFEST).is_file() and (target.is_file() or any(target.iterdir())):
        raise InvalidValueError(
            f"{target.name} exists and is no model of ragguard", hint="give a folder that does not exist"
        )
    config = _plain_config(encoder)
    tokens_for(tokenizer, config, max_tokens=max_tokens, source=_TOKENIZER)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".writing-") as scratch:
        built = Path(scratch) / "model"
        built.mkdir()
        write_weights(built / _WEIGHTS, encoder.state_dict(), storage=storage)
        (built / _TOKENIZER).write_text(tokenizer, encoding="utf-8", newline="")
        (built / _CONFIG).write_text(_json(config, what="configuration"), encoding="utf-8")
        (built / _WEIGHTS).chmod((built / _CONFIG).stat().st_mode)  # safetensors lets nobody else read it
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "name": name or target.name,
            "max_tokens": max_tokens,
            "logits": list(LOGIT_NAMES),
            "storage": storage,
            "sha256": {each: sha256_of(built / each) for each in (_WEIGHTS, _TOKENIZER, _CONFIG)},
            "card": dict(card),
        }
        (built / _MANIFEST).write_text(_json(manifest, what="card"), encoding="utf-8")
        if target.exists():
            target.rename(Path(scratch) / "replaced")
        built.rename(target)
    return target


def load_folder(folder: Path) -> PairModel:
    """Return the model of a folder of ours or of a plain transformers one.

    Raises:
        UnreadableFileError: a file is missing, malformed or altered, or weights are
            missing, left over, of another shape or not finite.
        ConfigurationError: its outputs are not the three heads, or the tokenizer is
            another model's.
    """
    if (folder / _MANIFEST).is_file():
        return load_own_folder(folder)
    return _load_plain(folder)


def load_own_folder(folder: Path) -> PairModel:
    """Return the model of a folder of ours, every file of it as it was written.

    Raises:
        UnreadableFileError: a file is missing, malformed or altered.
        ConfigurationError: the tokenizer does not fit, or another architecture.
    """
    manifest = read_json(folder / _MANIFEST)
    version, logits, limit = (manifest.get(key) for key in ("schema_version", "logits", "max_tokens"))
    digests, card = manifest.get("sha256"), manifest.get("card")
    if version != SCHEMA_VERSION:
        raise UnreadableFileError(
            f"{_MANIFEST} of {folder.name} has schema version {str(version)[:20]}",
            hint=f"this version reads {SCHEMA_VERSION}",
        )
    if logits != list(LOGIT_NAMES) or not isinstance(limit, int) or not isinstance(digests, dict):
        raise UnreadableFileError(
            f"{_MANIFEST} of {folder.name} lacks its logits, max_tokens or sha256",
            hint="write the model anew",
        )
    for each in (_WEIGHTS, _TOKENIZER, _CONFIG):
        _require_digest(folder / each, digests.get(each))
    config = read_json(folder / _CONFIG)
    return PairModel(
        encoder=encoder_of(config, read_weights(folder / _WEIGHTS), source=folder.name),
        tokens=tokens_for(read_text(folder / _TOKENIZER), config, max_tokens=limit, source=folder.name),
        name=str(manifest.get("name") or folder.name),
        weights_sha256=str(digests[_WEIGHTS]),
        card=card if isinstance(card, dict) else {},
    )


def _load_plain(folder: Path) -> PairModel:
    config = read_json(folder / _CONFIG)
    weights = folder / _WEIGHTS
    if not weights.is_file():
        raise UnreadableFileError(
            f"{folder.name} holds no {_WEIGHTS}",
            hint="pickled weights are not loaded from folders: convert them",
        )
    state = classifier_state(config, read_weights(weights), source=folder.name)
    definition = read_text(folder / _TOKENIZER)
    return PairModel(
        encoder=encoder_of(config, state, source=folder.name),
        tokens=tokens_for(definition, config, max_tokens=None, source=folder.name),
        name=folder.name,
        weights_sha256=sha256_of(weights),
    )


def read_text(path: Path) -> str:
    """Return a small UTF-8 file's text.

    Raises:
        UnreadableFileError: missing, too large or not UTF-8.
    """
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise UnreadableFileError(
                f"{path.name} is larger than {_LARGEST_JSON >> 20} MiB", hint="check the file"
            )
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise UnreadableFileError(f"{path.parent.name} has no readable {path.name}", hint="add it") from error
    except UnicodeDecodeError as error:
        raise UnreadableFileError(f"{path.name} is not UTF-8", hint="write it anew") from error


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        UnreadableFileError: missing, not JSON, or not an object.
    """
    try:
        value = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UnreadableFileError(f"{path.name} is not JSON", hint="write it anew") from error
    if not isinstance(value, dict):
        raise UnreadableFileError(f"{path.name} holds no JSON object", hint="write it anew")
    return value


def _require_digest(path: Path, expected: object) -> None:
    if not isinstance(expected, str) or sha256_of(path) != expected:
        raise UnreadableFileError(
            f"{path.name} of {path.parent.name} is not the file that ragguard.json was written for",
            hint="copy or install the model anew",
        )


def _plain_config(encoder: PairEncoder) -> dict[str, Any]:
    config = shape_settings(encoder.base_model.config.to_dict())
    return {**config, "architectures": [type(encoder).__name__]}


def _json(value: Mapping[str, Any], *, what: str) -> str:
    try:
        return json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise InvalidValueError(
            f"the {what} is not JSON", hint="use strings, numbers, lists and dicts"
        ) from error
