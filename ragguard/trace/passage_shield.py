"""PassageShield: takes passages out of a turn before anything is cut, ranked or read.

A passage is quarantined for what stands in it (instructions to the model, hidden
text, known attacks) or for what it is beside the others (poisoning). It sits left
of the calibrated cut: calibrate the cut with this guard among its `guards`, and
its certificate covers it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np

from ragguard.errors import InvalidValueError
from ragguard.protocols import Aligner, FloatArray
from ragguard.trace.calibrate import TraceCalibration
from ragguard.trace.injection_scorer import InjectionScorer, Judged
from ragguard.trace.poisoning import PoisoningRules, Suspicion, find_poisoned
from ragguard.types import Action, Passage, Reason, Stage, Turn, Verdict
from ragguard.worker import run_on_worker

WhenNothingLeft = Literal["abstain", "refuse"]
_MOST_LISTED = 20
"""Findings of one passage in a verdict; the number of all is given beside."""


class PassageShield:
    """Quarantines retrieved passages that speak to the model, or that were planted.

    The turn goes on without them (`revise`, their ids in `dropped`). Deterministic: the same
    passages and question give the same verdict, whatever was judged before.

    Args:
        scorer: judges each passage alone; the default uses the bundled embedder and head.
        calibration: threshold of the scorer's score, from `calibrate_trace(scorer, benign,
            subject="passage")`. Without one the scorer's default is used, and verdicts say
            that it is uncalibrated. Compared with the scorer at the first turn.
        threshold: of the score in (0, 1), instead of a calibration.
        poisoning: also compares the passages with one another; needs an embedder in the scorer.
        suspicion: at which score of poisoning a passage goes, in (0, 1]; uncalibrated.
        rules: see `PoisoningRules`.
        aligner: finds passages that contradict the trusted ones, or the rest; slow, off by default.
        trusted: passages taken at their word: neither suspected of poisoning nor held against
            others. They are still read for injected instructions.
        nothing_left: what to do when every passage is quarantined.
        on_expired: past the calibration's expiry, `degrade` goes on with verdicts that say
            `uncalibrated`, and `error` raises at each check.
        name: tells several of these apart; a calibration of the cut names it.

    Raises:
        InvalidValueError: a setting is out of range, or both calibration and threshold are given.
    """

    stages = frozenset({Stage.PASSAGES})

    def __init__(
        self,
        scorer: InjectionScorer | None = None,
        *,
        calibration: TraceCalibration | None = None,
        threshold: float | None = None,
        poisoning: Literal["on", "off"] = "on",
        suspicion: float = 0.5,
        rules: PoisoningRules | None = None,
        aligner: Aligner | None = None,
        trusted: Callable[[Passage], bool] | None = None,
        nothing_left: WhenNothingLeft = "abstain",
        on_expired: Literal["degrade", "error"] = "degrade",
        name: str = "passage_shield",
    ) -> None:
        if nothing_left not in get_args(WhenNothingLeft):
            raise InvalidValueError(f"nothing_left must be one of {', '.join(get_args(WhenNothingLeft))}")
        if poisoning not in ("on", "off"):
            raise InvalidValueError('poisoning must be "on" or "off"')
        if on_expired not in ("degrade", "error"):
            raise InvalidValueError("on_expired must be degrade or error")
        if threshold is not None and calibration is not None:
            raise InvalidValueError("give a calibration or a threshold, not both")
        if threshold is not None and not 0 < threshold < 1:
            raise InvalidValueError(f"threshold must lie in (0, 1), got {threshold}")
        if not 0 < suspicion <= 1:
            raise InvalidValueError(f"suspicion must lie in (0, 1], got {suspicion}")
        self.name, self.scorer, self.calibration = name, scorer or InjectionScorer(), calibration
        self.nothing_left: WhenNothingLeft = nothing_left
        self._on_expired = on_expired
        self._threshold, self._suspicion = threshold, suspicion
        self._rules, self._aligner, self._trusted = rules or PoisoningRules(), aligner, trusted
        self._compares = poisoning == "on"
        self._verified = calibration is None

    def warm_up(self) -> None:
        """Load embedder, head and aligner, and compare the calibration with them."""
        self.scorer.warm_up()
        self._limit()
        warm_up = getattr(self._aligner, "warm_up", None)
        if callable(warm_up):
            warm_up()

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        """Judge the turn's passages.

        Raises:
            CalibrationMismatchError: the calibration was made with another scorer.
            CalibrationExpiredError: its validity has ended, and `on_expired` is "error".
        """
        passages = tuple(turn.passages or ())
        if not passages:
            return self._verdict(turn, stage, (), (), ())
        judged = self.scorer.judge([passage.text for passage in passages])
        suspicions = self._poisoning(turn.query, passages, judged)
        return self._verdict(turn, stage, passages, judged, suspicions)

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        """`check`, off the event loop."""
        return await run_on_worker(self.check, turn, stage)

    def fingerprint(self) -> dict[str, Any]:
        """Everything that decides which passages are left, so that a calibration made through it knows it."""
        return {
            "guard": "passage_shield",
            "version": 1,
            "scorer": self.scorer.fingerprint(),
            "threshold": self._limit(),
            "poisoning": self._compares,
            "suspicion": self._suspicion,
            "rules": {
                "agreement": list(self._rules.agreement),
                "echoing": list(self._rules.echoing),
                "alike": self._rules.alike,
                "dissent": self._rules.dissent,
            },
            "aligner": None if self._aligner is None else dict(self._aligner.fingerprint()),
            "trusted": None if self._trusted is None else getattr(self._trusted, "__qualname__", "callable"),
            "nothing_left": self.nothing_left,
        }

    def _limit(self) -> float:
        """The threshold in force."""
        if self.calibration is None:
            return self.scorer.default_threshold if self._threshold is None else self._threshold
        if not self._verified:
            self.calibration.verify(self.scorer)
            self._verified = True
        if self._on_expired == "error":
            self.calibration.require_valid()
        return max(self.calibration.statement.thresholds.values())

    def _poisoning(
        self, question: str, passages: Sequence[Passage], judged: Sequence[Judged]
    ) -> Sequence[Suspicion | None]:
        known = next((found.vector for found in judged if found.vector is not None), None)
        if not self._compares or known is None:
            return [None] * len(passages)
        nothing = np.zeros_like(known)
        vectors: FloatArray = np.stack(
            [nothing if found.vector is None else found.vector for found in judged]
        )
        return find_poisoned(
            question, passages, vectors, rules=self._rules, aligner=self._aligner, trusted=self._trusted
        )

    def _verdict(
        self,
        turn: Turn,
        stage: Stage,
        passages: Sequence[Passage],
        judged: Sequence[Judged],
        suspicions: Sequence[Suspicion | None],
    ) -> Verdict:
        limit = self._limit()
        kept, dropped, listed = [], [], []
        for passage, found, suspicion in zip(passages, judged, suspicions, strict=True):
            injected = found.score > limit
            poisoned = suspicion is not None and suspicion.score >= self._suspicion
            if not injected and not poisoned:
                kept.append(passage)
                continue
            dropped.append(passage.id)
            listed.append(_listed(passage.id, found, suspicion, injected=injected, poisoned=poisoned))
        action, revised = Action.PASS, None
        if dropped:
            action, revised = Action.REVISE, turn.replace(passages=tuple(kept))
            if not kept:
                action = Action.REFUSE if self.nothing_left == "refuse" else Action.ABSTAIN
        return Verdict(
            guard=self.name,
            stage=stage,
            action=action,
            reason=Reason.INJECTED_PASSAGE if dropped else Reason.OK,
            score=max((found.score for found in judged), default=None),
            threshold=limit,
            uncalibrated=self.calibration is None or self.calibration.statement.expired(),
            revised=revised,
            dropped=tuple(dict.fromkeys(dropped)),
            details={
                "passages": len(passages),
                "quarantined": listed,
                "unread_units": sum(found.unread for found in judged),
            },
        )


def _listed(
    name: str, found: Judged, suspicion: Suspicion | None, *, injected: bool, poisoned: bool
) -> dict[str, Any]:
    """Why a passage went, in numbers and places."""
    causes = [cause for cause, holds in (("injected", injected), ("poisoned", poisoned)) if holds]
    return {
        "id": name,
        "cause": causes,
        "score": found.score,
        "unit": None if found.span is None else [found.span.start, found.span.end],
        "signals": found.signals,
        "findings": [
            {"rule": f.rule, "start": f.span.start, "end": f.span.end, "weight": f.weight}
            for f in sorted(found.findings, key=lambda f: -f.weight)[:_MOST_LISTED]
        ],
        "all_findings": len(found.findings),
        "poisoning": None
        if suspicion is None
        else {
            "score": suspicion.score,
            "echo": suspicion.echo,
            "agreement": suspicion.agreement,
            "dissent": suspicion.dissent,
            "group": suspicion.group,
            "group_size": suspicion.size,
        },
    }
