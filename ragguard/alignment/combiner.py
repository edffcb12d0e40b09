"""The monotone model that makes one score of a claim's features.

Additive and piecewise linear: each feature adds a curve that never falls, so that
more support by any of them never lowers the score. It is small enough to be read,
and every contribution to a score can be named.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ragguard.alignment.features import NAMES
from ragguard.errors import InvalidValueError, UnreadableFileError

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
        thresholds: operating point -> score in [0, 1] above which a claim counts as
            supported; "balanced", always there, is below 1. "cautious" is the default where there is one.
        answer_power: P(all claims supported) is the product of the scores to this power, in [0, 1].
        fitted: what it was fitted on, for people.

    Raises:
        InvalidValueError: a curve falls or has not one rise between two knots, a number is
            not finite or out of range, or a feature is unknown.
    """

    names: tuple[str, ...]
    knots: tuple[tuple[float, ...], ...]
    rises: tuple[tuple[float, ...], ...]
    intercept: float
    thresholds: Mapping[str, float]
    answer_power: float = 1.0
    fitted: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        problem = _problem_of(self)
        if problem:
            raise InvalidValueError(f"a combiner {problem}")

    @property
    def default_threshold(self) -> float:
        """The cautious one: a guard had better refuse a good answer than release a bad one."""
        return self.thresholds.get("cautious", self.thresholds["balanced"])

    def scores(self, features: Array) -> Array:
        """Return one score in [0, 1] a row of features, shape (n, features), columns as in `features.NAMES`."""
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
        """Return it as JSON, numbers to nine digits: as many as tell knots of features apart."""
        values = {
            "schema_version": _VERSION,
            "intercept": _rounded([self.intercept])[0],
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
        version = values["schema_version"]
        if version != _VERSION:
            raise InvalidValueError(f"a combiner has schema version {version!r:.20}, not {_VERSION}")
        features = values["features"]
        return Combiner(
            tuple(features),
            tuple(_numbers(f["knots"]) for f in features.values()),
            tuple(_numbers(f["rises"]) for f in features.values()),
            _numbers([values["intercept"]])[0],
            dict(zip(values["thresholds"], _numbers(values["thresholds"].values()), strict=True)),
            _numbers([values["answer_power"]])[0],
            dict(values.get("fitted") or {}),
        )
    except InvalidValueError as error:
        raise UnreadableFileError(f"{path.name}: {error}", hint="fit it again") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise UnreadableFileError(
            f"{path.name} is not a combiner ({type(error).__name__})", hint="fit it again"
        ) from error


def _numbers(values: Iterable[object]) -> tuple[float, ...]:
    """The values as floats; text and truth values are no numbers, however they look."""
    found = list(values)
    if isinstance(values, str) or any(isinstance(v, bool) or not isinstance(v, int | float) for v in found):
        raise InvalidValueError("a combiner holds something that is no number")
    return tuple(float(v) for v in found if isinstance(v, int | float))


def _problem_of(found: Combiner) -> str:
    """What is wrong with a combiner, or ""."""
    curves = [*sum(found.knots, ()), *sum(found.rises, ())]
    unknown = sorted(set(found.names) - set(NAMES))
    pairs = list(zip(found.knots, found.rises, strict=False))
    if not found.names:
        return "uses no feature"
    if unknown:
        return f"was fitted on features that are not made any more: {unknown[0]!r:.40}"
    if not len(set(found.names)) == len(found.knots) == len(found.rises) == len(found.names):
        return "has not one curve a feature"
    if not np.isfinite([found.intercept, found.answer_power, *found.thresholds.values(), *curves]).all():
        return "holds a number that is not finite"
    if any(len(knots) != len(rises) + 1 or not rises for knots, rises in pairs):
        return "has a curve with a missing knot"
    if any(np.any(np.diff(knots) <= 0) or min(rises) < 0 for knots, rises in pairs):
        return "has a curve that falls"
    if not 0 <= found.thresholds.get("balanced", -1) < 1 or any(
        not 0 <= t <= 1 for t in found.thresholds.values()
    ):
        return "needs a threshold 'balanced' in [0, 1), and no other outside [0, 1]"
    return "" if 0 <= found.answer_power <= 1 else "needs an answer_power in [0, 1]"


def curve_basis(values: Array, knots: Array) -> Array:
    """Return the rises of a curve with these knots, from 0 to 1 between two knots; shape (n, knots - 1)."""
    low, high = knots[:-1], knots[1:]
    return np.clip((values[:, None] - low) / (high - low), 0.0, 1.0)


def _curve(values: Array, knots: Array, rises: Array) -> Array:
    # Row by row and term by term in one order: a score must not depend on its neighbours in the array.
    found: Array = (curve_basis(values, knots) * rises).sum(axis=1)
    return found


def _rounded(values: Sequence[float]) -> list[float]:
    return [float(f"{value:.9g}") for value in values]
