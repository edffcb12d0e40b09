"""What `ragguard trace scan` says of a text: one JSON-ready object of offsets, numbers and ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ragguard.cli.trace_tracer import (
    Subject,
    calibrated_in,
    opened_shield,
    opened_tracer,
    settled,
    stored_calibration,
)
from ragguard.errors import UnknownNameError
from ragguard.types import Action, Passage, Span, Stage, Turn, Verdict

if TYPE_CHECKING:
    from ragguard.trace.index import TraceIndex
    from ragguard.trace.shield import TraceShield

Scan: TypeAlias = Callable[[str], dict[str, Any]]

_MOST_LISTED = 20
_OF_A_SPAN = ("start", "end", "kind", "specificity", "per_token", "kl", "conflict", "bci", "clause", "count")


def scanner(
    folder: Path,
    subject: Subject,
    policy: str,
    *,
    threshold: float | None,
    semantic: bool | None,
    least: int | None,
    shown: bool,
) -> Scan:
    """Return what scans one text; index, calibration and settings are read now, models at the first text.

    Raises:
        IndexFileError: there is no index, or it is damaged.
        ArtifactError: the calibration is damaged, or was made for other settings.
        InvalidValueError: the threshold is out of range.
    """
    if subject is Subject.passage:
        return _passages(folder, threshold, semantic, least, shown=shown)
    shield = opened_shield(
        folder, semantic, least, threshold, subject=subject, stages=("answer", "question"), policy=policy
    )
    stage = Stage.QUESTION if subject is Subject.question else Stage.ANSWER

    def scan(text: str) -> dict[str, Any]:
        if not text.strip():
            return _nothing()
        verdict = shield.check(Turn(question=text, answer=text), stage)
        return traced_line(
            verdict, _spans(shield, verdict, text), shield.tracer.index, text if shown else None
        )

    return scan


def _passages(
    folder: Path, threshold: float | None, semantic: bool | None, least: int | None, *, shown: bool
) -> Scan:
    """What scans one passage: for what speaks to the model, and for what is denied."""
    from ragguard.trace.opened_passages import open_scorer
    from ragguard.trace.passage_shield import PassageShield
    from ragguard.trace.shield import described

    held = stored_calibration(calibrated_in(folder, Subject.passage)) if threshold is None else None
    means, words = settled(held, semantic, least)
    scorer = open_scorer(folder, embedder="bundled" if means else None, least=words)
    if held is not None:
        held.verify(scorer)
    shield = PassageShield(scorer, calibration=held, threshold=threshold, poisoning="off")
    tracer = opened_tracer(folder, False, words, None)

    def scan(text: str) -> dict[str, Any]:
        turn = Turn(question="?", passages=(Passage(id="", text=text),))
        verdict = shield.check(turn, Stage.PASSAGES)
        (judged,) = scorer.judge([text])
        beliefs = tracer.trace(text).beliefs
        # One passage that goes is quarantined: the turn goes on with the others.
        action = Action.REVISE if verdict.dropped else Action.PASS
        at_issue = verdict.model_copy(
            update={
                "action": action,
                "score": max((belief.bci for belief in beliefs), default=0.0),
                "revised": turn if verdict.dropped else None,
            }
        )
        line = traced_line(at_issue, [described(b) for b in beliefs], tracer.index, text if shown else None)
        findings = [_finding(f.rule, f.span, f.weight) for f in judged.findings]
        if judged.span is not None and verdict.dropped:
            findings.append(_finding("worst unit", judged.span, judged.score))
        line["spans"] += findings
        return {**line, "score": judged.score}

    return scan


def _finding(rule: str, span: Span, weight: float) -> dict[str, Any]:
    kind = rule.split(".")[0].replace("worst unit", "injection")
    return {"start": span.start, "end": span.end, "kind": kind, "rule": rule, "weight": weight}


def traced_line(
    verdict: Verdict, spans: Sequence[Mapping[str, Any]], index: TraceIndex, text: str | None = None
) -> dict[str, Any]:
    """Return what a verdict says of a text; the matched text itself only where `text` is given."""
    sources: list[dict[str, Any]] = []
    listed = []
    for span in spans:
        own = [_place(sources, {"corpus": span["label"], **source}) for source in span["sources"]]
        listed.append({**{key: span[key] for key in _OF_A_SPAN}, "corpus": span["label"], "sources": own})
    if text is not None:
        for each in listed:
            each["text"] = text[each["start"] : each["end"]]
        for source in sources:
            source["text"] = _text_of(index, source)
    return {
        "action": verdict.action.value,
        "reason": verdict.reason.value,
        "bci": verdict.score,
        "threshold": verdict.threshold,
        "p_value": verdict.details.get("p_value"),
        "uncalibrated": verdict.uncalibrated,
        "spans": listed,
        "sources": sources,
        **({"removed": verdict.details["removed"]} if "removed" in verdict.details else {}),
    }


def _spans(shield: TraceShield, verdict: Verdict, text: str) -> list[dict[str, Any]]:
    """Every span in order of place; a verdict lists the worst alone."""
    from ragguard.trace.shield import described

    found: list[dict[str, Any]] = list(verdict.details["spans"])
    if len(found) >= _MOST_LISTED:
        return [described(belief) for belief in shield.tracer.trace(text).beliefs]
    return sorted(found, key=lambda span: (span["start"], span["end"], span["kind"]))


def _place(sources: list[dict[str, Any]], source: dict[str, Any]) -> int:
    if source not in sources:
        sources.append(source)
    return sources.index(source)


def _text_of(index: TraceIndex, source: Mapping[str, Any]) -> str | None:
    corpora: Any = index.corpora
    try:
        text: str = corpora[source["corpus"]].document(source["document"]).text
    except UnknownNameError:
        return None
    return text[source["start"] : source["end"]]


def _nothing() -> dict[str, Any]:
    """What is said of a text without a character: there is nothing to trace."""
    return {
        "action": Action.PASS.value,
        "reason": "ok",
        "bci": 0.0,
        "threshold": None,
        "p_value": None,
        "uncalibrated": True,
        "spans": [],
        "sources": [],
    }
