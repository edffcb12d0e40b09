"""One text of a model's answer, whole or as far as it has come, and what may be shown of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ragguard.pipeline import Pipeline
from ragguard.server.calls import Call, Calls
from ragguard.stream import StreamGate
from ragguard.types import Report, Turn
from ragguard.withheld import small_report

_ENDS_HERE = "\n\n"
"""Between the sentences that were shown and the word that the answer ends there."""


@dataclass(frozen=True)
class Judged:
    """What becomes of one text.

    Attributes:
        text: what may be shown once the model has said all: the text itself, a revised
            one, or a message; in a stream, behind what was already let out.
        held: characters at its end that must not be shown while more may come.
        refused: True where the message stands in place of the text or of its end.
        message: that message, or "".
        report: of the whole text so far; None where there was nothing to judge.
    """

    text: str
    held: int
    refused: bool = False
    message: str = ""
    report: Report | None = None

    @property
    def shown(self) -> str:
        """What of the text itself may be shown without a message: for a turn that goes on anyway."""
        return self.text[: len(self.text) - self.held] if self.refused else self.text


async def judge_whole(pipeline: Pipeline, turn: Turn, text: str) -> Judged:
    """Judge a text at once; all of it is held while more may come."""
    if not text.strip():
        return Judged(text, len(text))
    report = await pipeline.acheck(turn.replace(answer=text))
    shown = report.text or ""
    refused = not report.released
    return Judged(shown, len(shown), refused, shown if refused else "", report)


async def judge_sentences(
    pipeline: Pipeline, turn: Turn, text: str, *, calls: Calls, call: Call | None, place: int
) -> Judged:
    """Judge a text sentence by sentence; held is what follows the last sentence judged releasable.

    Nobody says whether more will come. So the text is also judged as if it were whole, and
    where it fails as that, the message stands in the part that is held: it is shown only
    where the answer ends there. What `StreamGate` lets out does not depend on how a text is
    cut, so each reply begins with what the one before it let out.
    """
    if not text.strip():
        return Judged(text, len(text))
    gate = await _pushed(pipeline, turn, text, calls.take_gate(call, place, turn))
    calls.put_gate(call, place, turn, gate)
    report = await pipeline.acheck(turn.replace(answer=text))
    out, failure = gate.released, gate.failure
    if report.released and (failure is None or failure.released):
        whole = report.turn.answer or ""
        if whole.startswith(out):
            return Judged(whole, len(whole) - len(out), report=report)
    refusal = report if failure is None or failure.released else failure
    message = refusal.reason.sentence if refusal.released else refusal.text or ""
    shown = f"{out}{_ENDS_HERE if out.strip() else ''}{message}"
    return Judged(shown, len(shown) - len(out), refused=True, message=message, report=report)


async def _pushed(pipeline: Pipeline, turn: Turn, text: str, held: StreamGate | None) -> StreamGate:
    gate = held if held is not None and text.startswith(held.answer) else StreamGate(pipeline, turn)
    await gate.apush(text[len(gate.answer) :])
    return gate


def told_of(report: Report | None) -> dict[str, Any]:
    """What a reply says of a report: names and numbers, no text of the turn."""
    if report is None:
        return {"action": "pass", "reason": "ok", "judged": False}
    return {"judged": True, **small_report(report)}
