"""Files that hold a calibration: a statement in JSON, its arrays in npz, both checksummed.

The JSON names, by its hash, the npz with the arrays; its own checksum covers
everything else in it. The npz is written first and the JSON replaced last, so a
kill at any point leaves what was there before whole. Nothing is ever unpickled.

What the statement says is the business of whoever writes it: this module knows
bytes, checksums and the comparison of fingerprints.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from ragguard.errors import ArtifactCorruptedError, CalibrationMismatchError, InvalidValueError

Arrays: TypeAlias = Mapping[str, NDArray[Any]]
M = TypeVar("M", bound=BaseModel)

SCHEMA_VERSION = 1


def content_id(statement: BaseModel) -> str:
    """Return a short hash of a statement's content, for logs and certificates."""
    return _digest(_canonical(statement.model_dump(mode="json")))[:16]


def qualified_name(thing: Any) -> str:
    """Return module and name of a function or class, or of the class of anything else."""
    owner = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{owner.__module__}.{owner.__qualname__}"


def as_json(value: Any) -> Any:
    """Return a fingerprint's value as JSON has it; what JSON does not know becomes its name."""
    return to_jsonable_python(value, fallback=qualified_name, inf_nan_mode="strings")


def write_artifact(statement: BaseModel, arrays: Arrays, path: Path) -> Path:
    """Write the statement to `path` and its arrays beside it, replacing what was there in one step.

    Args:
        statement: frozen, with `kind` and `schema_version` among its fields.
        arrays: plain arrays; the file is called after `path`, with its hash.
        path: of the JSON file; its folder is made.

    Raises:
        InvalidValueError: a fingerprint is no JSON value, or not a finite number.
    """
    packed = io.BytesIO()
    np.savez_compressed(packed, **dict(arrays))  # type: ignore[arg-type]
    data = packed.getvalue()
    name = f"{path.stem}-{_digest(data)[:16]}.npz"
    try:
        body = {**statement.model_dump(mode="json"), "arrays": {"file": name, "sha256": _digest(data)}}
        body["checksum"] = _digest(_canonical(body))
    except ValueError as error:
        raise InvalidValueError(
            "the calibration cannot be written as JSON", hint="fingerprints are text and finite numbers"
        ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path.with_name(name), data)
    _replace(path, (json.dumps(body, indent=2, ensure_ascii=False) + "\n").encode())
    for old in path.parent.glob(f"{path.stem}-*.npz"):
        if old.name != name:
            old.unlink(missing_ok=True)
    return path


def read_artifact(model: type[M], kind: str, path: Path) -> tuple[M, dict[str, NDArray[Any]]]:
    """Read and verify both files.

    Args:
        model: of the statement.
        kind: what its field `kind` must be.
        path: of the JSON file.

    Raises:
        ArtifactCorruptedError: missing, truncated, altered, of a newer schema, or not ours.
    """
    try:
        return _read(model, kind, path)
    except ArtifactCorruptedError:
        # A save by another process may have replaced the JSON, and removed the arrays it named, in between.
        return _read(model, kind, path)


def require_same(calibrated: Mapping[str, Any], live: Mapping[str, Any]) -> None:
    """Compare the live fingerprints with those of calibration.

    Raises:
        CalibrationMismatchError: a setting differs; every difference is named.
    """
    found = list(_differences("", calibrated, live))
    if found:
        raise CalibrationMismatchError(
            "this calibration was made for other settings: " + "; ".join(found),
            hint="calibrate again with the settings you serve with, or serve with those calibrated",
            details={"differences": found},
        )


def _read(model: type[M], kind: str, path: Path) -> tuple[M, dict[str, NDArray[Any]]]:
    body = _read_json(path)
    if body.get("kind") != kind:
        raise _corrupted(path, f"it is not a {kind} calibration")
    if body.get("schema_version") != SCHEMA_VERSION:
        raise _corrupted(
            path, f"its schema version is {body.get('schema_version')!r}, known is {SCHEMA_VERSION}"
        )
    checksum = body.pop("checksum", None)
    if checksum != _digest(_canonical(body)):
        raise _corrupted(path, "its content does not match its checksum")
    named = body.pop("arrays", None)
    try:
        statement = model.model_validate(body)
    except ValidationError as error:
        fields = sorted({".".join(str(p) for p in e["loc"]) for e in error.errors()})
        raise _corrupted(path, f"fields {fields} are invalid") from error
    return statement, _read_arrays(path, named)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_bytes().decode("utf-8"), parse_constant=_finite, parse_float=_finite)
    except OSError as error:
        raise _corrupted(path, f"it cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise _corrupted(path, "it is not JSON") from error
    if not isinstance(body, dict):
        raise _corrupted(path, "it is not a JSON object")
    return body


def _read_arrays(path: Path, named: Any) -> dict[str, NDArray[Any]]:
    if (
        not isinstance(named, dict)
        or not isinstance(named.get("file"), str)
        or not named["file"]
        or Path(named["file"]).name != named["file"]
    ):
        raise _corrupted(path, "it does not name its arrays file")
    arrays = path.with_name(named["file"])
    try:
        data = arrays.read_bytes()
        if _digest(data) != named.get("sha256"):
            raise _corrupted(arrays, "its content does not match its checksum")
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            content = {name: archive[name] for name in archive.files}
    except OSError as error:
        raise _corrupted(arrays, f"it cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise _corrupted(arrays, "it is not an npz file of plain arrays") from error
    if not all(isinstance(array, np.ndarray) for array in content.values()):
        raise _corrupted(arrays, "it is not an npz file of plain arrays")
    return content


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return value


def _corrupted(path: Path, why: str) -> ArtifactCorruptedError:
    return ArtifactCorruptedError(
        f"{path} cannot be used: {why}", hint="calibrate again, or restore the folder from a backup"
    )


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _canonical(body: Mapping[str, Any]) -> bytes:
    return json.dumps(
        body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _differences(prefix: str, calibrated: Mapping[str, Any], live: Mapping[str, Any]) -> list[str]:
    found = []
    for key in sorted({*calibrated, *live}, key=str):
        ours, theirs, name = calibrated.get(key), live.get(key), f"{prefix}{key}"
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            found += _differences(f"{name}.", ours, theirs)
        elif _plain(ours) != _plain(theirs):
            found.append(f"{name} was {ours!r}, is {theirs!r}")
    return found


def _plain(value: Any) -> Any:
    """Tuples become lists at any depth, as they do in JSON."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value
