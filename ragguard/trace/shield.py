"""TraceShield: refuses what was traced to a source that must not be heard, and says where it stands."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal, TypeAlias, get_args

from ragguard.errors import InvalidValueError
from ragguard.trace.belief import Belief
from ragguard.trace.calibrate import Decision, TraceCalibration
from ragguard.trace.refusal import without_spans
from ragguard.trace.tracer import Trace, Tracer
from ragguard.types import Action, Evidence, Reason, Stage, Turn, Verdict
from ragguard.worker import run_on_worker

Policy: TypeAlias = Literal["refuse", "redact"]
DEFAULT_THRESHOLD = 0.5
_STAGES = (Stage.QUESTION, Stage.ANSWER)
_SHOWN = 20  # spans listed in details
_UNCALIBRATED = "no calibration: the threshold is a default"


class TraceShield:
    """Judges answers, also while they stream, and questions if asked to.

    A text is refused when its belief conflict index is strictly above the threshold:
    with a calibration, when its conformal p-value among benign answers is at most the
    rate of false refusals allowed. Every verdict gives both factors of each span's
    index, where it stands in the text and in its sources, how often, and the policy
    clause; never any text. What the user is shown instead is the pipeline's message
    for `traced_source` or `policy_conflict`.

    At the stage `stream`, the verdict of a part that passes has `details["hold"]`: where
    what follows may still grow into something refused. Released up to there, no
    character of a span that the whole answer is refused for is ever shown.

    Args:
        tracer: see there; index, models, settings.
        calibration: without one the default threshold holds, and every verdict says `uncalibrated`.
        stages: "answer", "question", or both; an answer is judged while it streams too.
        policy: `refuse` the answer, or `redact` the sentences at fault; where nothing
            remains, or the rest is still at fault, it is refused. A question is always refused.
        threshold: in [0, 1); instead of a calibration.
        on_expired: past the calibration's expiry, `degrade` goes on with verdicts that say
            `uncalibrated`, and `error` raises at each check.
        name: tells several of these apart.

    Raises:
        InvalidValueError: an option cannot be used, or both calibration and threshold are given.
        CalibrationMismatchError: the calibration was made for another index, model or setting.
    """

    def __init__(
        self,
        tracer: Tracer,
        *,
        calibration: TraceCalibration | None = None,
        stages: Collection[str] = ("answer",),
        policy: Policy = "refuse",
        threshold: float | None = None,
        on_expired: Literal["degrade", "error"] = "degrade",
        name: str = "trace",
    ) -> None:
        if policy not in get_args(Policy):
            raise InvalidValueError(f"policy must be one of {', '.join(get_args(Policy))}")
        if on_expired not in ("degrade", "error"):
            raise InvalidValueError("on_expired must be degrade or error")
        if threshold is not None and (calibration is not None or not 0 <= threshold < 1):
            raise InvalidValueError(
                f"threshold must be in [0, 1), and stands in for a calibration, got {threshold!r:.40}"
            )
        self.tracer, self.calibration, self.policy, self.name = tracer, calibration, policy, name
        self.threshold = DEFAULT_THRESHOLD if threshold is None else threshold
        self.stages = _stages(stages)
        self._on_expired = on_expired
        if calibration is not None:
            calibration.verify(tracer)

    def warm_up(self) -> None:
        """Load models and vectors now, so that the first turn does not wait for them."""
        self.tracer.warm_up()

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        """Judge the turn's question or answer.

        Raises:
            CalibrationExpiredError: it has, and `on_expired` is "error".
        """
        if self.calibration is not None and self._on_expired == "error":
            self.calibration.require_valid()
        text = turn.question if stage is Stage.QUESTION else turn.answer or ""
        trace = self.tracer.trace(text, complete=stage is not Stage.STREAM)
        decision = self._decide(trace)
        if not decision.refused:
            return self._verdict(stage, Action.PASS, trace, decision)
        if self.policy == "redact" and stage is not Stage.QUESTION:
            return self._redact(turn, stage, text, trace, decision)
        return self._verdict(stage, Action.REFUSE, trace, decision)

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        """`check`, off the event loop."""
        return await run_on_worker(self.check, turn, stage)

    def _redact(self, turn: Turn, stage: Stage, text: str, trace: Trace, decision: Decision) -> Verdict:
        left, removed = without_spans(text, [b.span for b in self._refused(trace)])
        # Two harmless halves may meet where a sentence went, so the rest is judged as a text of its own.
        if not left or self._decide(self.tracer.trace(left)).refused:
            return self._verdict(stage, Action.REFUSE, trace, decision)
        spans = [{"start": span.start, "end": span.end} for span in removed]
        return self._verdict(stage, Action.REVISE, trace, decision, turn.replace(answer=left), removed=spans)

    def _decide(self, trace: Trace) -> Decision:
        if self.calibration is not None:
            return self.calibration.decide(trace.scores())
        return Decision(trace.bci > self.threshold, float("nan"), self.threshold, ())

    def _refused(self, trace: Trace) -> list[Belief]:
        """The beliefs that the text is refused for."""
        return [belief for belief in trace.beliefs if self._refuses(belief)]

    def _refuses(self, belief: Belief) -> bool:
        if self.calibration is not None:
            return self.calibration.refuses(belief.kind, belief.bci)
        return belief.bci > self.threshold

    def _verdict(
        self,
        stage: Stage,
        action: Action,
        trace: Trace,
        decision: Decision,
        revised: Turn | None = None,
        **more: Any,
    ) -> Verdict:
        refused = self._refused(trace)
        held = self.calibration is not None and not self._outdated(stage)
        details: dict[str, Any] = {
            "bci": trace.bci,
            "spans": [described(b) for b in sorted(trace.beliefs, key=lambda b: -b.bci)[:_SHOWN]],
            "policy": self.policy,
            **more,
        }
        if self.calibration is None:
            details["calibration"] = _UNCALIBRATED
        else:
            details |= {"p_value": decision.p_value, "calibration": self.calibration.statement.id}
            if not held:
                details["calibration_void"] = self._outdated(stage)
        if stage is Stage.STREAM and action is Action.PASS and trace.hold is not None:
            details["hold"] = trace.hold
        return Verdict(
            guard=self.name,
            stage=stage,
            action=action,
            reason=_reason(refused) if action is not Action.PASS else Reason.OK,
            score=trace.bci,
            threshold=decision.threshold,
            uncalibrated=not held,
            evidence=_evidence(refused),
            revised=revised,
            details=details,
        )

    def _outdated(self, stage: Stage) -> str:
        """Why the calibration promises nothing here; "" where it does."""
        if self.calibration is None:
            return ""
        statement = self.calibration.statement
        if statement.expired():
            return "expired"
        subject = "question" if stage is Stage.QUESTION else "answer"
        return "" if statement.subject == subject else f"calibrated on {statement.subject}s"


def described(belief: Belief) -> dict[str, Any]:
    """Return a belief as plain data: numbers, places and ids, never text."""
    return {
        "start": belief.span.start,
        "end": belief.span.end,
        "kind": belief.kind,
        "label": belief.label,
        "bci": belief.bci,
        "specificity": belief.specificity,
        "per_token": belief.per_token,
        "kl": belief.kl,
        "conflict": belief.conflict,
        "count": belief.count,
        "clause": belief.clause,
        "sources": [
            {"document": o.document, "start": o.span.start, "end": o.span.end} for o in belief.occurrences
        ],
    }


def _evidence(beliefs: Sequence[Belief]) -> tuple[Evidence, ...]:
    found = []
    for belief in beliefs:
        source = belief.occurrences[0] if belief.occurrences else None
        found.append(
            Evidence(
                passage_id=belief.clause if source is None else source.document,
                span=None if source is None else source.span,
                score=1.0 - belief.conflict,
                outcome="contradicted" if belief.kind == "policy" else "",
                note=f"{belief.kind} {belief.label}: {belief.specificity:.1f} nats, conflict {belief.conflict:.2f}",
                failing=belief.span,
            )
        )
    return tuple(found)


def _reason(beliefs: Sequence[Belief]) -> Reason:
    worst = max(beliefs, key=lambda b: b.bci, default=None)
    return Reason.POLICY_CONFLICT if worst is not None and worst.kind == "policy" else Reason.TRACED_SOURCE


def _stages(names: Collection[str]) -> frozenset[Stage]:
    chosen = (names,) if isinstance(names, str) else tuple(names)
    if not chosen or any(name not in (s.value for s in _STAGES) for name in chosen):
        raise InvalidValueError("stages must be answer, question or both")
    found = {Stage(name) for name in chosen}
    return frozenset(found | {Stage.STREAM} if Stage.ANSWER in found else found)
