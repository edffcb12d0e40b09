"""A report as JSON in which nothing of an answer is left that was not shown, whole and small."""

from __future__ import annotations

from typing import Any

from ragguard.types import Report


def shown_report(report: Report) -> dict[str, Any]:
    """Return the report as a JSON-serialisable dict, without any text of the answer that is withheld.

    Offsets, scores and outcomes stay. Observers of the guard get the whole report.
    """
    found: dict[str, Any] = report.model_dump(mode="json")
    shown = (report.turn.answer or "") if report.released else ""
    _withhold_answer(found["turn"], shown)
    for verdict in found["verdicts"]:
        if verdict["revised"] is not None:
            _withhold_answer(verdict["revised"], shown)
        for evidence in verdict["evidence"]:
            if evidence["claim"] is not None and evidence["claim"]["text"] not in shown:
                # A note may quote the claim: "number 30 is not in the passages".
                evidence["claim"]["text"] = evidence["note"] = ""
    return found


def _withhold_answer(turn: dict[str, Any], shown: str) -> None:
    if turn["answer"] != shown:
        turn["answer"] = None


def small_report(report: Report) -> dict[str, Any]:
    """Return what fits beside every message: what was decided, by whom and why, without any text of the turn.

    JSON-serialisable: names, numbers and the ids of the passages kept.
    """
    verdicts = [
        {
            "guard": verdict.guard,
            "stage": verdict.stage.value,
            "action": verdict.action.value,
            "reason": verdict.reason.value,
            "mode": verdict.mode.value,
            "score": verdict.score,
            "threshold": verdict.threshold,
            "uncalibrated": verdict.uncalibrated,
        }
        for verdict in report.verdicts
    ]
    return {
        "schema_version": report.schema_version,
        "released": report.released,
        "action": report.action.value,
        "reason": report.reason.value,
        "degraded": report.degraded,
        "passages": [passage.id for passage in report.passages],
        "certificates": {c.scope: c.status for c in report.certificates},
        "verdicts": verdicts,
    }
