"""Symbolic checks of a claim against a source: numbers, dates, names, negation, roles, words.

`compare` returns findings, each with offsets on both sides, and features in
[0, 1] for a learned scorer. No model is needed, and none of it is a verdict.
"""

from ragguard.alignment.checks.comparing import FEATURES, compare
from ragguard.alignment.checks.facts import SourceFacts
from ragguard.alignment.checks.findings import Comparison, Finding, Outcome

__all__ = ["FEATURES", "Comparison", "Finding", "Outcome", "SourceFacts", "compare"]
