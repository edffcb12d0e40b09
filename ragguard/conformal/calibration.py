"""A calibration in use: which threshold a question gets, and whether it may be served at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragguard.artifacts import Arrays, require_same
from ragguard.conformal.artifact import Artifact, load_artifact, save_artifact
from ragguard.conformal.groups import REST, WHOLE
from ragguard.conformal.novelty import NoveltyTest
from ragguard.conformal.scores import Score, make_score
from ragguard.conformal.weighted import WeightedScores
from ragguard.errors import ArtifactCorruptedError, CalibrationMismatchError


@dataclass(frozen=True)
class CorpusChange:
    """How far the served passages are from the calibrated ones.

    Attributes:
        added, removed: passages, by content.
        share: changed passages per calibrated passage.
    """

    added: int
    removed: int
    share: float


class Calibration:
    """An artifact with its arrays.

    Args:
        artifact: the statement and fingerprints.
        arrays: "tops" (best similarities), "scores" and "weights" (weighted only),
            "passages" (content hashes, when the corpus is known).

    Raises:
        ArtifactCorruptedError: an array that the artifact needs is missing or malformed.
    """

    def __init__(self, artifact: Artifact, arrays: Arrays) -> None:
        self.artifact = artifact
        self.arrays = dict(arrays)
        self.score: Score = make_score(artifact.score, temperature=artifact.parameters.get("temperature"))
        needed = {"tops"} | ({"scores", "weights"} if artifact.weighting else set())
        if missing := needed - self.arrays.keys():
            raise ArtifactCorruptedError(
                f"the calibration lacks the arrays {sorted(missing)}", hint="calibrate again"
            )
        _check_arrays(self.arrays)
        if any(c.threshold is None for c in artifact.categories.values()) and not artifact.weighting:
            raise ArtifactCorruptedError(
                "the calibration has a category without a threshold", hint="calibrate again"
            )
        level = artifact.novelty_level
        self.novelty = NoveltyTest(np.asarray(self.arrays["tops"]), level) if level is not None else None
        self._weighted = (
            WeightedScores.of(self.arrays["scores"], self.arrays["weights"]) if artifact.weighting else None
        )
        self._category_of = {g: c for c, entry in artifact.categories.items() for g in entry.members}

    @classmethod
    def load(cls, folder: str | Path) -> Calibration:
        """Read a calibration.

        Raises:
            ArtifactCorruptedError: see `load_artifact`.
        """
        return cls(*load_artifact(folder))

    def save(self, folder: str | Path) -> Path:
        """Write the calibration, replacing one in that folder in a single step."""
        return save_artifact(self.artifact, self.arrays, folder)

    @property
    def grouped(self) -> bool:
        """True when each group has a threshold."""
        return WHOLE not in self.artifact.categories

    def category(self, group: str | None) -> str | None:
        """Return the category of a group, or None when the group was not calibrated."""
        if not self.grouped:
            return WHOLE
        return self._category_of.get(group or REST)

    def threshold(self, category: str, *, weight: float = 1.0) -> float:
        """Return the threshold; +inf where a weighted question is out of reach."""
        if self._weighted is not None:
            return self._weighted.threshold(weight, self.artifact.alpha)
        value = self.artifact.categories[category].threshold
        return float("inf") if value is None else value

    def most_kept(self, similarities: NDArray[np.floating[Any]]) -> int:
        """Return how many of the candidates any question could keep, whatever its group."""
        if self._weighted is not None:
            return len(similarities)
        loosest = max(self.threshold(category) for category in self.artifact.categories)
        values = np.asarray(similarities, dtype=np.float64)
        count = int(np.searchsorted(self.score(values), loosest, side="right"))
        return count if self.artifact.cap is None else min(count, self.artifact.cap)

    def verify(self, live: Mapping[str, Any]) -> None:
        """Compare the live fingerprints with those of calibration.

        Raises:
            CalibrationMismatchError: a setting differs; every difference is named.
        """
        require_same(self.artifact.fingerprints, live)

    def corpus_change(self, passages: np.ndarray | None) -> CorpusChange | None:
        """Return how far the served passages differ, or None when either side is unknown.

        Raises:
            CalibrationMismatchError: the share exceeds the artifact's tolerance.
        """
        known = self.arrays.get("passages")
        if known is None or passages is None:
            return None
        added = len(np.setdiff1d(passages, known))
        removed = len(np.setdiff1d(known, passages))
        change = CorpusChange(added, removed, (added + removed) / max(1, len(known)))
        if change.share > self.artifact.tolerance:
            raise CalibrationMismatchError(
                f"{change.share:.1%} of the passages changed since calibration ({added} added, {removed} removed), "
                f"more than the {self.artifact.tolerance:.1%} declared",
                hint="run `ragguard calibrate --refresh` on the folder",
                details={"added": added, "removed": removed, "share": change.share},
            )
        return change


def _check_arrays(arrays: Arrays) -> None:
    for name in ("tops", "scores", "weights"):
        values = arrays.get(name)
        if values is None:
            continue
        # -inf is the best similarity of a question that got no result, +inf the score of one out of reach.
        if values.ndim != 1 or values.dtype.kind != "f" or np.isnan(values).any():
            raise ArtifactCorruptedError(
                f"the array {name!r} of the calibration is malformed", hint="calibrate again"
            )
    if len(arrays.get("scores", ())) != len(arrays.get("weights", ())):
        raise ArtifactCorruptedError("the calibration has not one weight a score", hint="calibrate again")
