"""The cut: keeps the passages within the calibrated threshold, and says what that promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ragguard.conformal.calibration import Calibration, CorpusChange
from ragguard.conformal.groups import REST
from ragguard.conformal.observations import ranked
from ragguard.conformal.scores import Array
from ragguard.conformal.statement import statement
from ragguard.errors import CalibrationExpiredError, GuardError, InvalidScoreError
from ragguard.types import Action, Certificate, Passage, Reason, Stage, Turn, Verdict
from ragguard.worker import run_on_worker


@dataclass(frozen=True)
class _Cut:
    """What the threshold left of one turn's candidates."""

    kept: tuple[Passage, ...]
    dropped: tuple[str, ...]
    best: float
    nonconformity: Array


class ConformalRetrievalGuard:
    """Keeps every candidate passage whose nonconformity is <= the calibrated threshold.

    Judges at the passages stage: `turn.passages` must be the candidates as the
    calibrated retriever returned them, with their scores. The verdict revises the
    turn to the passages kept, or abstains when the question is novel (`no_evidence`
    when nothing was retrieved) or of a group without a threshold; its certificate
    states the promise.

    Args:
        calibration: see `Calibration.load`.
        name: of the guard.
        weight: the question's likelihood ratio, for a weighted calibration.
        change: how the served corpus differs from the calibrated one.
        on_expired: "degrade" serves past the expiry with a void certificate, "error" refuses to.
    """

    stages = frozenset({Stage.PASSAGES})

    def __init__(
        self,
        calibration: Calibration,
        *,
        name: str = "conformal_retrieval",
        weight: Callable[[str], float] | None = None,
        change: CorpusChange | None = None,
        on_expired: Literal["degrade", "error"] = "degrade",
    ) -> None:
        self.name = name
        self.calibration = calibration
        self._weight = weight
        self._change = change
        self._on_expired = on_expired
        if calibration.artifact.weighting and weight is None:
            raise GuardError(
                "a weighted calibration needs the weight of each question", hint="pass weight=callable"
            )

    async def acheck(self, turn: Turn, stage: Stage) -> Verdict:
        """`check`, on a worker."""
        return await run_on_worker(self.check, turn, stage)

    def check(self, turn: Turn, stage: Stage) -> Verdict:
        """Cut the candidates of one turn.

        Raises:
            InvalidScoreError: a candidate has no finite score.
            CalibrationExpiredError: the artifact has expired and the policy is "error".
            GuardError: the group has no threshold and the artifact's policy is "error".
        """
        artifact = self.calibration.artifact
        if artifact.expired() and self._on_expired == "error":
            raise CalibrationExpiredError(
                f"calibration {artifact.id} expired on {artifact.expires:%Y-%m-%d}", hint="calibrate again"
            )
        group = turn.metadata.get("group")
        category = self.calibration.category(None if group is None else str(group))
        if category is None:
            return self._unseen(turn, stage)
        weight = 1.0 if self._weight is None else self._weight(turn.query)
        threshold = self.calibration.threshold(category, weight=weight)
        cut = self._cut(turn.passages or (), threshold)
        return self._verdict(turn, stage, category, threshold, cut)

    def _cut(self, candidates: tuple[Passage, ...], threshold: float) -> _Cut:
        missing = next((p.id for p in candidates if p.score is None), None)
        if missing is not None:
            raise InvalidScoreError(
                f"passage {missing!r} has no retrieval score",
                hint="let the guard retrieve, or wrap the retriever so that every result carries its score",
            )
        by_id: dict[str, Passage] = {}
        for passage in sorted(candidates, key=lambda p: -(p.score or 0.0)):
            by_id.setdefault(passage.id, passage)
        ids, similarities = ranked([p.id for p in candidates], [float(p.score or 0.0) for p in candidates])
        nonconformity = self.calibration.score(similarities)
        count = int(np.searchsorted(nonconformity, threshold, side="right"))
        cap = self.calibration.artifact.cap
        count = count if cap is None else min(count, cap)
        best = float(similarities[0]) if len(similarities) else -np.inf
        return _Cut(tuple(by_id[i] for i in ids[:count]), tuple(ids[count:]), best, nonconformity)

    def _verdict(self, turn: Turn, stage: Stage, category: str, threshold: float, cut: _Cut) -> Verdict:
        artifact, novelty = self.calibration.artifact, self.calibration.novelty
        p_value = novelty.p_value(cut.best) if novelty is not None else None
        action, reason = Action.REVISE, Reason.OK
        if not cut.kept or (novelty is not None and novelty.is_novel(cut.best)):
            action, reason = Action.ABSTAIN, Reason.NO_EVIDENCE
        elif np.isinf(threshold):
            action, reason = Action.ABSTAIN, Reason.NOVEL_QUESTION
        last = float(cut.nonconformity[len(cut.kept) - 1]) if cut.kept else None
        return Verdict(
            guard=self.name,
            stage=stage,
            action=action,
            reason=reason,
            score=last,
            threshold=threshold if np.isfinite(threshold) else None,
            revised=turn.replace(passages=cut.kept),
            certificate=self._certificate(category, len(cut.nonconformity), threshold),
            details={
                "kept": len(cut.kept),
                "candidates": len(cut.nonconformity),
                "score": artifact.score,
                **(
                    {"p_value": p_value, "novelty_level": artifact.novelty_level}
                    if p_value is not None
                    else {}
                ),
            },
        )

    def _unseen(self, turn: Turn, stage: Stage) -> Verdict:
        if self.calibration.artifact.unseen_group == "error":
            raise GuardError(
                "the question's group has no calibrated threshold",
                hint="calibrate with questions of that group, or with unseen_group='abstain'",
            )
        return Verdict(
            guard=self.name,
            stage=stage,
            action=Action.ABSTAIN,
            reason=Reason.UNSEEN_GROUP,
            revised=turn.replace(passages=()),
        )

    def _certificate(self, category: str, candidates: int, threshold: float) -> Certificate:
        artifact = self.calibration.artifact
        status: Literal["valid", "degraded", "void"] = "valid"
        voided, notes = None, list(artifact.notes)
        if self._change is not None and self._change.share > 0:
            status = "degraded"
            notes.append(
                f"corpus changed since calibration: {self._change.added} passages added, {self._change.removed} removed"
            )
        if candidates < artifact.shortest:
            status = "degraded"
            notes.append(
                f"{candidates} candidates, fewer than any calibration question had ({artifact.shortest})"
            )
        if artifact.weighting == "estimated":
            notes.append("approximate: the likelihood ratios are estimated")
        if category == REST:
            notes.append("group merged into the rest: the bound holds for the rest as a whole")
        if artifact.expired():
            status, voided = "void", "expired"
        elif np.isinf(threshold):
            status, voided = "void", "no threshold reaches the target for this question"
        return Certificate(
            scope="retrieval",
            status=status,
            statement=statement(artifact),
            artifact=artifact.id,
            target=artifact.target,
            alpha=artifact.alpha,
            delta=artifact.delta,
            n=artifact.categories[category].n,
            group=category or None,
            expires=artifact.expires.isoformat(),
            covers=artifact.upstream,
            voided_by=voided,
            notes=tuple(notes),
        )
