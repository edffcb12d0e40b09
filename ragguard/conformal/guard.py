"""The cut: keeps the passages within the calibrated threshold, and says what that promises."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ragguard.conformal.calibration import Calibration, CorpusChange
from ragguard.conformal.groups import REST
from ragguard.conformal.observations import ranked
from ragguard.conformal.scores import Array
from ragguard.conformal.statement import statement
from ragguard.errors import CalibrationExpiredError, GuardError, InvalidScoreError
from ragguard.judgement import CUT
from ragguard.types import Action, Certificate, Passage, Reason, Stage, Turn, Verdict
from ragguard.worker import run_on_worker


@dataclass(frozen=True)
class _Cut:
    """What the threshold left of one turn's candidates."""

    kept: tuple[Passage, ...]
    best: float
    nonconformity: Array


class ConformalRetrievalGuard:
    """Keeps every candidate passage whose nonconformity is <= the calibrated threshold.

    Judges at the passages stage: `turn.passages` must be the candidates as the
    calibrated retriever returned them, with their scores. The verdict revises the
    turn to the passages kept, or abstains when the question is novel (`no_evidence`
    when nothing was retrieved) or of a group without a threshold; its certificate
    states the promise.

    Passages that this calibration has already cut for the same question pass as they
    are. To passages without any score, retrieved elsewhere, the cut does not apply:
    they pass with a certificate of status "none".

    Args:
        calibration: see `Calibration.load`.
        name: of the guard.
        weight: the question's likelihood ratio, for a weighted calibration.
        change: returns how the served corpus differs from the calibrated one, or raises where
            it differs too much; asked at every turn.
        on_expired: "degrade" serves past the expiry with a void certificate, "error" refuses to.
    """

    stages = frozenset({Stage.PASSAGES})

    def __init__(
        self,
        calibration: Calibration,
        *,
        name: str = "conformal_retrieval",
        weight: Callable[[str], float] | None = None,
        change: Callable[[], CorpusChange | None] = lambda: None,
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
        if turn.passages and all(p.score is None for p in turn.passages):
            return Verdict(
                guard=self.name, stage=stage, action=Action.PASS, certificate=_elsewhere(len(turn.passages))
            )
        group = turn.metadata.get("group")
        category = self.calibration.category(None if group is None else str(group))
        if category is None:
            return self._unseen(turn, stage)
        weight = 1.0 if self._weight is None else self._weight(turn.query)
        threshold = self.calibration.threshold(category, weight=weight)
        earlier = turn.metadata.get(CUT)
        if isinstance(earlier, dict) and _made_by(earlier, artifact.id, category, turn):
            return self._again(turn, stage, category, threshold, earlier)
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
        # Runs may have been calibrated on distances; passages then carry distances too.
        sign = -1.0 if self.calibration.artifact.informative.get("scores") == "distances" else 1.0
        scores = [sign * float(p.score or 0.0) for p in candidates]
        for _, passage in sorted(zip(scores, candidates, strict=True), key=lambda pair: -pair[0]):
            by_id.setdefault(passage.id, passage)
        ids, similarities = ranked([p.id for p in candidates], scores)
        nonconformity = self.calibration.score(similarities)
        count = int(np.searchsorted(nonconformity, threshold, side="right"))
        cap = self.calibration.artifact.cap
        count = count if cap is None else min(count, cap)
        best = float(similarities[0]) if len(similarities) else -np.inf
        return _Cut(tuple(by_id[i] for i in ids[:count]), best, nonconformity)

    def _verdict(self, turn: Turn, stage: Stage, category: str, threshold: float, cut: _Cut) -> Verdict:
        artifact, novelty = self.calibration.artifact, self.calibration.novelty
        p_value = novelty.p_value(cut.best) if novelty is not None else None
        action, reason = Action.REVISE, Reason.OK
        if not cut.kept or (novelty is not None and novelty.is_novel(cut.best)):
            action, reason = Action.ABSTAIN, Reason.NO_EVIDENCE
        elif np.isinf(threshold):
            action, reason = Action.ABSTAIN, Reason.NOVEL_QUESTION
        last = float(cut.nonconformity[len(cut.kept) - 1]) if cut.kept else None
        revised = turn.replace(passages=cut.kept)
        if action is Action.REVISE:
            mark = _mark(artifact.id, category, revised, len(cut.nonconformity))
            revised = revised.replace(metadata={**turn.metadata, CUT: mark})
        return Verdict(
            guard=self.name,
            stage=stage,
            action=action,
            reason=reason,
            score=last,
            threshold=threshold if np.isfinite(threshold) else None,
            revised=revised,
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

    def _again(
        self, turn: Turn, stage: Stage, category: str, threshold: float, earlier: dict[str, Any]
    ) -> Verdict:
        """Pass what was kept before; the promise is void if any of it has gone since."""
        certificate = self._certificate(category, int(earlier["candidates"]), threshold)
        gone = set(earlier["kept"]) - {p.id for p in turn.passages or ()}
        voided = earlier.get("voided_by") or ("passages removed after the cut" if gone else None)
        if voided and certificate.status != "void":
            certificate = certificate.model_copy(update={"status": "void", "voided_by": str(voided)})
        details = {"kept": len(turn.passages or ()), "candidates": earlier["candidates"], "cut_before": True}
        return Verdict(
            guard=self.name,
            stage=stage,
            action=Action.PASS,
            threshold=threshold,
            certificate=certificate,
            details=details,
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
        change = self._change()
        if change is not None and change.share > 0:
            status = "degraded"
            notes.append(
                f"corpus changed since calibration: {change.added} passages added, {change.removed} removed"
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


def _mark(artifact: str, category: str, turn: Turn, candidates: int) -> dict[str, Any]:
    kept = [p.id for p in turn.passages or ()]
    return {"for": _identity(artifact, category, turn), "kept": kept, "candidates": candidates}


def _made_by(mark: dict[str, Any], artifact: str, category: str, turn: Turn) -> bool:
    """True for a mark of this threshold on this very question; any other is no mark at all."""
    ours = mark.get("for") == _identity(artifact, category, turn)
    return ours and isinstance(mark.get("kept"), list | tuple) and isinstance(mark.get("candidates"), int)


def _identity(artifact: str, category: str, turn: Turn) -> str:
    content = "\0".join([artifact, category, turn.query])
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _elsewhere(passages: int) -> Certificate:
    return Certificate(
        scope="retrieval",
        status="none",
        statement="Nothing is promised: these passages did not come through the calibrated retriever.",
        notes=(f"{passages} passages without a retrieval score; the cut does not apply to them",),
    )
