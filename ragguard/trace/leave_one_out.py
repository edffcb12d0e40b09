"""LeaveOneOutShield: what an answer says must not hang on one passage alone.

Each claim that the passages support is judged again without the passage that
supports it, and without those that say the same in nearly the same words. What
loses its support then rests on one source: in most knowledge bases that is no
fault, so the default only says so; where several sources are expected, it is how
a poisoned passage shows that slipped through.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ragguard.errors import GuardError, InvalidValueError
from ragguard.protocols import Aligner, Embedder
from ragguard.text.sentences import sentence_spans
from ragguard.trace.poisoning import grouped, likeness
from ragguard.types import Action, Claim, Evidence, Passage, Reason, Span, Stage, Turn, Verdict
from ragguard.worker import check_deadline, run_on_worker

Policy = Literal["annotate", "redact", "abstain", "refuse"]


@dataclass(frozen=True, slots=True)
class Hanging:
    """A claim that one group of passages carries.

    Attributes:
        claim: its place in the answer.
        passages: ids without which it is not supported.
        with_all: its support by all passages.
        without: its support without those.
    """

    claim: Span
    passages: tuple[str, ...]
    with_all: float
    without: float


class LeaveOneOutShield:
    """Finds claims whose support is gone without one passage, or one group of near-duplicates.

    Claims are the sentences of the answer. One that the passages do not support to begin
    with is the consistency guard's business and not judged here. The aligner is asked once
    for all claims and once more for every group that supports one.

    Args:
        aligner: scores claims against passages.
        threshold: support above which a claim is supported, in [0, 1); the aligner's own
            `default_threshold` where it has one. Every verdict says that it is uncalibrated.
        policy: `annotate` passes and says so in `details`; `redact` drops the hanging
            sentences, and abstains when none is left; `abstain`; `refuse`.
        embedder: groups near-duplicates; without one every document is a source of its own.
        alike: likeness from which two passages are one source.
        most_groups: how many sources are left out in turn, at most.
        name: tells several of these apart.

    Raises:
        InvalidValueError: threshold, policy or most_groups cannot be used.
    """

    stages = frozenset({Stage.ANSWER})

    def __init__(
        self,
        aligner: Aligner,
        *,
        threshold: float | None = None,
        policy: Policy = "annotate",
        embedder: Embedder | None = None,
        alike: float = 0.9,
        most_groups: int = 8,
        name: str = "leave_one_out",
    ) -> None:
        if policy not in get_args(Policy):
            raise InvalidValueError(f"policy must be one of {', '.join(get_args(Policy))}")
        chosen = getattr(aligner, "default_threshold", None) if threshold is None else threshold
        if chosen is None:
            raise InvalidValueError("this aligner has no default threshold", hint="pass threshold=...")
        if not 0 <= chosen < 1:
            raise InvalidValueError(f"threshold must be in [0, 1), got {chosen}")
        if most_groups < 1:
            raise InvalidValueError(f"most_groups must be at least 1, got {most_groups}")
        self.name, self.policy, self.threshold = name, policy, float(chosen)
        self._aligner, self._embedder, self._alike, self._most = aligner, embedder, alike, most_groups

    def warm_up(self) -> None:
        """Load what the aligner and the embedder need now."""
        for part in (self._aligner, self._embedder):
            warm_up = getattr(part, "warm_up", None)
            if callable(warm_up):
                warm_up()

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        """Judge the turn's answer.

        Raises:
            GuardError: the aligner returned something else than a score in [0, 1] a claim.
        """
        answer, passages = turn.answer or "", tuple(turn.passages or ())
        claims = [Claim(text=answer[a:b], span=Span(start=a, end=b)) for a, b in sentence_spans(answer)]
        if not claims or not any(p.text.strip() for p in passages):
            return self._verdict(turn, stage, Action.PASS, (), claims=len(claims), groups=0)
        evidence = self._align(claims, passages, turn.query)
        supported = [i for i, item in enumerate(evidence) if self._supports(item)]
        groups = self._groups(passages)
        carrying = _carrying([evidence[i] for i in supported], groups)[: self._most]
        hanging: dict[int, Hanging] = {}
        for group in carrying:
            check_deadline()
            rest = [p for p in passages if groups[p.id] != group]
            without = self._align([claims[i] for i in supported], rest, turn.query) if rest else None
            for place, i in enumerate(supported):
                left = 0.0 if without is None else _score(without[place])
                if left <= self.threshold and i not in hanging and _rests_on(evidence[i], groups, group):
                    ids = tuple(dict.fromkeys(p.id for p in passages if groups[p.id] == group))
                    hanging[i] = Hanging(claims[i].span, ids, _score(evidence[i]), left)
        found = tuple(hanging[i] for i in sorted(hanging))
        return self._decide(turn, stage, found, claims, len(set(groups.values())))

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        """`check`, off the event loop."""
        return await run_on_worker(self.check, turn, stage)

    def fingerprint(self) -> dict[str, Any]:
        """Settings, and what judges."""
        return {
            "guard": "leave_one_out",
            "version": 1,
            "threshold": self.threshold,
            "policy": self.policy,
            "alike": self._alike,
            "most_groups": self._most,
            "aligner": dict(self._aligner.fingerprint()),
            "embedder": None if self._embedder is None else dict(self._embedder.fingerprint()),
        }

    def _supports(self, item: Evidence) -> bool:
        return item.outcome not in ("contradicted", "conflicting") and _score(item) > self.threshold

    def _align(self, claims: Sequence[Claim], passages: Sequence[Passage], question: str) -> list[Evidence]:
        if not claims:
            return []
        evidence = self._aligner.align(claims, passages, question=question)
        sane = all(e.score is not None and math.isfinite(e.score) and 0 <= e.score <= 1 for e in evidence)
        if len(evidence) != len(claims) or not sane:
            raise GuardError(
                "the aligner must return one score in [0, 1] a claim",
                details={"claims": len(claims), "evidence": len(evidence)},
            )
        return evidence

    def _groups(self, passages: Sequence[Passage]) -> dict[str, int]:
        """Passage id -> number of its source: its document, and what says the same."""
        first: dict[str, int] = {}
        names = [first.setdefault(p.document or p.id, len(first)) for p in passages]
        if self._embedder is not None:
            vectors = self._embedder.embed_passages([p.text for p in passages])
            linked = grouped(likeness(passages, vectors), self._alike)
            for i, j in enumerate(linked.tolist()):
                if names[i] != names[j]:
                    low, high = sorted((names[i], names[j]))
                    names = [low if name == high else name for name in names]
        return {p.id: name for p, name in zip(passages, names, strict=True)}

    def _decide(
        self, turn: Turn, stage: Stage, found: tuple[Hanging, ...], claims: Sequence[Claim], groups: int
    ) -> Verdict:
        sizes: dict[str, Any] = {"claims": len(claims), "groups": groups}
        if not found or self.policy == "annotate":
            reason = Reason.UNSUPPORTED_ANSWER if found else Reason.OK
            return self._verdict(turn, stage, Action.PASS, found, reason, **sizes)
        if self.policy == "redact":
            gone = {item.claim.start for item in found}
            left = "".join(_kept(turn.answer or "", claims, gone)).strip()
            if left:
                revised = turn.replace(answer=left)
                return self._verdict(
                    turn, stage, Action.REVISE, found, Reason.UNSUPPORTED_ANSWER, revised, **sizes
                )
        action = Action.REFUSE if self.policy == "refuse" else Action.ABSTAIN
        return self._verdict(turn, stage, action, found, Reason.UNSUPPORTED_ANSWER, **sizes)

    def _verdict(
        self,
        turn: Turn,
        stage: Stage,
        action: Action,
        found: tuple[Hanging, ...],
        reason: Reason = Reason.OK,
        revised: Turn | None = None,
        **sizes: int,
    ) -> Verdict:
        hanging = [
            {
                "start": item.claim.start,
                "end": item.claim.end,
                "passages": list(item.passages),
                "with_all": round(item.with_all, 4),
                "without": round(item.without, 4),
            }
            for item in found
        ]
        return Verdict(
            guard=self.name,
            stage=stage,
            action=action,
            reason=reason,
            score=min((item.without for item in found), default=None),
            threshold=self.threshold,
            uncalibrated=True,
            revised=revised,
            details={"policy": self.policy, "hanging": hanging, **sizes},
        )


def _score(item: Evidence) -> float:
    return 0.0 if item.score is None else float(item.score)


def _sources(item: Evidence) -> list[str]:
    named = [item.passage_id, *(q.passage_id for q in item.quotations)]
    return [name for name in dict.fromkeys(named) if name is not None]


def _carrying(evidence: Sequence[Evidence], groups: dict[str, int]) -> list[int]:
    """The sources that evidence names, those of most claims first."""
    counts: dict[int, int] = {}
    for item in evidence:
        for group in {groups[name] for name in _sources(item) if name in groups}:
            counts[group] = counts.get(group, 0) + 1
    return sorted(counts, key=lambda group: (-counts[group], group))


def _rests_on(item: Evidence, groups: dict[str, int], group: int) -> bool:
    return any(groups.get(name) == group for name in _sources(item))


def _kept(answer: str, claims: Sequence[Claim], gone: set[int]) -> list[str]:
    """The sentences that stay, each with the white space before it."""
    parts, at = [], 0
    for claim in claims:
        if claim.span.start not in gone:
            parts.append(answer[at : claim.span.end])
        at = claim.span.end
    return parts
