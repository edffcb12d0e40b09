"""An adapter and heads as a folder: a model whose base is installed on its own.

It holds `adapter.safetensors`, `tokenizer.json` (the layout of pairs in it) and
`ragguard.json` (schema version, base with its sha256, token limit, order of the
logits, sha256 of both files, card). A few megabytes, where the base has hundreds.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragguard.errors import InvalidValueError, UnreadableFileError
from ragguard.models.bundled import sha256_of
from ragguard.models.decoder_pair_base import DecoderBase, decoder_base
from ragguard.models.pair_folder import read_json, read_text
from ragguard.models.pair_logits import LOGIT_NAMES
from ragguard.models.pair_parts import PairModel
from ragguard.models.pair_tokenizer import tokens_for

if TYPE_CHECKING:
    from ragguard.models.pair_encoder import PairEncoder

SCHEMA_VERSION = 1
ADAPTER, TOKENIZER, MANIFEST = "adapter.safetensors", "tokenizer.json", "ragguard.json"


def is_adapter_folder(folder: Path) -> bool:
    """Return whether a folder holds an adapter rather than a whole model."""
    return (folder / ADAPTER).is_file()


def save_adapter_folder(
    folder: Path | str,
    encoder: PairEncoder,
    *,
    base: DecoderBase,
    rank: int,
    alpha: float,
    max_tokens: int,
    card: Mapping[str, Any],
    storage: str = "float16",
    name: str = "",
) -> Path:
    """Write the factors and heads of an adapted encoder as a folder, whole or not at all; return it.

    An earlier folder of that name is replaced only if it holds an adapter.

    Args:
        encoder: adapted, not merged.
        base: what it was adapted from.
        rank: as it was adapted with.
        alpha: as it was adapted with.
        max_tokens: of a pair, layout included.
        card: figures and provenance, JSON-serialisable.
        storage: of the factors, "float16" or "float32".
        name: recorded in fingerprints; the folder's name by default.

    Raises:
        InvalidValueError: unknown storage, a card that is not JSON, an encoder that is not
            adapted, or something else is in that place.
    """
    from ragguard.models.lora import Adapter, adapter_state, has_lora, save_adapter

    target = Path(folder)
    if target.exists() and not is_adapter_folder(target) and (target.is_file() or any(target.iterdir())):
        raise InvalidValueError(
            f"{target.name} exists and is no adapter", hint="give a folder that does not exist"
        )
    if not has_lora(encoder):
        raise InvalidValueError("the encoder has no adapter", hint="save it before the adapter is merged")
    config = encoder.base_model.config
    adapter = Adapter(adapter_state(encoder), base.sha256, rank, alpha, bool(config.bidirectional))
    tokens_for(base.tokenizer, base.settings, max_tokens=max_tokens, source=TOKENIZER)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".writing-") as scratch:
        built = Path(scratch) / "model"
        built.mkdir()
        save_adapter(built / ADAPTER, adapter, storage=storage)
        (built / TOKENIZER).write_text(base.tokenizer, encoding="utf-8", newline="")
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "kind": "adapter",
            "name": name or target.name,
            "base": {"name": base.name, "sha256": base.sha256},
            "max_tokens": max_tokens,
            "logits": list(LOGIT_NAMES),
            "storage": storage,
            "sha256": {each: sha256_of(built / each) for each in (ADAPTER, TOKENIZER)},
            "card": dict(card),
        }
        (built / MANIFEST).write_text(_json(manifest), encoding="utf-8")
        if target.exists():
            target.rename(Path(scratch) / "replaced")
        built.rename(target)
    return target


def load_adapter_folder(folder: Path, *, base: DecoderBase | None = None) -> PairModel:
    """Return the model of an adapter's folder, the adapter merged into its base.

    Args:
        folder: as `save_adapter_folder` wrote it.
        base: loaded already; the one that the folder names by default.

    Raises:
        UnreadableFileError: a file is missing, malformed or altered.
        ConfigurationError: the base is another than the adapter was trained on.
        MissingDependencyError: the base is not installed.
    """
    from ragguard.models.decoder_pair import DecoderPairEncoder
    from ragguard.models.lora import add_lora, load_adapter, load_adapter_state, merge_lora

    manifest = read_json(folder / MANIFEST)
    limit, digests = manifest.get("max_tokens"), _checked(manifest, folder)
    adapter = load_adapter(folder / ADAPTER)
    if base is None:
        base = decoder_base(_base_name(manifest, folder))
    adapter.require_base(base.sha256)
    encoder = DecoderPairEncoder.from_base(base, bidirectional=adapter.bidirectional)
    add_lora(encoder.base_model, rank=adapter.rank, alpha=adapter.alpha)
    load_adapter_state(encoder, adapter.state, source=folder.name)
    merge_lora(encoder.base_model)
    definition = read_text(folder / TOKENIZER)
    card = manifest.get("card")
    return PairModel(
        encoder=encoder.requires_grad_(False).eval(),
        tokens=tokens_for(definition, base.settings, max_tokens=limit, source=folder.name),
        name=str(manifest.get("name") or folder.name),
        weights_sha256=digests[ADAPTER],  # the file names its base: this one digest tells of both
        card=card if isinstance(card, dict) else {},
    )


def _checked(manifest: Mapping[str, Any], folder: Path) -> dict[str, str]:
    version, limit, digests = (manifest.get(key) for key in ("schema_version", "max_tokens", "sha256"))
    if version != SCHEMA_VERSION:
        raise UnreadableFileError(
            f"{MANIFEST} of {folder.name} has schema version {str(version)[:20]}",
            hint=f"this version reads {SCHEMA_VERSION}",
        )
    if (
        manifest.get("logits") != list(LOGIT_NAMES)
        or not isinstance(limit, int)
        or not isinstance(digests, dict)
    ):
        raise UnreadableFileError(
            f"{MANIFEST} of {folder.name} lacks its logits, max_tokens or sha256", hint="write the model anew"
        )
    for each in (ADAPTER, TOKENIZER):
        if sha256_of(folder / each) != digests.get(each):
            raise UnreadableFileError(
                f"{each} of {folder.name} is not the file that {MANIFEST} was written for",
                hint="copy or install the model anew",
            )
    return digests


def _base_name(manifest: Mapping[str, Any], folder: Path) -> str:
    base = manifest.get("base")
    name = base.get("name") if isinstance(base, dict) else None
    if not isinstance(name, str):
        raise UnreadableFileError(f"{MANIFEST} of {folder.name} names no base", hint="write the model anew")
    return name


def _json(value: Mapping[str, Any]) -> str:
    try:
        return json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise InvalidValueError(
            "the card is not JSON", hint="use strings, numbers, lists and dicts"
        ) from error
