"""The frozen language model under an adapter: SmolLM2 of the installed package, or a Llama's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragguard.errors import UnreadableFileError
from ragguard.models.bundled import sha256_of
from ragguard.models.decoder_pair_tokens import decoder_definition
from ragguard.models.dequantised import cache_root, load_gguf
from ragguard.models.pair_folder import read_json, read_text
from ragguard.models.pair_storage import read_weights
from ragguard.models.pair_tokens import PairTokens
from ragguard.models.smollm import gguf_file

if TYPE_CHECKING:
    from torch import Tensor

SMOLLM2 = "smollm2"
_DECODER, _NORM = "model.", "norm.weight"
_LEFT_OUT = ("lm_head.weight",)  # what a language model says is never asked


@dataclass(frozen=True)
class DecoderBase:
    """A decoder's weights and tokenizer, as they came from their files.

    Attributes:
        name: "smollm2", or the folder.
        sha256: of the file of the weights, in hex: an adapter fits this file and no other.
        settings: what shapes it.
        state: `embed_tokens.weight`, `layers.*` and `pooler.weight` (the final norm), float32.
        tokenizer: the definition with the layout of pairs.
    """

    name: str
    sha256: str
    settings: Mapping[str, Any]
    state: Mapping[str, Tensor]
    tokenizer: str


def is_decoder(backbone: str) -> bool:
    """Return whether a backbone is a decoder: "smollm2", or a folder whose configuration says Llama."""
    if backbone == SMOLLM2:
        return True
    config = Path(backbone).expanduser() / "config.json"
    return config.is_file() and read_json(config).get("model_type") == "llama"


def decoder_base(name: str = SMOLLM2, *, cache: Path | None = None) -> DecoderBase:
    """Return a base by name; nothing is fetched.

    Args:
        name: "smollm2", or a folder with `config.json`, `model.safetensors` and `tokenizer.json`.
        cache: where SmolLM2's dequantised weights are kept; the user's cache by default.

    Raises:
        MissingDependencyError: SmolLM2's package is not installed.
        UnreadableFileError: a file of the folder is missing or malformed.
        ConfigurationError: its tokenizer lacks the control tokens of the layout.
    """
    if name == SMOLLM2:
        gguf = gguf_file()
        model, tokenizer = load_gguf(gguf, dtype="float32", cache=cache or cache_root())
        definition = str(tokenizer.backend_tokenizer.to_str())
        return _base(SMOLLM2, sha256_of(gguf), model.config.to_dict(), model.state_dict(), definition)
    folder = Path(name).expanduser()
    weights = folder / "model.safetensors"
    config = read_json(folder / "config.json")
    definition = read_text(folder / "tokenizer.json")
    return _base(str(folder), sha256_of(weights), config, read_weights(weights), definition)


def _base(
    name: str, sha256: str, config: Mapping[str, Any], state: Mapping[str, Tensor], definition: str
) -> DecoderBase:
    from ragguard.models.decoder_pair import decoder_settings

    tokenizer = decoder_definition(definition)
    pad_id = PairTokens(tokenizer, max_tokens=64).pad_id
    found = {_own(key): tensor.detach().float() for key, tensor in state.items() if key not in _LEFT_OUT}
    if not found:
        raise UnreadableFileError(f"the base {Path(name).name} holds no weights", hint="install it anew")
    return DecoderBase(name, sha256, decoder_settings(config, pad_id=pad_id), found, tokenizer)


def _own(key: str) -> str:
    """The name here of a tensor of a causal language model."""
    key = key.removeprefix(_DECODER)
    return "pooler.weight" if key == _NORM else key
