"""StreamGate: an answer let out sentence by sentence, each judged before it is shown.

Text is held until a sentence has ended for good, the answer so far is judged,
and what passes is released. Whether a sentence has ended is asked at fixed
places of the text (white space, a stop of a script without spaces), never at
the borders of chunks: however the answer is cut into pieces, the same comes out.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from typing import Any

from ragguard.errors import InvalidValueError
from ragguard.pipeline import Pipeline, Step
from ragguard.protocols import TurnGuard
from ragguard.text.sentences import sentence_spans
from ragguard.types import Action, Mode, Reason, Report, Stage, Turn, Verdict

_ASK_AFTER = re.compile(r"\s|[。！？｡।॥؟]")
_MARKER = re.compile(r"\s*(?:[-*+•‣▪–>|]|#{1,6}|```\w*|\(?(?:\d{1,3}|[A-Za-z])[.)])\s*")
# "Hello!" or "I don't know." alone is not shown; with a supported claim after it, it may be.
_MAY_STILL_PASS = frozenset({Reason.MODEL_ABSTAINED, Reason.UNVERIFIABLE_ANSWER, Reason.EMPTY_ANSWER})
_Checks = Generator[tuple[Pipeline, Turn], Report, str]


class StreamGate:
    """Releases the sentences of one answer as they are judged.

    Everything released together is a prefix of the answer, within what was judged
    releasable; after a failure nothing more comes out. An abstention or a greeting is
    held back until a claim after it passes. A guard that declares the stage `stream` is
    asked at that stage, another that judges answers at `answer`; each sees the answer up
    to the sentence judged.

    A guard that passes a part may have seen in it the beginning of something that it
    would refuse once it grew. It then says so with `details["hold"]`: the place of the
    first character of the answer that must not be shown yet. Only what lies before the
    smallest hold is released, in the middle of a sentence if need be; the rest comes out
    when the hold has moved on, or when `finish` has judged the whole.

    `finish` judges the whole answer, and that report is what counts. Where it
    refuses what was already shown, the report cannot call that back: it says how
    many characters were released. A report that revises the answer holds the
    revised text; no more of the original is released.

    Args:
        guards: a pipeline, or guards in order.
        turn: question and passages; its answer, if any, is ignored.

    Attributes:
        answer: everything pushed so far.
        released: everything let out so far.
        failure: the report that stopped the release, or None.
    """

    def __init__(self, guards: Pipeline | Iterable[TurnGuard | Step], turn: Turn) -> None:
        self._pipeline = guards if isinstance(guards, Pipeline) else Pipeline(guards)
        self._before = _silent(self._pipeline, self._pipeline.steps)
        self._partial = _silent(self._pipeline, _for_parts(self._pipeline.steps))
        self._turn = turn.replace(answer=None)
        self._prepared: Turn | None = None
        self._settled = self._asked = 0
        self._finished = False
        self.answer = ""
        self.released = ""
        self.failure: Report | None = None

    def push(self, text: str) -> str:
        """Take the next piece of the answer and return what may be shown now, often "".

        Raises:
            InvalidValueError: the gate is already finished.
        """
        return _drive(self._take(text))

    async def apush(self, text: str) -> str:
        """`push`, without blocking the event loop."""
        return await _adrive(self._take(text))

    def finish(self) -> Report:
        """Judge the whole answer and return the report; `released` then includes what it lets out.

        Raises:
            InvalidValueError: the gate is already finished.
        """
        self._close()
        return self._concluded(self._pipeline.check(self._turn.replace(answer=self.answer)))

    async def afinish(self) -> Report:
        """`finish`, without blocking the event loop."""
        self._close()
        return self._concluded(await self._pipeline.acheck(self._turn.replace(answer=self.answer)))

    def stop(self) -> Report:
        """Return the report on the answer as far as the sentence that failed, for a generator stopped there.

        It does not depend on how much more had been pushed. The gate is finished then.

        Raises:
            InvalidValueError: no part failed, or the gate is already finished.
        """
        failure = self._failed()
        return self._stopped(failure, self._pipeline.check(self._turn.replace(answer=self._read())))

    async def astop(self) -> Report:
        """`stop`, without blocking the event loop."""
        failure = self._failed()
        return self._stopped(failure, await self._pipeline.acheck(self._turn.replace(answer=self._read())))

    def _failed(self) -> Report:
        if self.failure is None:
            raise InvalidValueError("no part of the stream failed", hint="finish it")
        self._close()
        return self.failure

    def _read(self) -> str:
        return self.answer[: self._settled]

    def _stopped(self, failure: Report, report: Report) -> Report:
        # A guard of the stage `stream` may refuse a part that passes as a whole answer.
        return self._concluded(failure if report.released else report)

    def _take(self, text: str) -> _Checks:
        """Ask for one check after another; what it returns is released."""
        if self._finished:
            raise InvalidValueError("the stream is finished", hint="make a new gate for each answer")
        self.answer += text
        already = len(self.released)
        while (end := self._next_settled()) is not None:
            prepared = self._prepared
            if prepared is None:
                prepared = self._prepare((yield self._before, self._turn))
            if prepared is not None:
                part = self.answer[:end]
                self._apply(part, (yield self._partial, prepared.replace(answer=part)))
        return self.released[already:]

    def _next_settled(self) -> int | None:
        """The end of the next sentence that no later text can change; None if there is none to release."""
        if self.failure is not None:
            return None
        for place in _ASK_AFTER.finditer(self.answer, self._asked):
            self._asked = place.end()
            end = settled_end(self.answer[self._settled : self._asked])
            if end:
                self._settled += end
                return self._settled
        return None

    def _prepare(self, report: Report) -> Turn | None:
        """Take over the turn as question and passage guards leave it, so that parts see what `finish` sees."""
        if report.released:
            self._prepared = report.turn
        else:
            self.failure = report
        return self._prepared

    def _apply(self, part: str, report: Report) -> None:
        if report.released and report.turn.answer == part:
            free = part[: _hold(report, len(part))]
            # What is shown stays shown, should a guard's hold move back.
            self.released = max(self.released, free, key=len)
        elif report.released or report.reason not in _MAY_STILL_PASS:
            self.failure = report

    def _close(self) -> None:
        if self._finished:
            raise InvalidValueError("the stream is finished", hint="make a new gate for each answer")
        self._finished = True

    def _concluded(self, report: Report) -> Report:
        shown = len(self.released)
        if self.failure is None and report.released and report.turn.answer == self.answer:
            self.released = self.answer
        details = {
            "released_characters": len(self.released),
            "released_before_finish": shown,
            "stopped": self.failure is not None,
        }
        verdict = Verdict(
            guard="stream",
            stage=Stage.STREAM,
            action=Action.PASS,
            # What was let out early rests on the same thresholds as the verdicts on the whole.
            uncalibrated=any(v.uncalibrated for v in report.verdicts),
            details=details,
        )
        return report.model_copy(update={"verdicts": (*report.verdicts, verdict)})


class _OnPart:
    """A guard that judges part of an answer as if it were the whole."""

    def __init__(self, guard: TurnGuard) -> None:
        self._guard = guard
        self._stage = Stage.STREAM if Stage.STREAM in guard.stages else Stage.ANSWER
        self.name = guard.name
        self.stages = frozenset({Stage.ANSWER})

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        return self._guard.check(turn, self._stage)

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        return await self._guard.acheck(turn, self._stage)


def _hold(report: Report, end: int) -> int:
    """Where the smallest hold of the guards lies; `end` where none holds anything back."""
    holds = [verdict.details["hold"] for verdict in report.verdicts if "hold" in verdict.details]
    # What is no place at all must not let anything out.
    places = [hold if type(hold) is int and hold >= 0 else 0 for hold in holds]
    return min([*places, end])


def settled_end(text: str) -> int:
    """Return where the first sentence of a text ends for good, with the space after it; 0 while it may go on.

    It is settled once the next one has begun with a whole word, after any list marker:
    "3." is not cut from "14", nor "e.g." from its example.
    """
    spans = sentence_spans(text)
    if len(spans) < 2:
        return 0
    start = spans[1][0]
    following = text[start:]
    marker = _MARKER.match(following)
    body = following[marker.end() :] if marker else following
    if _MARKER.fullmatch(text[spans[0][0] : spans[0][1]]) or not re.search(r"\w\S*\s|[。！？｡।॥؟]", body):
        return 0
    return start


def remainder(shown: str, text: str, *, follows: bool) -> str:
    """Return what of a text is still to be shown at the end of a stream.

    A redaction may have taken the space at the end of what was shown. A text that does
    not follow from it, such as a message, comes after an empty line.

    Args:
        shown: let out before.
        text: of the report that counts.
        follows: whether the text is the answer, and not a message in its place.
    """
    if follows and text.startswith(shown):
        return text[len(shown) :]
    kept = shown.rstrip()
    if follows and text.startswith(kept):
        return text[len(kept) :].lstrip()
    return f"\n\n{text}" if shown else text


def _for_parts(steps: Iterable[Step]) -> list[Step]:
    """Steps that judge answers, each at the stage it declares for parts."""
    judging = (s for s in steps if s.mode is Mode.ENFORCE and s.guard.stages & {Stage.ANSWER, Stage.STREAM})
    return [Step(_OnPart(s.guard), mode=s.mode, on_error=s.on_error) for s in judging]


def _silent(pipeline: Pipeline, steps: Iterable[Step]) -> Pipeline:
    """The same settings without observers: they hear of the whole answer, once."""
    return Pipeline(steps, deadline=pipeline.deadline, messages=pipeline.messages)


def _drive(checks: _Checks) -> str:
    reply: Any = None
    while True:
        try:
            pipeline, turn = checks.send(reply)
        except StopIteration as done:
            return str(done.value)
        reply = pipeline.check(turn)


async def _adrive(checks: _Checks) -> str:
    reply: Any = None
    while True:
        try:
            pipeline, turn = checks.send(reply)
        except StopIteration as done:
            return str(done.value)
        reply = await pipeline.acheck(turn)
