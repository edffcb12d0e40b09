"""Is there any evidence at all? A calibrated test on the best similarity.

A cut that is relative to the best passage always keeps that passage, so it can
never say "no evidence". The p-value here is the share of answerable calibration
questions whose best similarity was as low or lower; at level a, at most a share a
of answerable questions like those is turned away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ragguard.conformal.scores import Array


@dataclass(frozen=True)
class NoveltyTest:
    """The calibrated best similarities, and the level at which a question counts as novel.

    Attributes:
        tops: (n,), ascending: best similarity of each answerable calibration question.
        level: share of answerable questions that may be turned away, in (0, 1).
    """

    tops: Array
    level: float

    @property
    def can_fire(self) -> bool:
        """False when n is too small for any p-value to reach the level."""
        return 1.0 / (len(self.tops) + 1) <= self.level + 1e-12

    def p_value(self, top: float) -> float:
        """Return (1 + number of calibration tops <= top) / (n + 1), in (0, 1]."""
        lower = int(np.searchsorted(self.tops, top, side="right"))
        return (1 + lower) / (len(self.tops) + 1)

    def is_novel(self, top: float) -> bool:
        """True when the p-value is at most the level."""
        return self.p_value(top) <= self.level + 1e-12
