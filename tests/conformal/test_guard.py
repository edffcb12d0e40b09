from __future__ import annotations

import json
import random
from datetime import timedelta
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.conformal.artifact import Category
from ragguard.conformal.calibrate import Settings, calibrate
from ragguard.conformal.calibration import Calibration, CorpusChange
from ragguard.conformal.evaluate import outcome
from ragguard.conformal.groups import REST
from ragguard.conformal.guard import ConformalRetrievalGuard
from ragguard.conformal.observations import observe
from ragguard.conformal.scores import SCORES
from ragguard.errors import CalibrationExpiredError, GuardError, InvalidScoreError, InvalidValueError
from ragguard.protocols import TurnGuard
from ragguard.types import Action, Passage, Reason, Stage, Turn, Verdict
from tests.conformal.populations import NOW, at_distances, calibration, examples, searched

GROUPS = {
    "a": Category(threshold=0.1, n=30, members=("a",)),
    REST: Category(threshold=0.6, n=20, members=("b", "c")),
}


def turn(scores: dict[str, float | None], **metadata: Any) -> Turn:
    passages = tuple(Passage(id=i, text=f"text of {i}", score=s) for i, s in scores.items())
    return Turn(question="Which dose?", passages=passages, metadata=metadata)


def check(judged: Turn, *, guarding: dict[str, Any] | None = None, **changes: Any) -> Verdict:
    return ConformalRetrievalGuard(calibration(**changes), **guarding or {}).check(judged, Stage.PASSAGES)


def kept(verdict: Verdict) -> list[str]:
    assert verdict.revised is not None
    return [p.id for p in verdict.revised.passages or ()]


# --- what is kept ------------------------------------------------------------------------


def test_it_is_a_guard_of_passages() -> None:
    guard = ConformalRetrievalGuard(calibration())
    assert isinstance(guard, TurnGuard)
    assert guard.stages == {Stage.PASSAGES}


def test_passages_within_the_threshold_are_kept_best_first_and_the_others_counted() -> None:
    found = check(turn({"low": 0.2, "tie": 0.5, "best": 0.9, "near": 0.75, "below": 0.4999}), threshold=0.5)
    assert (found.action, found.reason) == (Action.REVISE, Reason.OK)
    assert kept(found) == ["best", "near", "tie"]
    assert (found.details["kept"], found.details["candidates"]) == (3, 5)
    assert found.dropped == ()
    assert (found.score, found.threshold) == (0.5, 0.5)
    assert not found.uncalibrated


def test_equal_passages_keep_the_order_of_the_retriever() -> None:
    assert kept(check(turn({"b": 0.8, "a": 0.8, "c": 0.8}))) == ["b", "a", "c"]


def test_the_cap_limits_what_is_kept() -> None:
    assert kept(check(turn({"a": 0.9, "b": 0.8, "c": 0.7}), cap=2)) == ["a", "b"]


def test_a_passage_returned_twice_is_kept_once_at_its_best() -> None:
    passages = tuple(
        Passage(id=i, text=t, score=s)
        for i, t, s in [("a", "worse", 0.1), ("b", "", 0.7), ("a", "better", 0.9)]
    )
    found = check(Turn(question="?", passages=passages))
    assert found.revised is not None
    assert [(p.id, p.text) for p in found.revised.passages or ()] == [("a", "better"), ("b", "")]
    assert found.details["candidates"] == 2


def test_the_passages_kept_are_unchanged() -> None:
    passage = Passage(id="a", text="x", document="d", score=0.9, metadata={"page": 3})
    found = check(Turn(question="?", passages=(passage,)))
    assert found.revised is not None
    assert found.revised.passages == (passage,)


@cache
def served(score: str, cap: int | None) -> Calibration:
    return calibrate(searched(60, np.random.default_rng(0)), Settings(alpha=0.4, score=score, cap=cap))


@examples(60)
@given(
    st.lists(st.sampled_from([-0.2, 0.1, 0.3, 0.5, 0.500001, 0.8]), max_size=8),
    st.sampled_from(SCORES),
    st.sampled_from([None, 3, 5]),
    st.randoms(use_true_random=False),
)
def test_the_guard_does_what_evaluation_measures_in_any_order_of_candidates(
    scores: list[float], name: str, cap: int | None, chance: random.Random
) -> None:
    made = served(name, cap)
    ids = [f"p{i}" for i in range(len(scores))]
    observed = observe("q", ids, scores, ids[:1])
    expected = outcome(observed, made)
    results = list(zip(ids, scores, strict=True))
    chance.shuffle(results)
    found = ConformalRetrievalGuard(made).check(turn(dict(results)), Stage.PASSAGES)
    assert len(kept(found)) == expected.passages
    assert (found.action is Action.ABSTAIN) is expected.abstained
    assert sorted(scores, reverse=True)[: expected.passages] == [dict(results)[i] for i in kept(found)]
    if ids and scores.count(scores[0]) == 1:
        assert ("p0" in kept(found)) is bool(expected.coverage)


def test_the_retrievers_zero_is_a_score_like_any_other() -> None:
    assert kept(check(turn({"a": 0.0, "b": -0.0}), threshold=1.0)) == ["a", "b"]


@pytest.mark.parametrize(
    "scores", [{"a": 0.9, "b": None}, {"a": 0.9, "b": float("nan")}, {"b": float("inf")}]
)
def test_a_candidate_without_a_finite_score_is_an_error_that_names_it(
    scores: dict[str, float | None],
) -> None:
    with pytest.raises(InvalidScoreError, match="'b'") as caught:
        check(turn(scores))
    assert "dose" not in str(caught.value)
    assert "text of" not in str(caught.value)


async def test_checking_asynchronously_gives_the_same_verdict() -> None:
    guard = ConformalRetrievalGuard(calibration())
    judged = turn({"a": 0.9, "b": 0.2})
    assert await guard.acheck(judged, Stage.PASSAGES) == guard.check(judged, Stage.PASSAGES)


# --- abstaining --------------------------------------------------------------------------


@pytest.mark.parametrize("passages", [None, ()])
def test_nothing_retrieved_is_no_evidence(passages: tuple[Passage, ...] | None) -> None:
    found = ConformalRetrievalGuard(calibration()).check(
        Turn(question="?", passages=passages), Stage.PASSAGES
    )
    assert (found.action, found.reason) == (Action.ABSTAIN, Reason.NO_EVIDENCE)
    assert found.score is None


def test_nothing_within_the_threshold_is_no_evidence() -> None:
    found = check(turn({"a": 0.2}))
    assert (found.action, found.reason, kept(found)) == (Action.ABSTAIN, Reason.NO_EVIDENCE, [])


def test_a_best_similarity_below_those_calibrated_is_no_evidence_whatever_the_score_keeps() -> None:
    tops = tuple(np.linspace(0.5, 0.9, 19))
    settings_: dict[str, Any] = {"score": "gap", "tops": tops, "novelty_level": 0.05}
    novel = check(turn({"a": 0.3, "b": 0.29}), **settings_)
    assert (novel.action, novel.reason) == (Action.ABSTAIN, Reason.NO_EVIDENCE)
    assert novel.details["p_value"] == pytest.approx(1 / 20)
    known = check(turn({"a": 0.5, "b": 0.29}), **settings_)
    assert (known.action, kept(known)) == (Action.REVISE, ["a", "b"])
    assert check(turn({"a": 0.3}), **{**settings_, "novelty_level": None}).action is Action.REVISE


def test_the_details_are_numbers_and_no_text() -> None:
    found = check(turn({"a": 0.9, "b": 0.2}), tops=(0.5, 0.8), novelty_level=0.2)
    assert json.loads(json.dumps(dict(found.details))) == {
        "kept": 1, "candidates": 2, "score": "cosine", "p_value": 1.0, "novelty_level": 0.2,
    }  # fmt: skip


# --- groups ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "expected", "n"), [("a", ["x"], 30), ("b", ["x", "y"], 20), ("c", ["x", "y"], 20)]
)
def test_a_question_gets_the_threshold_of_its_group(group: str, expected: list[str], n: int) -> None:
    found = check(turn({"x": 0.95, "y": 0.5}, group=group), categories=GROUPS)
    assert kept(found) == expected
    assert found.certificate is not None
    assert found.certificate.n == n
    merged = "group merged into the rest: the bound holds for the rest as a whole"
    assert (merged in found.certificate.notes) is (group != "a")
    assert found.certificate.group == ("a" if group == "a" else REST)


@pytest.mark.parametrize("metadata", [{"group": "z"}, {"group": ""}, {"group": None}, {}, {"group": 7}])
def test_a_group_without_a_threshold_abstains_or_errs_as_declared(metadata: dict[str, Any]) -> None:
    judged = turn({"x": 0.95, "y": 0.5}, **metadata)
    found = check(judged, categories=GROUPS)
    assert (found.action, found.reason, kept(found)) == (Action.ABSTAIN, Reason.UNSEEN_GROUP, [])
    assert found.dropped == ()
    assert found.certificate is None
    with pytest.raises(GuardError, match="no calibrated threshold") as caught:
        check(judged, categories=GROUPS, unseen_group="error")
    assert "'z'" not in str(caught.value)


def test_a_group_is_compared_as_text() -> None:
    categories = {"7": Category(threshold=0.1, n=30, members=("7",))}
    assert kept(check(turn({"x": 0.95}, group=7), categories=categories)) == ["x"]


# --- the certificate ---------------------------------------------------------------------


def test_a_valid_certificate_states_the_promise() -> None:
    found = check(turn({"a": 0.9}), delta=0.05, upstream=("shield",)).certificate
    assert found is not None
    assert (found.scope, found.status, found.voided_by, found.notes) == ("retrieval", "valid", None, ())
    assert (found.target, found.alpha, found.delta, found.n) == ("any", 0.1, 0.05, 40)
    assert found.artifact == calibration(delta=0.05, upstream=("shield",)).artifact.id
    assert found.covers == ("shield",)
    assert found.statement.startswith("For answerable questions")
    assert found.expires == (NOW + timedelta(days=36_500)).isoformat()


def test_a_changed_corpus_degrades_it() -> None:
    change = CorpusChange(added=3, removed=1, share=0.04)
    found = check(turn({"a": 0.9}), guarding={"change": lambda: change}).certificate
    assert found is not None
    assert found.status == "degraded"
    assert found.notes == ("corpus changed since calibration: 3 passages added, 1 removed",)
    same = check(turn({"a": 0.9}), guarding={"change": lambda: CorpusChange(0, 0, 0.0)}).certificate
    assert same is not None
    assert same.status == "valid"


def test_fewer_candidates_than_in_calibration_degrade_it() -> None:
    found = check(turn({"a": 0.9, "b": 0.8}), shortest=3).certificate
    assert found is not None
    assert found.status == "degraded"
    assert found.notes == ("2 candidates, fewer than any calibration question had (3)",)
    enough = check(turn({"a": 0.9, "b": 0.8, "c": 0.1}), shortest=3).certificate
    assert enough is not None
    assert enough.status == "valid"


def test_an_expired_calibration_serves_under_a_void_certificate_or_not_at_all() -> None:
    changes = {"expires": NOW + timedelta(days=1)}
    found = check(turn({"a": 0.9}), **changes)
    assert found.action is Action.REVISE
    assert found.certificate is not None
    assert (found.certificate.status, found.certificate.voided_by) == ("void", "expired")
    with pytest.raises(CalibrationExpiredError, match="expired on 2026-01-02"):
        check(turn({"a": 0.9}), guarding={"on_expired": "error"}, **changes)


def test_a_note_of_the_calibration_goes_with_every_certificate() -> None:
    found = check(turn({"a": 0.9}), notes=("calibrated on synthetic questions",)).certificate
    assert found is not None
    assert found.notes == ("calibrated on synthetic questions",)


# --- weights -----------------------------------------------------------------------------


def weighted(weight: float, weighting: str = "exact") -> Verdict:
    made = calibrate(at_distances(np.linspace(0.0, 0.5, 51)), Settings(score="cosine", weighting=weighting))  # type: ignore[arg-type]
    guard = ConformalRetrievalGuard(made, weight=lambda question: weight)
    return guard.check(turn({"a": 0.9, "b": 0.53, "c": 0.3}), Stage.PASSAGES)


def test_a_heavier_question_keeps_more() -> None:
    assert [kept(weighted(w)) for w in (1.0, 5.0)] == [["a"], ["a", "b"]]


def test_a_question_too_heavy_for_any_threshold_abstains_under_a_void_certificate() -> None:
    found = weighted(100.0)
    assert (found.action, found.reason, found.threshold) == (Action.ABSTAIN, Reason.NOVEL_QUESTION, None)
    assert found.certificate is not None
    assert found.certificate.status == "void"
    assert found.certificate.voided_by == "no threshold reaches the target for this question"


def test_only_estimated_ratios_make_the_certificate_approximate() -> None:
    for weighting, approximate in (("exact", False), ("estimated", True)):
        certificate = weighted(1.0, weighting).certificate
        assert certificate is not None
        assert any("approximate" in note for note in certificate.notes) is approximate


def test_the_weight_is_of_the_text_sent_to_the_retriever() -> None:
    made = calibrate(at_distances(np.linspace(0.0, 0.5, 51)), Settings(score="cosine", weighting="exact"))
    asked: list[str] = []
    guard = ConformalRetrievalGuard(made, weight=lambda question: asked.append(question) or 1.0)  # type: ignore[func-returns-value]
    guard.check(turn({"a": 0.9}).replace(standalone="The dose of what?"), Stage.PASSAGES)
    assert asked == ["The dose of what?"]


def test_a_weighted_calibration_needs_weights_that_are_ratios() -> None:
    made = calibrate(at_distances(np.linspace(0.0, 0.5, 51)), Settings(score="cosine", weighting="exact"))
    with pytest.raises(GuardError, match="weight=callable"):
        ConformalRetrievalGuard(made)
    for bad in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidValueError):
            weighted(bad)
