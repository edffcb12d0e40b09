"""What can be said of each passage that a cut kept: score, nonconformity, threshold, certificate.

For the adapters: they write it beside their framework's own documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ragguard.conformal.calibration import Calibration
from ragguard.conformal.observations import ranked
from ragguard.types import Mode, Passage, Report, Verdict

RETRIEVAL_SCORE = "retrieval_score"
"""Under it stands the score as the retriever gave it, in its own direction."""

_SAID = {
    "status",
    "statement",
    "target",
    "alpha",
    "delta",
    "n",
    "group",
    "artifact",
    "expires",
    "voided_by",
    "notes",
}


def kept_facts(
    report: Report,
    candidates: Sequence[Passage],
    scores: Mapping[str, float],
    calibration: Calibration,
    *,
    cut: str,
) -> dict[str, dict[str, Any]]:
    """Return the facts of every passage that a report kept, by id, best first; {} where nothing was released.

    Args:
        report: of one retrieval.
        candidates: what was retrieved for it, scored, best first.
        scores: of the candidates by id, as the retriever gave them.
        calibration: of the cut.
        cut: name of the guard that cuts.
    """
    if not report.released:
        return {}
    verdict = next((v for v in report.verdicts if v.guard == cut), None)
    nonconformity = _nonconformity(verdict, _as_cut(report, candidates, cut), calibration)
    certificate = certificate_facts(report)
    found = {}
    for passage in report.passages:
        facts: dict[str, Any] = {RETRIEVAL_SCORE: scores[passage.id]}
        if passage.id in nonconformity:
            facts["nonconformity"] = nonconformity[passage.id]
        facts["threshold"] = None if verdict is None else verdict.threshold
        facts["kept"] = _within(verdict, passage.id)
        facts["certificate"] = dict(certificate)
        found[passage.id] = facts
    return found


def limited(report: Report, limit: int | None) -> Report:
    """Return the report with at most `limit` passages; leaving one out voids the retrieval promise."""
    if limit is None or len(report.passages) <= limit:
        return report
    certificates = tuple(
        c.model_copy(update={"status": "void", "voided_by": "limit"})
        if c.scope == "retrieval" and c.status in ("valid", "degraded")
        else c
        for c in report.certificates
    )
    turn = report.turn.replace(passages=tuple(report.passages[:limit]))
    return report.model_copy(update={"turn": turn, "certificates": certificates})


def certificate_facts(report: Report) -> dict[str, Any]:
    """Return the retrieval certificate as small JSON; status "none" where there is none."""
    certificate = report.certificate()
    if certificate is None:
        return {"status": "none"}
    return certificate.model_dump(mode="json", include=_SAID, exclude_none=True)


def _as_cut(report: Report, candidates: Sequence[Passage], cut: str) -> Sequence[Passage]:
    """The candidates as the cut was given them: guards before it may have dropped or rescored some."""
    for verdict in report.verdicts:
        if verdict.guard == cut:
            break
        if verdict.mode is not Mode.SHADOW and verdict.revised is not None:
            candidates = verdict.revised.passages or ()
    return candidates


def _nonconformity(
    verdict: Verdict | None, candidates: Sequence[Passage], calibration: Calibration
) -> Mapping[str, float]:
    """Nonconformity by passage; empty where the cut did not judge by these scores."""
    if verdict is None or verdict.details.get("candidates") != len(candidates):
        return {}
    if any(p.score is None for p in candidates):
        return {}
    similarities = [float(p.score or 0.0) for p in candidates]
    ids, values = ranked([p.id for p in candidates], similarities)
    return dict(zip(ids, calibration.score(values).tolist(), strict=True))


def _within(verdict: Verdict | None, name: str) -> bool:
    """Whether the cut keeps it; a cut in shadow mode judges without removing anything."""
    if verdict is None or verdict.revised is None:
        return True
    return not verdict.action.ends_turn and name in {p.id for p in verdict.revised.passages or ()}
