"""From the longest match at each place of a text to the matches worth reporting."""

from __future__ import annotations

import numpy as np

from ragguard.errors import InvalidValueError
from ragguard.trace.suffix_array import Places


def maximal(longest: Places, least: int) -> tuple[Places, Places]:
    """Return starts and ends of the matches that lie in no other match, in order.

    A match that can be extended to neither side is found at the first place from
    which its end is reached: ends never go back from one place to the next, since
    what occurs also occurs without its first token.

    Args:
        longest: matching statistics, shape [m].
        least: shortest match reported, at least 1.

    Raises:
        InvalidValueError: `least` is below 1.
    """
    if least < 1:
        raise InvalidValueError(
            f"least is {least}, and a match has at least 1 token", hint="6 is the default"
        )
    ends = np.arange(longest.size) + longest
    further = np.ones(longest.size, dtype=np.bool_)
    further[1:] = ends[1:] > ends[:-1]
    starts = np.flatnonzero(further & (longest >= least))
    return starts, ends[starts]
