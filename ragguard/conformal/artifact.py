"""The calibration artifact: every threshold with what it was calibrated on; see `ragguard.artifacts` for the files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ragguard.artifacts import Arrays, content_id, read_artifact, write_artifact

FILE_NAME = "calibration.json"
KIND = "ragguard.retrieval"


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
        return content_id(self)

    def expired(self, now: datetime | None = None) -> bool:
        """True from `expires` on."""
        return (now or datetime.now(UTC)) >= self.expires


def save_artifact(artifact: Artifact, arrays: Arrays, folder: str | Path) -> Path:
    """Write both files into the folder, replacing a calibration there in one step; return the JSON's path.

    Raises:
        InvalidValueError: a fingerprint is no JSON value, or not a finite number.
    """
    return write_artifact(artifact, arrays, Path(folder) / FILE_NAME)


def load_artifact(folder: str | Path) -> tuple[Artifact, dict[str, NDArray[Any]]]:
    """Read and verify both files.

    Raises:
        ArtifactCorruptedError: missing, truncated, altered, of a newer schema, or not ours.
    """
    return read_artifact(Artifact, KIND, Path(folder) / FILE_NAME)
