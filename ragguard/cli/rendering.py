"""A report for people to read."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from ragguard.types import Action, Certificate, Evidence, Reason, Report

_COLOURS = {Action.PASS: "green", Action.REVISE: "green", Action.ABSTAIN: "yellow", Action.REFUSE: "red"}
_SHOWN = 5


def render_report(console: Console, report: Report, *, statement: bool = True) -> None:
    """Print what may be shown, then why: verdict, passages, evidence, certificate, time."""
    colour = _COLOURS[report.action]
    verdict = "released" if report.released else report.action.value
    _line(console, Text(report.text or "", style="bold"))
    console.print(
        f"  [{colour}]{verdict}[/{colour}] ({report.reason.value})", soft_wrap=True, highlight=False
    )
    names = [p.id for p in report.passages]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    word = "nearest" if report.reason is Reason.NO_EVIDENCE else "kept"
    _line(console, Text(f"  {word} {len(names)}: {', '.join(names[:_SHOWN])}{more}"))
    if not report.released and report.turn.answer:
        _line(console, Text(f"  withheld: {_short(report.turn.answer)}", style="dim"))
    for evidence in [e for v in report.verdicts for e in v.evidence][:3]:
        _line(console, Text(f"  {_evidence(report, evidence)}", style="dim"))
    certificate = report.certificate()
    if certificate is not None:
        _line(console, Text(f"  {_certified(certificate, statement=statement)}", style="dim"))
    _line(console, Text(f"  {_times(report)}", style="dim"))


def _line(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True)


def _certified(certificate: Certificate, *, statement: bool) -> str:
    why = [certificate.voided_by] if certificate.voided_by else []
    conditions = "; ".join([*why, *certificate.notes])
    promise = f": {certificate.statement}" if statement else ""
    return f"certificate {certificate.status}{f' ({conditions})' if conditions else ''}{promise}"


def _evidence(report: Report, evidence: Evidence) -> str:
    claim = f"claim {evidence.claim.text!r} " if evidence.claim else ""
    where = ""
    if evidence.passage_id is not None and evidence.span is not None:
        text = next((p.text for p in report.passages if p.id == evidence.passage_id), "")
        quote = _short(text[evidence.span.start : evidence.span.end])
        where = f" in {evidence.passage_id}[{evidence.span.start}:{evidence.span.end}] {quote!r}"
    score = "" if evidence.score is None else f" {evidence.score:.2f}"
    note = f" ({evidence.note})" if evidence.note else ""
    return f"{claim}{evidence.outcome}{score}{where}{note}"


def _short(text: str, limit: int = 140) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def _times(report: Report) -> str:
    return ", ".join(f"{part} {1000 * seconds:.0f} ms" for part, seconds in report.seconds.items())
