"""The monotone model that makes one score of a claim's features.

Additive and piecewise linear: each feature adds a curve that never falls, so that
more support by any of them never lowers the score. It is small enough to be read,
and every contribution to a score can be named.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ragguard.alignment.features import NAMES
from ragguard.errors import UnreadableFileError

Array = NDArray[np.float64]
_VERSION = 1


@dataclass(frozen=True)
class Combiner:
    """score = sigmoid(intercept + sum over features of a non-falling curve).

    Attributes:
        names: of the features, in the order of the columns.
        knots: for each feature the places where its curve bends, increasing.
        rises: for each feature by how much the curve rises from knot to knot, not negative.
        intercept: what is left when every feature is at its lowest.
        thresholds: operating point -> score above which a claim counts as supported.
        answer_power: P(all claims supported) is the product of the scores to this power, in [0, 1].
        fitted: what it was fitted on, for people.
    """

    names: tuple[str, ...]
    knots: tuple[tuple[float, ...], ...]
    rises: tuple[tuple[float, ...], ...]
    intercept: float
    thresholds: Mapping[str, float]
    answer_power: float = 1.0
    fitted: Mapping[str, Any] | None = None

    def scores(self, features: Array) -> Array:
        """Return one score in (0, 1) a row of features, shape (n, features), columns as in `features.NAMES`."""
        return np.asarray(expit(self.intercept + self.contributions(features).sum(axis=1)))

    def contributions(self, features: Array) -> Array:
        """Return what each of its features adds to the log-odds, shape (n, len(self.names))."""
        columns = [
            _curve(features[:, NAMES.index(name)], np.asarray(knots), np.asarray(rises))
            for name, knots, rises in zip(self.names, self.knots, self.rises, strict=True)
        ]
        return np.stack(columns, axis=1)

    def all_supported(self, scores: Sequence[float]) -> float:
        """Return P(every claim is supported): claims of one answer fail together more than by chance."""
        return float(np.prod(np.asarray(scores, dtype=np.float64)) ** self.answer_power)

    def digest(self) -> str:
        """Return the sha256 of its settings, in hex, for fingerprints."""
        return hashlib.sha256(self.to_json().encode("utf-8")).hexdigest()

    def to_json(self) -> str:
        """Return it as JSON, numbers to six digits."""
        values = {
            "schema_version": _VERSION,
            "intercept": round(self.intercept, 6),
            "features": {
                name: {"knots": _rounded(knots), "rises": _rounded(rises)}
                for name, knots, rises in zip(self.names, self.knots, self.rises, strict=True)
            },
            "thresholds": dict(self.thresholds),
            "answer_power": self.answer_power,
            "fitted": dict(self.fitted or {}),
        }
        return json.dumps(values, indent=1)


def plain_combiner() -> Combiner:
    """Return the combiner of a model that brings none: P(entailed) by the best chunk, as the model gives it."""
    return Combiner(("chunk_entailed",), ((-12.0, 12.0),), ((24.0,),), -12.0, {"balanced": 0.5})


def load_combiner(path: Path) -> Combiner:
    """Return the combiner of a JSON file.

    Raises:
        UnreadableFileError: it is no such file, was fitted on other features, or a curve falls.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        features = values["features"]
        found = Combiner(
            tuple(features),
            tuple(tuple(map(float, f["knots"])) for f in features.values()),
            tuple(tuple(map(float, f["rises"])) for f in features.values()),
            float(values["intercept"]),
            {str(k): float(v) for k, v in values["thresholds"].items()},
            float(values["answer_power"]),
            values.get("fitted"),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableFileError(
            f"{path.name} is not a combiner ({type(error).__name__})", hint="fit it again"
        ) from error
    _require_sound(found, path.name, values.get("schema_version"))
    return found


def _require_sound(found: Combiner, file: str, version: object) -> None:
    problem = ""
    if version != _VERSION:
        problem = f"has schema version {version!r}, not {_VERSION}"
    elif set(found.names) - set(NAMES):
        problem = (
            f"was fitted on features that are not made any more: {sorted(set(found.names) - set(NAMES))[0]}"
        )
    elif any(len(k) != len(r) + 1 for k, r in zip(found.knots, found.rises, strict=True)):
        problem = "has a curve with a missing knot"
    elif any(np.any(np.diff(k) <= 0) for k in found.knots) or any(
        np.min(r, initial=0) < 0 for r in found.rises
    ):
        problem = "has a curve that falls"
    elif not np.isfinite([found.intercept, *sum(found.knots, ()), *sum(found.rises, ())]).all():
        problem = "holds a number that is not finite"
    if problem:
        raise UnreadableFileError(f"{file} {problem}", hint="fit it again")


def curve_basis(values: Array, knots: Array) -> Array:
    """Return the rises of a curve with these knots, from 0 to 1 between two knots; shape (n, knots - 1)."""
    low, high = knots[:-1], knots[1:]
    return np.clip((values[:, None] - low) / (high - low), 0.0, 1.0)


def _curve(values: Array, knots: Array, rises: Array) -> Array:
    found: Array = curve_basis(values, knots) @ rises
    return found


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 6) for value in values]
