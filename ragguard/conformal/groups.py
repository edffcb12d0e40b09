"""Mondrian groups: one threshold a group, so that the bound holds within each.

Groups too small for a threshold of their own are merged into one category,
"rest", with its own threshold; the bound then holds for the rest as a whole. The
pooled threshold is never used beside group thresholds: that would break the
bound for the whole as well, since the groups it covers were chosen by size.

References:
    Vovk, Lindsay, Nouretdinov and Gammerman 2003, "Mondrian Confidence Machine".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ragguard.errors import TooFewQuestionsError

REST = "rest"
WHOLE = ""
"""The category of a calibration without groups."""


@dataclass(frozen=True)
class Categories:
    """Which threshold a group's questions use.

    Attributes:
        assigned: group name -> category ("rest" for merged ones).
        sizes: category -> calibration questions in it.
    """

    assigned: Mapping[str, str]
    sizes: Mapping[str, int]

    @property
    def merged(self) -> list[str]:
        """The groups that share the rest's threshold, sorted."""
        return sorted(g for g, c in self.assigned.items() if c == REST and g != REST)


def categorise(groups: Sequence[str | None], needed: int) -> Categories:
    """Assign each group a category; a question without a group, or an empty one, counts as a group named "rest".

    Args:
        groups: one entry a calibration question.
        needed: calibration questions that a threshold needs.

    Raises:
        TooFewQuestionsError: the small groups together are still below `needed`.
    """
    counts = Counter(g or REST for g in groups)
    assigned = {g: (g if n >= needed and g != REST else REST) for g, n in counts.items()}
    sizes: Counter[str] = Counter()
    for group, n in counts.items():
        sizes[assigned[group]] += n
    if 0 < sizes[REST] < needed:
        small = {g: n for g, n in counts.items() if assigned[g] == REST}
        raise TooFewQuestionsError(
            f"the groups too small for a threshold of their own hold {sizes[REST]} questions together, "
            f"{needed} are needed: {small}",
            hint="add questions to these groups, merge them into others, or raise alpha",
            details={"n": sizes[REST], "needed": needed, "groups": small},
        )
    return Categories(assigned, {c: n for c, n in sizes.items() if n})
