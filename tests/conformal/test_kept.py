"""What is said of each passage that a cut kept."""

from __future__ import annotations

import json

import pytest

from ragguard.conformal.guard import ConformalRetrievalGuard
from ragguard.conformal.kept import RETRIEVAL_SCORE, certificate_facts, kept_facts, limited
from ragguard.pipeline import Pipeline, Step
from ragguard.types import Action, Mode, Passage, Report, Stage, Turn, Verdict
from tests.conformal.populations import calibration

FOUND = tuple(
    Passage(id=name, text=name, score=score) for name, score in (("a", 0.9), ("b", 0.7), ("c", 0.1))
)
RAW = {"a": 0.2, "b": 0.6, "c": 1.8}
"""The retriever's own: distances."""


class Rescoring:
    """Turns the order round, or drops the best, before the cut."""

    name, stages = "rescoring", frozenset({Stage.PASSAGES})

    def __init__(self, scores: dict[str, float]) -> None:
        self._scores = scores

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        passages = tuple(
            p.model_copy(update={"score": self._scores[p.id]})
            for p in turn.passages or ()
            if p.id in self._scores
        )
        return Verdict(
            guard=self.name, stage=stage, action=Action.REVISE, revised=turn.replace(passages=passages)
        )

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        return self.check(turn, stage)


def facts(*before: Rescoring | Step) -> tuple[Report, dict[str, dict[str, object]]]:
    cut = ConformalRetrievalGuard(calibration(threshold=0.5))
    report = Pipeline([*before, cut]).check(Turn(question="Which?", passages=FOUND))
    return report, kept_facts(report, FOUND, RAW, cut.calibration, cut=cut.name)


def test_each_kept_passage_has_its_score_its_nonconformity_and_the_certificate() -> None:
    report, found = facts()
    assert list(found) == ["a", "b"]
    assert [said[RETRIEVAL_SCORE] for said in found.values()] == [0.2, 0.6]
    assert [said["nonconformity"] for said in found.values()] == pytest.approx([0.1, 0.3])
    assert all(said["threshold"] == 0.5 and said["kept"] is True for said in found.values())
    assert found["a"]["certificate"] == certificate_facts(report)
    json.dumps(found)


def test_the_nonconformity_is_that_of_the_scores_that_were_cut() -> None:
    _, found = facts(Rescoring({"a": 0.2, "b": 0.6, "c": 0.8}))
    assert list(found) == ["c", "b"]
    assert [said["nonconformity"] for said in found.values()] == pytest.approx([0.2, 0.4])
    assert [said[RETRIEVAL_SCORE] for said in found.values()] == [1.8, 0.6]


def test_a_guard_in_shadow_changes_no_nonconformity() -> None:
    _, found = facts(Step(Rescoring({"a": 0.2, "b": 0.6, "c": 0.8}), mode=Mode.SHADOW))
    assert [said["nonconformity"] for said in found.values()] == pytest.approx([0.1, 0.3])


def test_a_dropped_passage_has_no_facts() -> None:
    _, found = facts(Rescoring({"b": 0.7, "c": 0.1}))
    assert list(found) == ["b"]
    assert found["b"]["nonconformity"] == pytest.approx(0.3)


def test_nothing_is_said_of_a_turn_that_was_not_released() -> None:
    cut = ConformalRetrievalGuard(calibration(threshold=0.5))
    far = tuple(p.model_copy(update={"score": 0.0}) for p in FOUND)
    report = Pipeline([cut]).check(Turn(question="Which?", passages=far))
    assert not report.released
    assert kept_facts(report, far, RAW, cut.calibration, cut=cut.name) == {}


def test_a_limit_below_what_was_kept_voids_the_promise_and_one_above_it_does_not() -> None:
    report, _ = facts()
    assert limited(report, 2) is report
    assert limited(report, None) is report
    fewer = limited(report, 1)
    assert [p.id for p in fewer.passages] == ["a"]
    assert certificate_facts(fewer)["status"] == "void"
    assert certificate_facts(fewer)["voided_by"] == "limit"
