"""ConsistencyGuard: an answer passes when the passages support every claim of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

from ragguard.alignment.abstention import find_abstentions, remaining_claims
from ragguard.alignment.lexical import LexicalAligner
from ragguard.alignment.redaction import without_claims
from ragguard.errors import GuardError, InvalidValueError
from ragguard.protocols import Aligner
from ragguard.types import Action, Claim, Evidence, Reason, Stage, Turn, Verdict
from ragguard.worker import run_on_worker

Policy = Literal["refuse", "redact", "annotate", "regenerate"]
_NEVER_RELEASED = frozenset({"contradicted", "conflicting", "unverifiable"})


class ConsistencyGuard:
    """Judges an answer claim by claim; a claim is kept when its score is strictly above the threshold.

    Never passed: an empty answer, one without anything checkable, and one with a
    claim but no passages. An answer that only abstains becomes an abstention; what
    is left of one that abstains and asserts is judged.

    Args:
        aligner: scores claims against passages; the lexical baseline by default.
        threshold: in [0, 1); the aligner's own `default_threshold` where it has one.
            No calibration artifact stands behind it, and every verdict says so.
        policy: what becomes of an unsupported answer: `refuse` it, `redact` the
            claims at fault, `annotate` (pass, with the evidence), or `regenerate`
            (refuse, and say that another attempt may help).
        name: tells several of these apart.
    """

    def __init__(
        self,
        aligner: Aligner | None = None,
        *,
        threshold: float | None = None,
        policy: Policy = "refuse",
        name: str = "consistency",
    ) -> None:
        self.aligner: Aligner = LexicalAligner() if aligner is None else aligner
        self.threshold = _usable(
            getattr(self.aligner, "default_threshold", None) if threshold is None else threshold
        )
        if policy not in get_args(Policy):
            raise InvalidValueError(f"policy must be one of {', '.join(get_args(Policy))}")
        self.policy = policy
        self.name = name
        self.stages = frozenset({Stage.ANSWER})

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        """Judge the turn's answer.

        Raises:
            GuardError: the aligner returned no finite score in [0, 1] for a claim.
        """
        answer = turn.answer or ""
        if not answer.strip():
            return self._verdict(stage, Action.REFUSE, Reason.EMPTY_ANSWER)
        claims = remaining_claims(answer)
        if not claims and find_abstentions(answer):
            return self._verdict(stage, Action.ABSTAIN, Reason.MODEL_ABSTAINED)
        if not claims:
            return self._verdict(stage, Action.REFUSE, Reason.UNVERIFIABLE_ANSWER)
        if not turn.passages:
            evidence = [_without_passages(claim) for claim in claims]
            return self._verdict(stage, Action.REFUSE, Reason.UNSUPPORTED_ANSWER, evidence)
        return self._judge(turn, stage, self._align(turn, claims))

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        """`check`, off the event loop."""
        return await run_on_worker(self.check, turn, stage)

    def _align(self, turn: Turn, claims: Sequence[Claim]) -> list[Evidence]:
        evidence = self.aligner.align(claims, turn.passages or (), question=turn.query)
        if len(evidence) != len(claims):
            details = {"claims": len(claims), "evidence": len(evidence)}
            raise GuardError("the aligner must return one evidence a claim", details=details)
        for place, item in enumerate(evidence):
            if item.score is None or not math.isfinite(item.score) or not 0 <= item.score <= 1:
                raise GuardError("the aligner's score is not in [0, 1]", details={"claim": place})
        # The claim is ours: an aligner that rewrites it must not move the offsets.
        return [
            item.model_copy(update={"claim": claim}) for item, claim in zip(evidence, claims, strict=True)
        ]

    def _judge(self, turn: Turn, stage: Stage, evidence: Sequence[Evidence]) -> Verdict:
        failing = [item for item in evidence if not self._supports(item)]
        if not failing:
            return self._verdict(stage, Action.PASS, Reason.OK, evidence)
        reason = _reason(failing)
        if self.policy == "annotate":
            return self._verdict(stage, Action.PASS, reason, evidence)
        if self.policy == "redact":
            left = without_claims(turn.answer or "", [item.claim for item in failing if item.claim])
            if left and remaining_claims(left):
                return self._verdict(stage, Action.REVISE, reason, evidence, turn.replace(answer=left))
        return self._verdict(stage, Action.REFUSE, reason, evidence)

    def _supports(self, item: Evidence) -> bool:
        return item.score is not None and item.score > self.threshold and item.outcome not in _NEVER_RELEASED

    def _verdict(
        self,
        stage: Stage,
        action: Action,
        reason: Reason,
        evidence: Sequence[Evidence] = (),
        revised: Turn | None = None,
    ) -> Verdict:
        unsupported = [place for place, item in enumerate(evidence) if not self._supports(item)]
        details: dict[str, object] = {
            "policy": self.policy,
            "claims": len(evidence),
            "unsupported": unsupported,
        }
        if self.policy == "regenerate" and action is Action.REFUSE:
            details["do"] = "regenerate"
        return Verdict(
            guard=self.name,
            stage=stage,
            action=action,
            reason=reason,
            score=min((item.score for item in evidence if item.score is not None), default=None),
            threshold=self.threshold,
            uncalibrated=True,
            evidence=tuple(evidence),
            revised=revised,
            details=details,
        )


def _usable(threshold: float | None) -> float:
    if threshold is None:
        raise InvalidValueError("this aligner has no default threshold", hint="pass threshold=...")
    if not 0 <= threshold < 1:
        raise InvalidValueError(f"threshold must be in [0, 1), got {threshold}")
    return threshold


def _without_passages(claim: Claim) -> Evidence:
    return Evidence(claim=claim, score=0.0, outcome="not_found", note="no passage to compare with")


def _reason(failing: Sequence[Evidence]) -> Reason:
    """The gravest of the failing outcomes."""
    outcomes = {item.outcome for item in failing}
    if outcomes & {"contradicted", "conflicting"}:
        return Reason.CONTRADICTED_ANSWER
    return Reason.UNVERIFIABLE_ANSWER if outcomes == {"unverifiable"} else Reason.UNSUPPORTED_ANSWER
