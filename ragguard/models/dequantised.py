"""A GGUF model as safetensors, dequantised once and kept in the user's cache.

Dequantising takes some fifteen seconds, loading the result less than one. An
entry is written beside its place and moved there whole; every file's sha256 is
checked at load, and an entry that fails is built anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ragguard.errors import MissingDependencyError, UnreadableFileError
from ragguard.models.bundled import sha256_of
from ragguard.models.cpu import import_torch

_LOG = logging.getLogger(__name__)
_MANIFEST = "manifest.json"
_TIED = "lm_head.weight"


def cache_root() -> Path:
    """Return where ragguard keeps what it can build again: RAGGUARD_CACHE, or the platform's cache folder."""
    named = os.environ.get("RAGGUARD_CACHE")
    if named:
        return Path(named).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "ragguard" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "ragguard"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ragguard"


def load_gguf(gguf: Path, *, dtype: str, cache: Path) -> tuple[Any, Any]:
    """Return (model, tokeniser) of a GGUF file in "float32" or "bfloat16", through the cache.

    Where the cache cannot be written, the model is dequantised in memory each time.

    Raises:
        MissingDependencyError: building needs `gguf` and `accelerate`.
    """
    entry = cache / f"{gguf.stem}-{_key(gguf, dtype)}"
    if not _is_whole(entry):
        model, tokenizer = _dequantise(gguf, dtype)
        try:
            _keep(model, tokenizer, entry)
        except OSError as error:
            _LOG.warning("the dequantised model could not be cached: %s", type(error).__name__)
        return model.eval(), tokenizer
    return _load(entry, dtype)


def _key(gguf: Path, dtype: str) -> str:
    import transformers

    text = f"{sha256_of(gguf)}|{transformers.__version__}|{dtype}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_whole(entry: Path) -> bool:
    try:
        files = json.loads((entry / _MANIFEST).read_text(encoding="utf-8"))["files"]
        return bool(files) and all(sha256_of(entry / name) == digest for name, digest in files.items())
    except (OSError, UnreadableFileError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _load(folder: Path, dtype: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with _without_progress_bars():
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return model.to(getattr(import_torch(), dtype)).eval(), tokenizer


def _dequantise(gguf: Path, dtype: str) -> tuple[Any, Any]:
    _require("gguf", "accelerate")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with _without_progress_bars():
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, local_files_only=True)
    return model.to(getattr(import_torch(), dtype)), tokenizer


def _require(*packages: str) -> None:
    from importlib.util import find_spec

    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"reading a GGUF file needs {' and '.join(missing)}", hint="pip install 'ragguard[smollm]'"
        )


def _keep(model: Any, tokenizer: Any, entry: Path) -> None:
    """Write an entry whole or not at all; one that another process finished first is as good."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=entry.parent, prefix=".building-") as name:
        built = Path(name) / "entry"
        built.mkdir()
        _write(model, tokenizer, built)
        files = {path.name: sha256_of(path) for path in sorted(built.iterdir())}
        (built / _MANIFEST).write_text(json.dumps({"files": files}, indent=1), encoding="utf-8")
        if entry.exists() and not _is_whole(entry):
            shutil.rmtree(entry, ignore_errors=True)
        if not entry.exists():
            built.rename(entry)


def _write(model: Any, tokenizer: Any, folder: Path) -> None:
    from safetensors.torch import save_file

    config = model.config.to_dict()
    # `save_pretrained` refuses what was read from GGUF; what is saved here is plain weights.
    for name in ("quantization_config", "_name_or_path"):
        config.pop(name, None)
    config["architectures"] = [type(model).__name__]
    tied = bool(config.get("tie_word_embeddings"))
    weights = {k: v.contiguous() for k, v in model.state_dict().items() if not (tied and k == _TIED)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tokenizer.save_pretrained(folder)


@contextlib.contextmanager
def _without_progress_bars() -> Iterator[None]:
    from transformers.utils import logging as noise

    shown = noise.is_progress_bar_enabled()
    noise.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            noise.enable_progress_bar()
