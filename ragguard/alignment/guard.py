"""ConsistencyGuard: an answer passes when the passages support every claim of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

from ragguard.alignment.abstention import find_abstentions, remaining_claims
from ragguard.alignment.citations import citations, is_supported
from ragguard.alignment.redaction import with_dependants, without_claims
from ragguard.errors import GuardError, InvalidValueError
from ragguard.protocols import Aligner
from ragguard.types import Action, Claim, Evidence, Reason, Stage, Turn, Verdict
from ragguard.worker import run_on_worker

Policy = Literal["refuse", "redact", "annotate", "regenerate"]
ATTEMPT = "ragguard_attempt"
"""Key of a turn's metadata: how often its answer was already asked for anew; nothing there means 0."""

_FEEDBACK = {
    Reason.EMPTY_ANSWER: "There was no answer. Answer from the passages, or say that they do not tell.",
    Reason.UNVERIFIABLE_ANSWER: "Nothing of the answer can be checked against the passages. "
    "State what they say in whole sentences, or say that they do not tell.",
    Reason.CONTRADICTED_ANSWER: "The passages contradict the answer at the places listed, or each other. "
    "State there what they say, or leave it out; keep the rest.",
    Reason.UNSUPPORTED_ANSWER: "The passages do not say what the answer says at the places listed. "
    "State there only what they say, or leave it out; keep the rest.",
}
"""For the generator, by what stood against its answer; never any text of the turn."""


class ConsistencyGuard:
    """Judges an answer claim by claim; a claim is kept when its score is strictly above the threshold.

    Never passed: an empty answer, one without anything checkable, and one with a
    claim but no passages. An answer that only abstains becomes an abstention; what
    is left of one that abstains and asserts is judged.

    Args:
        aligner: scores claims against passages; by default the trained `AlignmentAligner`
            with the bundled model, whose weights load at the first claim or in `warm_up`.
        threshold: in [0, 1); the aligner's own `default_threshold` where it has one.
            No calibration artifact stands behind it, and every verdict says so.
        policy: what becomes of an unsupported answer: `refuse` it; `redact` the claims at
            fault and what leans on them; `annotate` (pass, with `details["citations"]`);
            or `regenerate`: refuse, and ask for another answer as data.
        attempts: how often an answer is asked for anew. `details` then hold "do":
            "regenerate", "attempt", "attempts", "unsupported" and "feedback"; whoever
            generates again puts "attempt" under `ATTEMPT` into the turn's metadata. Once
            they are used up, or what stands there is no number of attempts, a refusal is final.
        name: tells several of these apart.

    Raises:
        InvalidValueError: threshold, policy or attempts cannot be used.
    """

    def __init__(
        self,
        aligner: Aligner | None = None,
        *,
        threshold: float | None = None,
        policy: Policy = "refuse",
        attempts: int = 2,
        name: str = "consistency",
    ) -> None:
        if policy not in get_args(Policy):
            raise InvalidValueError(f"policy must be one of {', '.join(get_args(Policy))}")
        if type(attempts) is not int or attempts < 0:
            raise InvalidValueError(f"attempts must be a whole number, 0 or more, got {attempts!r:.40}")
        self.aligner, self.threshold = _at(_trained() if aligner is None else aligner, threshold)
        self.policy = policy
        self.attempts = attempts
        self.name = name
        self.stages = frozenset({Stage.ANSWER})

    def warm_up(self) -> None:
        """Load what the aligner needs now, so that the first turn does not wait for it."""
        warm_up = getattr(self.aligner, "warm_up", None)
        if callable(warm_up):
            warm_up()

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        """Judge the turn's answer.

        Raises:
            GuardError: the aligner returned no finite score in [0, 1] for a claim.
        """
        known = self._without_reading(turn, stage)
        if isinstance(known, Verdict):
            return known
        evidence = self.aligner.align(known, turn.passages or (), question=turn.query)
        return self._judge(turn, stage, _checked(known, evidence))

    @property
    def check_many(self) -> Callable[[Sequence[Turn], Stage], list[Verdict]] | None:
        """Judges several turns, the claims of all scored together; None where the aligner takes one answer only."""
        return self._check_many if callable(getattr(self.aligner, "align_many", None)) else None

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        """`check`, off the event loop."""
        return await run_on_worker(self.check, turn, stage)

    def _without_reading(self, turn: Turn, stage: Stage) -> Verdict | list[Claim]:
        """The verdict where no passage need be read for it, else the claims to hold against them."""
        answer = turn.answer or ""
        if not answer.strip():
            return self._verdict(turn, stage, Action.REFUSE, Reason.EMPTY_ANSWER)
        claims = remaining_claims(answer)
        if not claims and find_abstentions(answer):
            return self._verdict(turn, stage, Action.ABSTAIN, Reason.MODEL_ABSTAINED)
        if not claims:
            return self._verdict(turn, stage, Action.REFUSE, Reason.UNVERIFIABLE_ANSWER)
        if not any(passage.text.strip() for passage in turn.passages or ()):
            evidence = [_without_passages(claim) for claim in claims]
            return self._verdict(turn, stage, Action.REFUSE, Reason.UNSUPPORTED_ANSWER, evidence)
        return claims

    def _check_many(self, turns: Sequence[Turn], stage: Stage, /) -> list[Verdict]:
        known = [self._without_reading(turn, stage) for turn in turns]
        open_ = [
            (turn, claims) for turn, claims in zip(turns, known, strict=True) if isinstance(claims, list)
        ]
        asked = [(claims, turn.passages or (), turn.query) for turn, claims in open_]
        read = iter(self.aligner.align_many(asked) if asked else [])  # type: ignore[attr-defined]
        return [
            found if isinstance(found, Verdict) else self._judge(turn, stage, _checked(found, next(read)))
            for turn, found in zip(turns, known, strict=True)
        ]

    def _judge(self, turn: Turn, stage: Stage, evidence: Sequence[Evidence]) -> Verdict:
        failing = [item for item in evidence if not self._supports(item)]
        if not failing:
            return self._verdict(turn, stage, Action.PASS, Reason.OK, evidence)
        reason = _reason(failing)
        if self.policy == "annotate":
            return self._verdict(turn, stage, Action.PASS, reason, evidence)
        if self.policy == "redact":
            doomed = with_dependants(
                [e.claim for e in evidence if e.claim], [e.claim for e in failing if e.claim]
            )
            left = without_claims(turn.answer or "", doomed)
            if left and remaining_claims(left):
                return self._verdict(turn, stage, Action.REVISE, reason, evidence, left)
        return self._verdict(turn, stage, Action.REFUSE, reason, evidence)

    def _supports(self, item: Evidence) -> bool:
        return is_supported(item, self.threshold)

    def _verdict(
        self,
        turn: Turn,
        stage: Stage,
        action: Action,
        reason: Reason,
        evidence: Sequence[Evidence] = (),
        redacted: str | None = None,
    ) -> Verdict:
        details: dict[str, Any] = {
            "policy": self.policy,
            "claims": len(evidence),
            "unsupported": [_place(item) for item in evidence if not self._supports(item)],
        }
        if self.policy == "regenerate" and action is Action.REFUSE:
            details |= self._request(turn, reason)
        if self.policy == "annotate" and action is Action.PASS:
            details["citations"] = citations(evidence, threshold=self.threshold)
        return Verdict(
            guard=self.name,
            stage=stage,
            action=action,
            reason=reason,
            score=min((item.score for item in evidence if item.score is not None), default=None),
            threshold=self.threshold,
            uncalibrated=True,
            evidence=tuple(evidence),
            revised=None if redacted is None else turn.replace(answer=redacted),
            details=details,
        )

    def _request(self, turn: Turn, reason: Reason) -> dict[str, Any]:
        """What asks for another answer; nothing once the attempts are used up."""
        made = turn.metadata.get(ATTEMPT, 0)
        # Metadata may come from a client: what is no count of ours must not buy more attempts.
        if isinstance(made, bool) or not isinstance(made, int) or not 0 <= made < self.attempts:
            return {"attempts": self.attempts}
        return {
            "do": "regenerate",
            "attempt": made + 1,
            "attempts": self.attempts,
            "feedback": _FEEDBACK[reason],
        }


def _checked(claims: Sequence[Claim], evidence: Sequence[Evidence]) -> list[Evidence]:
    """The aligner's evidence, known to be one usable score a claim."""
    if len(evidence) != len(claims):
        details = {"claims": len(claims), "evidence": len(evidence)}
        raise GuardError("the aligner must return one evidence a claim", details=details)
    for place, item in enumerate(evidence):
        if item.score is None or not math.isfinite(item.score) or not 0 <= item.score <= 1:
            raise GuardError("the aligner's score is not in [0, 1]", details={"claim": place})
    # The claim is ours: an aligner that rewrites it must not move the offsets.
    return [item.model_copy(update={"claim": claim}) for item, claim in zip(evidence, claims, strict=True)]


def _trained() -> Aligner:
    from ragguard.alignment.aligner import AlignmentAligner  # scipy and more, for those who need it

    return AlignmentAligner()


def _at(aligner: Aligner, threshold: float | None) -> tuple[Aligner, float]:
    """The aligner at the threshold, so that its outcomes say the same as the guard's verdicts."""
    if threshold is None:
        return aligner, _usable(getattr(aligner, "default_threshold", None))
    moved = getattr(aligner, "with_threshold", None)
    return (moved(_usable(threshold)) if callable(moved) else aligner), _usable(threshold)


def _usable(threshold: float | None) -> float:
    if threshold is None:
        raise InvalidValueError("this aligner has no default threshold", hint="pass threshold=...")
    if not 0 <= threshold < 1:
        raise InvalidValueError(f"threshold must be in [0, 1), got {threshold}")
    return threshold


def _without_passages(claim: Claim) -> Evidence:
    return Evidence(claim=claim, score=0.0, outcome="unverifiable", note="no passage to compare with")


def _reason(failing: Sequence[Evidence]) -> Reason:
    """The gravest of the failing outcomes."""
    outcomes = {item.outcome for item in failing}
    if outcomes & {"contradicted", "conflicting"}:
        return Reason.CONTRADICTED_ANSWER
    return Reason.UNVERIFIABLE_ANSWER if outcomes == {"unverifiable"} else Reason.UNSUPPORTED_ANSWER


def _place(item: Evidence) -> dict[str, Any]:
    """Where an unsupported claim stands in the answer, and which part of it is at fault."""
    span, failing = item.claim.span if item.claim else None, item.failing
    return {
        "start": None if span is None else span.start,
        "end": None if span is None else span.end,
        "outcome": item.outcome,
        "failing": None if failing is None else {"start": failing.start, "end": failing.end},
    }
