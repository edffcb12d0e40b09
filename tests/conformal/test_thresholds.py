from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ragguard.conformal.observations import Observation, Target, target_score
from ragguard.conformal.ranks import conformal_rank, needed_questions
from ragguard.conformal.scores import SCORES, Score, make_score
from ragguard.conformal.thresholds import RecallLoss, find_threshold, hoeffding_bentkus, risk_test
from ragguard.errors import NoValidThresholdError, TargetUnattainableError, TooFewQuestionsError
from tests.conformal.populations import MISS, at_distances, at_positions, examples, observed

COSINE = make_score("cosine")
RANK = make_score("rank")
TARGETS = st.sampled_from(["any", "all", "recall"])
DELTAS = st.sampled_from([None, 0.05, 0.3])


# --- any and all -------------------------------------------------------------------------


def test_the_threshold_is_the_kth_smallest_score() -> None:
    rng = np.random.default_rng(0)
    for n in (9, 20, 50, 149):
        distances = rng.random(n)
        found = find_threshold(at_distances(distances), COSINE, alpha=0.1)
        rank = conformal_rank(n, 0.1)
        assert found.value == pytest.approx(np.sort(distances)[rank - 1])
        assert (found.n, found.rank, found.unreachable) == (n, rank, 0)


@examples(50)
@given(
    observed(), st.sampled_from(SCORES), st.sampled_from(["any", "all"]), st.sampled_from([0.1, 0.3]), DELTAS
)
def test_no_smaller_threshold_reaches_the_rank(
    questions: list[Observation], name: str, target: Target, alpha: float, delta: float | None
) -> None:
    score = make_score(name)
    try:
        found = find_threshold(questions, score, alpha=alpha, delta=delta, target=target, cap=3)
    except NoValidThresholdError:
        return
    needed = np.array([target_score(o.relevant_scores(score, cap=3), target) for o in questions])
    assert np.isfinite(found.value)
    assert found.rank == conformal_rank(len(questions), alpha, delta)
    assert (needed <= found.value).sum() >= found.rank > (needed < found.value).sum()
    assert found.unreachable == np.isinf(needed).sum()


def test_any_needs_the_nearest_relevant_passage_and_all_the_farthest() -> None:
    questions = at_positions([(0, 4)] * 20)
    assert find_threshold(questions, RANK, alpha=0.1, target="any").value == 1
    assert find_threshold(questions, RANK, alpha=0.1, target="all").value == 5


def test_a_tie_at_the_threshold_is_kept() -> None:
    questions = at_distances([0.25] * 10 + [0.5] * 10)
    found = find_threshold(questions, COSINE, alpha=0.5)
    assert found.value == 0.5
    assert all(o.kept(COSINE, found.value) == 1 for o in questions)


@pytest.mark.parametrize("target", ["any", "all", "recall"])
def test_too_few_questions_are_refused_for_every_target(target: Target) -> None:
    for count, delta, need in [(8, None, 9), (28, 0.05, 29)]:
        with pytest.raises(TooFewQuestionsError) as caught:
            find_threshold(at_distances([0.5] * count), COSINE, alpha=0.1, delta=delta, target=target)
        assert caught.value.details["needed"] == need
        assert (
            find_threshold(at_distances([0.5] * need), COSINE, alpha=0.1, delta=delta, target=target).value
            == 0.5
        )


# --- misses ------------------------------------------------------------------------------


def test_misses_raise_the_threshold_instead_of_being_dropped() -> None:
    near = np.linspace(0.01, 0.49, 49)
    with_misses = find_threshold(at_distances([*near, *[np.inf] * 5]), COSINE, alpha=0.2)
    dropped = find_threshold(at_distances(near), COSINE, alpha=0.2)
    assert with_misses.unreachable == 5
    assert with_misses.value == pytest.approx(near[conformal_rank(54, 0.2) - 1])
    assert with_misses.value > dropped.value


def test_a_tenth_of_the_answers_outside_the_top_five_leaves_no_threshold_at_that_level() -> None:
    # The share of SQuAD's paragraphs beyond the five best under MiniLM, 10.5 %.
    questions = at_positions([(i % 5,) if i >= 105 else (7,) for i in range(1000)])
    with pytest.raises(TargetUnattainableError) as caught:
        find_threshold(questions, COSINE, alpha=0.1, cap=5)
    details = caught.value.details
    assert details["miss_rate"] == pytest.approx(0.105)
    assert details["smallest_alpha"] == pytest.approx(1 - 895 / 1001)
    assert details["smallest_cap"] == 8
    assert (details["alpha"], details["cap"], details["n"], details["unreachable"]) == (0.1, 5, 1000, 105)
    assert "10.5%" in str(caught.value)
    assert "a cap of at least 8 passages" in str(caught.value)
    assert "alpha >= 0.106" in str(caught.value)
    assert find_threshold(questions, COSINE, alpha=0.106, cap=5).value > 0


def test_without_any_reachable_passage_no_alpha_and_no_cap_is_suggested() -> None:
    with pytest.raises(TargetUnattainableError) as caught:
        find_threshold(at_distances([np.inf] * 30), COSINE, alpha=0.1, cap=1)
    assert caught.value.details["miss_rate"] == 1.0
    assert caught.value.details["smallest_alpha"] == 1.0
    assert caught.value.details["smallest_cap"] is None
    assert "alpha >=" not in str(caught.value)
    assert "a retriever that returns more results" in str(caught.value)


@examples(80)
@given(observed(), TARGETS, st.sampled_from([0.1, 0.2, 0.4]), DELTAS, st.sampled_from([None, 1, 2, 4]))
def test_what_an_unattainable_target_suggests_would_do_and_nothing_less(
    questions: list[Observation], target: Target, alpha: float, delta: float | None, cap: int | None
) -> None:
    settings_: dict[str, Any] = {"delta": delta, "target": target}
    try:
        assert np.isfinite(find_threshold(questions, COSINE, alpha=alpha, cap=cap, **settings_).value)
        return
    except TooFewQuestionsError:
        return
    except TargetUnattainableError as error:
        details = error.details

    least = details["smallest_alpha"]
    assert least > alpha
    if least < 1:
        assert np.isfinite(find_threshold(questions, COSINE, alpha=least, cap=cap, **settings_).value)
        with pytest.raises(NoValidThresholdError):
            find_threshold(questions, COSINE, alpha=least - 1e-6, cap=cap, **settings_)

    sufficient = details["smallest_cap"]
    if sufficient is not None:
        assert sufficient > cap
        assert np.isfinite(find_threshold(questions, COSINE, alpha=alpha, cap=sufficient, **settings_).value)
        with pytest.raises(TargetUnattainableError):
            find_threshold(questions, COSINE, alpha=alpha, cap=sufficient - 1, **settings_)
    else:
        with pytest.raises(TargetUnattainableError):
            find_threshold(questions, COSINE, alpha=alpha, **settings_)

    reached = [o.relevant_scores(COSINE, cap=cap) for o in questions]
    missed = {
        "any": np.mean([np.isinf(r).all() for r in reached]),
        "all": np.mean([np.isinf(r).any() for r in reached]),
        "recall": np.mean([np.isinf(r).mean() for r in reached]),
    }
    assert details["miss_rate"] == pytest.approx(missed[target])
    assert details["unreachable"] == sum(
        (np.isinf(r).all if target == "any" else np.isinf(r).any)() for r in reached
    )


# --- recall ------------------------------------------------------------------------------

STEPS = st.sampled_from([-1.0, 0.0, 0.1, 0.1 + 1e-12, 0.5, 2.0, np.inf])
RELEVANT = st.lists(st.lists(STEPS, min_size=1, max_size=4).map(np.array), min_size=1, max_size=12)


def plain_loss(relevant: list[np.ndarray], threshold: float) -> float:
    return float(np.mean([np.mean([s > threshold for s in question]) for question in relevant]))


@examples()
@given(RELEVANT, st.lists(st.floats(-3, 3), max_size=5))
def test_the_loss_is_the_mean_share_of_relevant_passages_above_the_threshold(
    relevant: list[np.ndarray], others: list[float]
) -> None:
    curve = RecallLoss(relevant)
    steps = [float(s) for question in relevant for s in question if np.isfinite(s)]
    for threshold in [*steps, *others, 1e9]:
        assert curve(threshold) == pytest.approx(plain_loss(relevant, threshold), abs=1e-12)
    assert curve.floor == pytest.approx(plain_loss(relevant, 1e9), abs=1e-12)


@examples()
@given(RELEVANT)
def test_the_loss_falls_and_is_right_continuous(relevant: list[np.ndarray]) -> None:
    curve = RecallLoss(relevant)
    steps = sorted({float(s) for question in relevant for s in question if np.isfinite(s)})
    losses = [curve(s) for s in steps]
    assert all(later <= earlier for earlier, later in pairwise(losses))
    for step in steps:
        assert curve(np.nextafter(step, np.inf)) == curve(step)
        assert curve(np.nextafter(step, -np.inf)) > curve(step)


@examples()
@given(RELEVANT, st.floats(0, 1))
def test_the_accepted_threshold_is_the_first_step_whose_loss_is_low_enough(
    relevant: list[np.ndarray], limit: float
) -> None:
    curve = RecallLoss(relevant)
    steps = sorted(float(s) for question in relevant for s in question if np.isfinite(s))
    low_enough = [s for s in steps if curve(s) <= limit]
    assert curve.accepted(lambda risk: risk <= limit) == (low_enough[0] if low_enough else None)


def test_the_first_step_is_found_among_many() -> None:
    relevant = [np.array([i / 5000]) for i in range(5000)]
    curve = RecallLoss(relevant)
    for limit in (0.9998, 0.7952, 0.5, 0.1, 0.0):
        found = curve.accepted(lambda risk, limit=limit: risk <= limit + 1e-12)
        assert found == pytest.approx(1 - limit - 1 / 5000)


def test_conformal_risk_control_is_its_inequality() -> None:
    # 20/21 r + 1/21 <= 0.1 where r <= 0.055: one miss in twenty is all that is allowed.
    assert risk_test(20, 0.1, None)(0.055)
    assert not risk_test(20, 0.1, None)(0.056)
    found = find_threshold(at_distances(np.arange(1, 21) / 100), COSINE, alpha=0.1, target="recall")
    assert found.value == pytest.approx(0.19)
    assert found.rank is None


@examples()
@given(st.integers(1, 400), st.floats(0.01, 0.99), st.floats(0, 1))
def test_the_risk_bound_is_the_better_of_hoeffding_and_bentkus(n: int, alpha: float, share: float) -> None:
    risk = share * alpha
    found = hoeffding_bentkus(risk, n, alpha)
    assert 0 <= found <= 1
    if 0 < risk < alpha:
        divergence = float(stats.entropy([risk, 1 - risk], [alpha, 1 - alpha]))
        bentkus = np.e * stats.binom.cdf(np.ceil(n * risk - 1e-9), n, alpha)
        assert found == pytest.approx(min(1, np.exp(-n * divergence), bentkus), rel=1e-6)


@examples()
@given(st.integers(1, 200), st.floats(0.01, 0.99), st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_more_risk_is_never_less_plausible(n: int, alpha: float, risks: list[float]) -> None:
    found = [hoeffding_bentkus(risk, n, alpha) for risk in sorted(risks)]
    assert all(a <= b * (1 + 1e-9) for a, b in pairwise(found))


def test_no_mean_below_one_is_evidence_for_a_mean_above_it() -> None:
    assert hoeffding_bentkus(0.99, 1, 1.0) == 0.0
    assert hoeffding_bentkus(1.0, 1, 1.0) == 1.0


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.2])
def test_the_questions_needed_suffice_when_no_passage_is_missed(alpha: float) -> None:
    for n in range(1, 60):
        delta = (1 - alpha) ** n
        assert needed_questions(alpha, delta) == n
        found = find_threshold(at_distances([0.25] * n), COSINE, alpha=alpha, delta=delta, target="recall")
        assert found.value == 0.25


def test_a_miss_counts_for_recall_by_its_share() -> None:
    questions = at_positions([(0, MISS)] * 4 + [(1, 2)] * 16)
    with pytest.raises(TargetUnattainableError) as caught:
        find_threshold(questions, RANK, alpha=0.1, target="recall")
    assert caught.value.details["miss_rate"] == pytest.approx(0.1)
    assert caught.value.details["smallest_alpha"] == pytest.approx((20 * 0.1 + 1) / 21)
    found = find_threshold(questions, RANK, alpha=0.15, target="recall")
    assert (found.value, found.unreachable) == (3.0, 4)


@pytest.mark.parametrize("name", SCORES)
def test_every_target_has_a_finite_threshold_with_every_score(name: str) -> None:
    rng = np.random.default_rng(1)
    questions = [Observation(f"q{i}", np.sort(rng.normal(size=8))[::-1], (0, 3)) for i in range(60)]
    score: Score = make_score(name)
    for target in ("any", "all", "recall"):
        for delta in (None, 0.1):
            assert np.isfinite(find_threshold(questions, score, alpha=0.2, delta=delta, target=target).value)
