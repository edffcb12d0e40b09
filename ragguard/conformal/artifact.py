"""The calibration artifact: every threshold with what it was calibrated on, in JSON and npz.

`calibration.json` holds the statement and the fingerprints and names, by its
hash, the npz with the arrays; its own checksum covers everything else in it. The
npz is written first and the JSON replaced last, so a kill at any point leaves
the previous calibration whole. Nothing is ever unpickled.
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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ragguard.errors import ArtifactCorruptedError, InvalidValueError

FILE_NAME = "calibration.json"
SCHEMA_VERSION = 1


class Category(BaseModel):
    """One threshold: passages with nonconformity <= threshold are kept.

    Attributes:
        threshold: finite; None when it depends on the question (weighted calibration).
        n: calibration questions behind it.
        rank: order statistic used, None for the recall target.
        unreachable: of those, questions whose target no threshold meets.
        members: the groups that use it; empty without groups.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    threshold: float | None
    n: int
    rank: int | None = None
    unreachable: int = 0
    members: tuple[str, ...] = ()


class Artifact(BaseModel):
    """What was promised, on which questions, through which retriever; see the field names.

    Attributes:
        alpha, delta, target: the promise.
        n, n_tuning, n_unanswerable, n_clusters: the question set behind it.
        score, parameters: the nonconformity score.
        cap, depth: most passages kept; results asked of the retriever.
        shortest: fewest results any calibration question got.
        categories: thresholds, by category; "" without groups.
        unseen_group: "abstain" or "error" for a group not calibrated.
        novelty_level: share of answerable questions that may be turned away, or None.
        weighting: "exact" or "estimated" likelihood ratios, or None.
        by_provenance: n and threshold of human and of synthetic questions, apart.
        tolerance: share of passages that may have changed before serving is an error.
        upstream: guards before the cut, inside the calibrated map.
        fingerprints: inputs and settings that must be the same at serving time.
        informative: further settings, recorded but not compared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    kind: Literal["ragguard.retrieval"] = "ragguard.retrieval"
    version: str = ""
    created: datetime
    expires: datetime
    alpha: float = Field(gt=0, lt=1)
    delta: float | None = Field(default=None, gt=0, lt=1)
    target: Literal["any", "all", "recall"]
    n: int
    n_tuning: int = 0
    n_unanswerable: int = 0
    n_clusters: int | None = None
    score: str
    parameters: Mapping[str, float] = Field(default_factory=dict)
    orientation: Literal["keeps nonconformity <= threshold"] = "keeps nonconformity <= threshold"
    cap: int | None = None
    depth: int | None = None
    shortest: int = 0
    categories: Mapping[str, Category]
    unseen_group: Literal["abstain", "error"] = "abstain"
    novelty_level: float | None = None
    weighting: Literal["exact", "estimated"] | None = None
    effective_size: float | None = None
    by_provenance: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    tolerance: float = 0.1
    upstream: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seed: int = 0
    fingerprints: Mapping[str, Any] = Field(default_factory=dict)
    informative: Mapping[str, Any] = Field(default_factory=dict)

    @property
    def id(self) -> str:
        """A short hash of the content, for logs and certificates."""
        return _digest(_canonical(self.model_dump(mode="json")))[:16]

    def expired(self, now: datetime | None = None) -> bool:
        """True from `expires` on."""
        return (now or datetime.now(UTC)) >= self.expires


Arrays = Mapping[str, NDArray[Any]]


def save_artifact(artifact: Artifact, arrays: Arrays, folder: str | Path) -> Path:
    """Write both files into the folder, replacing a calibration there in one step; return the JSON's path.

    Raises:
        InvalidValueError: a fingerprint is no JSON value, or not a finite number.
    """
    folder = Path(folder)
    packed = io.BytesIO()
    np.savez_compressed(packed, **dict(arrays))  # type: ignore[arg-type]
    data = packed.getvalue()
    name = f"calibration-{_digest(data)[:16]}.npz"
    try:
        body = {**artifact.model_dump(mode="json"), "arrays": {"file": name, "sha256": _digest(data)}}
        body["checksum"] = _digest(_canonical(body))
    except ValueError as error:
        raise InvalidValueError(
            "the calibration cannot be written as JSON", hint="fingerprints are text and finite numbers"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / name, data)
    _replace(folder / FILE_NAME, (json.dumps(body, indent=2, ensure_ascii=False) + "\n").encode())
    for old in folder.glob("calibration-*.npz"):
        if old.name != name:
            old.unlink(missing_ok=True)
    return folder / FILE_NAME


def load_artifact(folder: str | Path) -> tuple[Artifact, dict[str, NDArray[Any]]]:
    """Read and verify both files.

    Raises:
        ArtifactCorruptedError: missing, truncated, altered, of a newer schema, or not ours.
    """
    path = Path(folder) / FILE_NAME
    try:
        return _load(path)
    except ArtifactCorruptedError:
        # A save by another process may have replaced the JSON, and removed the arrays it named, in between.
        return _load(path)


def _load(path: Path) -> tuple[Artifact, dict[str, NDArray[Any]]]:
    body = _read_json(path)
    if body.get("kind") != "ragguard.retrieval":
        raise _corrupted(path, "it is not a ragguard calibration")
    if body.get("schema_version") != SCHEMA_VERSION:
        raise _corrupted(
            path, f"its schema version is {body.get('schema_version')!r}, known is {SCHEMA_VERSION}"
        )
    checksum = body.pop("checksum", None)
    if checksum != _digest(_canonical(body)):
        raise _corrupted(path, "its content does not match its checksum")
    named = body.pop("arrays", None)
    try:
        artifact = Artifact.model_validate(body)
    except ValidationError as error:
        fields = sorted({".".join(str(p) for p in e["loc"]) for e in error.errors()})
        raise _corrupted(path, f"fields {fields} are invalid") from error
    return artifact, _read_arrays(path, named)


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
