"""How likely a passage was looked at where it was shown, and weights that undo it.

Users look at the first passage more than at the third, so citations and clicks say
as much about positions as about passages. A citation divided by the probability
that its place was looked at counts every place alike, on average. That probability
is logged when passages are shown, or estimated from a log in which neighbours were
swapped at random; it is never assumed.

References:
    Joachims, Swaminathan and Schnabel (2017), Unbiased Learning-to-Rank with Biased Feedback.
    Agarwal, Zaitsev, Wang, Li, Najork and Joachims (2019), Estimating Position Bias
    without Intrusive Interventions.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from ragguard.errors import InvalidValueError, MissingPropensityError
from ragguard.preference.feedback import FeedbackRecord

T = TypeVar("T")

DEFAULT_CLIP = 20.0


def inverse_weights(
    records: Sequence[FeedbackRecord], *, clip: float = DEFAULT_CLIP
) -> dict[tuple[str, str], float]:
    """Return 1 / propensity of every (record id, passage id), at most `clip`.

    A lower clip gives less variance and more bias.

    Raises:
        MissingPropensityError: a shown passage has none logged.
        InvalidValueError: the clip is below 1.
    """
    if not (math.isfinite(clip) and clip >= 1):
        raise InvalidValueError(f"clip must be at least 1, got {clip}", hint="e.g. 20")
    found = {}
    for record in records:
        for passage in record.passages:
            if passage.propensity is None:
                raise MissingPropensityError(
                    f"record {record.id!r} has no propensity for passage {passage.id!r}",
                    hint="log it when passages are shown, or convert without weights",
                )
            found[record.id, passage.id] = min(1.0 / passage.propensity, clip)
    return found


def swap_neighbours(items: Sequence[T], rng: np.random.Generator, *, share: float = 0.1) -> list[T]:
    """Return the items, in `share` of the calls with two neighbours swapped at random: a little chance in every log.

    Without any chance, place and passage can never be told apart afterwards.

    Args:
        items: in the order to be shown.
        rng: of the chance.
        share: in [0, 1].
    """
    if not 0.0 <= share <= 1.0:
        raise InvalidValueError(f"share must lie in [0, 1], got {share}", hint="e.g. 0.1")
    found = list(items)
    if len(found) > 1 and rng.random() < share:
        first = int(rng.integers(len(found) - 1))
        found[first], found[first + 1] = found[first + 1], found[first]
    return found


def examination_by_swaps(records: Sequence[FeedbackRecord]) -> dict[int, float]:
    """Return how likely each position was looked at, relative to the first, from passages seen at two neighbours.

    What one passage of one question is cited at two places compares the places alone.
    Positions after the first that no passage was seen at, beside its neighbour, are left out.

    Returns:
        Position -> probability in (0, 1], position 1 having 1; {1: 1.0} where nothing was swapped.
    """
    shown: dict[tuple[str, str, int], list[bool]] = defaultdict(list)
    for record in records:
        for passage in record.passages:
            key = (record.question, passage.id, passage.position)
            shown[key].append(passage.id in record.cited)
    found = {1: 1.0}
    last = max((position for _, _, position in shown), default=1)
    for position in range(1, last):
        upper = lower = 0.0
        for question, passage_id, place in shown:
            beside = shown.get((question, passage_id, position + 1)) if place == position else None
            if beside:
                weight = min(len(shown[question, passage_id, position]), len(beside))
                upper += weight * float(np.mean(shown[question, passage_id, position]))
                lower += weight * float(np.mean(beside))
        if upper == 0 or lower == 0:
            break
        found[position + 1] = min(1.0, found[position] * lower / upper)
    return found


def with_propensities(
    records: Sequence[FeedbackRecord], examination: Mapping[int, float]
) -> list[FeedbackRecord]:
    """Return the records with estimated propensities where none was logged and the position has an estimate."""
    return [
        record.model_copy(
            update={
                "passages": tuple(
                    passage
                    if passage.propensity is not None
                    else passage.model_copy(update={"propensity": examination.get(passage.position)})
                    for passage in record.passages
                )
            }
        )
        for record in records
    ]
