"""What the loop knows of a turn so far: which verdicts apply, and which promises they void."""

from __future__ import annotations

from collections.abc import Mapping

from ragguard.errors import DeadlineExceededError, GenerationError, RagGuardError
from ragguard.types import (
    Action,
    Certificate,
    ErrorInfo,
    Generation,
    Mode,
    OnError,
    Reason,
    Report,
    Stage,
    Turn,
    Verdict,
)

CUT = "ragguard_cut"
"""Key of a turn's metadata: which cut its passages went through, and what has voided its promise since."""
RERANKED = "ragguard_reranked"
"""Key of a turn's metadata: who scored its passages anew, for which question."""

_ACTION_ON_ERROR = {OnError.REFUSE: Action.REFUSE, OnError.ABSTAIN: Action.ABSTAIN, OnError.PASS: Action.PASS}
_REQUEST = ("do", "claims", "attempt", "attempts", "unsupported", "feedback")
_DEFAULT_MESSAGES = {
    Action.ABSTAIN: "I don't know: {sentence}",
    Action.REFUSE: "I can't show an answer to this: {sentence}",
}


def failure(policy: OnError, guard: str, stage: Stage, error: Exception) -> Verdict:
    """Return the verdict that a guard's failure becomes under its policy.

    Only the error's type and code are kept: its message may hold the user's text.
    """
    late = isinstance(error, DeadlineExceededError)
    code = error.code if isinstance(error, RagGuardError) else "unexpected"
    return Verdict(
        guard=guard,
        stage=stage,
        action=_ACTION_ON_ERROR[policy],
        reason=Reason.DEADLINE if late else Reason.GUARD_ERROR,
        error=ErrorInfo(type=type(error).__name__, code=code),
        degraded=policy is OnError.PASS,
    )


class Judgement:
    """The turn as revised so far, the verdicts, and the certificates that still hold."""

    def __init__(self, turn: Turn, messages: Mapping[str, str]) -> None:
        self.turn = turn
        self.seconds: dict[str, float] = {}
        self._messages = messages
        self._verdicts: list[Verdict] = []
        self._certificates: dict[str, Certificate] = {}
        self._droppers: list[str] = []
        self._deciding: Verdict | None = None

    @property
    def ended(self) -> bool:
        """True once an enforced verdict abstained or refused."""
        return self._deciding is not None and self._deciding.action.ends_turn

    def rewrite(self, text: str) -> None:
        """Go on with a standalone form of the question; an empty rewrite keeps the original."""
        if text.strip():
            self.turn = self.turn.replace(standalone=text)

    def answered(self, answer: str | Generation) -> None:
        """Go on with an answer; passages that its generator had no room for void the retrieval promise.

        Raises:
            GenerationError: it is neither text nor a `Generation`.
        """
        text = answer.text if isinstance(answer, Generation) else answer
        if not isinstance(text, str):
            raise GenerationError(f"the generator returned a {type(text).__name__}, not text")
        self.turn = self.turn.replace(answer=text)
        if isinstance(answer, Generation) and {p.id for p in self.turn.passages or ()} - set(answer.read):
            self._void("retrieval", "the generator's budget")

    def apply(self, verdict: Verdict) -> None:
        """Record a verdict and, unless it ran in shadow, let it act."""
        self._verdicts.append(verdict)
        name = verdict.guard
        self.seconds[name] = self.seconds.get(name, 0.0) + verdict.seconds
        if verdict.mode is Mode.SHADOW:
            return
        if verdict.revised is not None:
            self._revise(verdict, verdict.revised)
        if verdict.certificate is not None:
            self._certify(verdict.certificate, verdict.guard)
        if self._outweighs(verdict):
            self._deciding = verdict

    def report(self) -> Report:
        """Return the finished report."""
        action = self._deciding.action if self._deciding else Action.PASS
        reason = self._deciding.reason if self._deciding else Reason.OK
        return Report(
            turn=self.turn,
            action=action,
            reason=reason,
            text=self._text(action, reason),
            verdicts=tuple(self._verdicts),
            certificates=tuple(self._certificates.values()),
            degraded=any(v.degraded for v in self._verdicts if v.mode is not Mode.SHADOW),
            request=self._request(),
            seconds=self.seconds,
        )

    def _outweighs(self, verdict: Verdict) -> bool:
        """True when this verdict decides from here on: the first that had something against the turn, or an end.

        A revision for which nothing stood against the turn is routine: the calibrated cut is one.
        """
        if verdict.action is Action.PASS or (verdict.action is Action.REVISE and verdict.reason is Reason.OK):
            return False
        return self._deciding is None or verdict.action.ends_turn

    def _revise(self, verdict: Verdict, revised: Turn) -> None:
        before, self.turn = self.turn, revised
        # Passages that a guard supplies did not come through the calibrated retriever either.
        supplied = before.passages is None and revised.passages is not None
        if supplied or {p.id for p in before.passages or ()} - {p.id for p in revised.passages or ()}:
            self._droppers.append(verdict.guard)
            if verdict.certificate is None or verdict.certificate.scope != "retrieval":
                self._void("retrieval", verdict.guard)
        if revised.answer != before.answer:
            self._void("release", verdict.guard)

    def _certify(self, certificate: Certificate, guard: str) -> None:
        """Attach a guard's promise, void at once if one outside its map removed passages before it."""
        self._certificates[certificate.scope] = certificate
        outside = [name for name in self._droppers if name not in (guard, *certificate.covers)]
        if outside and certificate.scope == "retrieval":
            self._void("retrieval", outside[0])

    def _void(self, scope: str, guard: str) -> None:
        held = self._certificates.get(scope)
        if held is not None and held.status != "void" and held.status != "none":
            self._certificates[scope] = held.model_copy(update={"status": "void", "voided_by": guard})
            mark = self.turn.metadata.get(CUT)
            if scope == "retrieval" and isinstance(mark, dict):
                # Checked again, the turn must not get the promise back.
                marked = {**self.turn.metadata, CUT: {**mark, "voided_by": guard}}
                self.turn = self.turn.replace(metadata=marked)

    def _text(self, action: Action, reason: Reason) -> str | None:
        if not action.ends_turn:
            return self.turn.answer
        for key in (reason.value, action.value):
            if key in self._messages:
                return self._messages[key]
        return _DEFAULT_MESSAGES[action].format(sentence=reason.sentence)

    def _request(self) -> Mapping[str, object] | None:
        """What the caller may do next, where the deciding verdict names something to do."""
        if self._deciding is None or "do" not in self._deciding.details:
            return None
        return {key: self._deciding.details[key] for key in _REQUEST if key in self._deciding.details}
