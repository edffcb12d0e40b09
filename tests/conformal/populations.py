"""Question populations whose laws are known, and calibrations with a chosen threshold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from ragguard.conformal.artifact import Artifact, Category
from ragguard.conformal.calibration import Calibration
from ragguard.conformal.observations import Observation
from ragguard.conformal.scores import Array

MISS = -1
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def examples(count: int = 50) -> settings:
    """So many examples of a property, the same ones on every run, however busy the machine."""
    ignored = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=count, deadline=None, derandomize=True, suppress_health_check=ignored)


def at_distances(distances: Sequence[float] | Array, **fields: Any) -> list[Observation]:
    """One passage a question, at that distance from it: the cosine score is the distance; +inf is a miss."""
    return [
        Observation(
            f"q{i}",
            np.array([1.0 - d if np.isfinite(d) else 0.0]),
            (0 if np.isfinite(d) else MISS,),
            **fields,
        )
        for i, d in enumerate(distances)
    ]


def at_positions(positions: Sequence[Sequence[int]], *, depth: int = 10) -> list[Observation]:
    """The same similarities for every question, the relevant passages at these places."""
    return [Observation(f"q{i}", np.linspace(0.9, 0.1, depth), tuple(p)) for i, p in enumerate(positions)]


def searched(
    count: int, rng: np.random.Generator, *, depth: int = 12, relevant: int = 1
) -> list[Observation]:
    """Questions with noisy similarities, some hard and some easy; the relevant passages tend to come early."""
    found = []
    for i in range(count):
        similarities = np.sort(rng.normal(0.4, 0.05 + 0.1 * rng.random(), depth))[::-1]
        places = rng.choice(depth, size=relevant, replace=False, p=_early(depth))
        found.append(Observation(f"q{i}", similarities, tuple(int(p) for p in places)))
    return found


def _early(depth: int) -> Array:
    odds = 0.5 ** np.arange(depth)
    return np.asarray(odds / odds.sum())


@st.composite
def observed(draw: st.DrawFn, *, most: int = 40, relevant: int = 3) -> list[Observation]:
    """Any answerable questions: empty results, ties, misses, several relevant passages, groups, clusters."""
    level = st.sampled_from([-0.5, 0.0, 0.1, 0.25, 0.5, 0.5000001, 0.9, 1.0])
    found = []
    for i in range(draw(st.integers(1, most))):
        similarities = np.sort(np.array(draw(st.lists(level, max_size=5)), dtype=np.float64))[::-1]
        places = st.integers(MISS, len(similarities) - 1)
        found.append(
            Observation(
                f"q{i}",
                similarities,
                tuple(draw(st.lists(places, min_size=1, max_size=relevant))),
                group=draw(st.sampled_from([None, "", "a", "b"])),
                cluster=draw(st.sampled_from([None, "x", "y"])),
                provenance=draw(st.sampled_from(["human", "synthetic"])),
            )
        )
    return found


def artifact(threshold: float | None = 0.5, **changes: Any) -> Artifact:
    """An artifact with that threshold, valid for a hundred years."""
    fields: dict[str, Any] = {
        "created": NOW,
        "expires": NOW + timedelta(days=36_500),
        "alpha": 0.1,
        "target": "any",
        "n": 40,
        "score": "cosine",
        "categories": {"": Category(threshold=threshold, n=40, rank=37)},
        "novelty_level": None,
    }
    return Artifact(**{**fields, **changes})


def calibration(
    threshold: float | None = 0.5, *, tops: Sequence[float] = (0.5,), **changes: Any
) -> Calibration:
    """A calibration with that threshold, unless `categories` says otherwise."""
    arrays = {"tops": np.sort(np.array(tops, dtype=np.float64))}
    arrays |= changes.pop("arrays", {})
    return Calibration(artifact(threshold, **changes), arrays)
