"""One claim against one source: all checks, as findings and as features."""

from __future__ import annotations

from collections.abc import Sequence

from ragguard.alignment.checks.amounts import amounts
from ragguard.alignment.checks.calendar import calendar
from ragguard.alignment.checks.dates import dates
from ragguard.alignment.checks.facts import SourceFacts
from ragguard.alignment.checks.findings import Comparison, Finding
from ragguard.alignment.checks.names import names
from ragguard.alignment.checks.naming import known
from ragguard.alignment.checks.operators import operators
from ragguard.alignment.checks.opposites import opposites
from ragguard.alignment.checks.order import order
from ragguard.alignment.checks.overlap import OVERLAP, overlap
from ragguard.alignment.checks.quantities import quantities
from ragguard.alignment.checks.roles import roles
from ragguard.alignment.checks.setting import Setting
from ragguard.alignment.checks.tokens import read

_KINDS = (
    "number",
    "date",
    "name",
    "negation",
    "quantifier",
    "modality",
    "opposite",
    "order",
    "role",
    "owner",
)
FEATURES: tuple[str, ...] = (*OVERLAP, *(f"{kind}_holds" for kind in _KINDS), "names_known", "no_conflict")
_JUDGED = 64  # quantities, dates and names of one claim; a claim is a sentence, not a table
_MISSING = 0.5  # what a finding that is only missing leaves


def compare(claim: str, source: str | SourceFacts) -> Comparison:
    """Return what the checks find, and the features named in `FEATURES`.

    Linear in the length of both texts. The findings are explanations and the
    features evidence for a learned scorer: none is a verdict of its own.

    Args:
        source: a passage or part of one; `SourceFacts.of(text)` where many claims
            are compared with the same.

    Example:
        >>> found = compare("The bridge opened in 1987.", "The bridge opened in 1978.")
        >>> [(f.kind, f.outcome, f.note) for f in found.findings]
        [('date', 'conflicts', 'claim says 1987, the source says 1978')]
    """
    facts = source if isinstance(source, SourceFacts) else SourceFacts.of(source)
    setting = Setting(read(claim), facts)
    fixed = dates(claim)
    counted = quantities(claim, fixed)[:_JUDGED]
    named = known(setting, names(setting.claim)[:_JUDGED])
    findings = [
        *amounts(setting, counted),
        *calendar(setting, fixed[:_JUDGED]),
        *(finding for finding, _ in named),
        *operators(setting),
        *opposites(setting),
        *order(setting),
        *roles(setting),
    ]
    features = overlap(setting.claim, facts) | {f"{kind}_holds": _held(findings, kind) for kind in _KINDS}
    features["names_known"] = sum(share for _, share in named) / len(named) if named else 1.0
    features["no_conflict"] = 1.0 / (1.0 + sum(finding.outcome == "conflicts" for finding in findings))
    in_order = sorted(findings, key=lambda f: (f.claim_start, f.claim_end, f.kind))
    return Comparison(tuple(in_order), {name: features[name] for name in FEATURES})


def _held(findings: Sequence[Finding], kind: str) -> float:
    """1.0 where all agree, less for each that is missing, 0.0 at any conflict."""
    outcomes = [finding.outcome for finding in findings if finding.kind == kind]
    if "conflicts" in outcomes:
        return 0.0
    missing = outcomes.count("missing")
    return 1.0 - (1.0 - _MISSING**missing) * missing / len(outcomes) if missing else 1.0
