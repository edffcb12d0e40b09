from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.conformal.calibrate import Settings, calibrate
from ragguard.conformal.observations import Observation
from ragguard.conformal.scores import DEFAULT_TEMPERATURE
from ragguard.conformal.tuning import MINIMUM_QUESTIONS, choose, split
from tests.conformal.populations import MISS, at_distances, examples, searched

RNG = np.random.default_rng


def made_by(
    question: Callable[[np.random.Generator], tuple[list[float], int]], count: int = 90
) -> list[Observation]:
    rng, found = RNG(7), []
    for i in range(count):
        similarities, position = question(rng)
        found.append(Observation(f"q{i}", np.array(similarities), (position,)))
    return found


def test_below_fifty_questions_nothing_is_tuned() -> None:
    made = calibrate(searched(MINIMUM_QUESTIONS - 1, RNG(0)), Settings())
    assert made.artifact.parameters == {"temperature": DEFAULT_TEMPERATURE} == {"temperature": 0.03}
    assert (made.artifact.n, made.artifact.n_tuning) == (49, 0)


def test_from_fifty_questions_a_fifth_is_tuned_on_and_not_calibrated_on() -> None:
    made = calibrate(searched(MINIMUM_QUESTIONS, RNG(0)), Settings())
    assert (made.artifact.n, made.artifact.n_tuning) == (40, 10)
    assert made.artifact.categories[""].n == len(made.arrays["tops"]) == 40


@pytest.mark.parametrize(
    "settings",
    [Settings(temperature=0.1), Settings(score="gap"), Settings(tune_share=0.0), Settings(score="rank")],
)
def test_with_nothing_to_choose_every_question_calibrates(settings: Settings) -> None:
    made = calibrate(searched(100, RNG(0)), settings)
    assert (made.artifact.n, made.artifact.n_tuning) == (100, 0)


def test_tuning_never_costs_the_threshold_itself() -> None:
    made = calibrate(searched(60, RNG(0)), Settings(alpha=0.05, delta=0.05))
    assert (made.artifact.n, made.artifact.n_tuning) == (60, 0)


@examples()
@given(
    st.lists(st.sampled_from([None, "", "a", "b", "c", "d"]), min_size=1, max_size=80),
    st.floats(0, 0.5),
    st.integers(0, 99),
)
def test_the_parts_are_disjoint_and_clusters_stay_together(
    clusters: list[str | None], share: float, seed: int
) -> None:
    questions = [replace(o, cluster=clusters[i]) for i, o in enumerate(at_distances([0.5] * len(clusters)))]
    tuning, rest = split(questions, share, RNG(seed))
    assert sorted(o.id for o in [*tuning, *rest]) == sorted(o.id for o in questions)
    assert {o.cluster for o in tuning if o.cluster} & {o.cluster for o in rest if o.cluster} == set()
    assert len(tuning) <= round(share * len(questions))


def test_without_clusters_the_share_is_met_exactly() -> None:
    tuning, rest = split(at_distances([0.5] * 100), 0.2, RNG(0))
    assert (len(tuning), len(rest)) == (20, 80)


def test_the_split_depends_on_the_seed_and_on_nothing_else() -> None:
    questions = searched(100, RNG(1))
    first, again, other = (
        split(q, 0.2, RNG(s))[0] for q, s in [(questions, 5), (questions[::-1], 5), (questions, 6)]
    )
    assert {o.id for o in first} == {o.id for o in again} != {o.id for o in other}


def test_calibrating_twice_gives_the_same_calibration() -> None:
    questions = searched(120, RNG(2))
    first, second = (calibrate(questions, Settings(score="auto", seed=3)).artifact for _ in range(2))
    assert (first.score, first.parameters, first.categories) == (
        second.score,
        second.parameters,
        second.categories,
    )


def test_a_chosen_temperature_costs_no_more_than_the_default_on_the_share_it_was_chosen_on() -> None:
    choices = choose(searched(60, RNG(3)), "softmax", alpha=0.1)
    default = next(c for c in choices if c.score.parameters["temperature"] == DEFAULT_TEMPERATURE)
    assert choices[0].mean_passages <= default.mean_passages
    assert [c.mean_passages for c in choices] == sorted(c.mean_passages for c in choices)


def test_equal_cost_keeps_the_default_temperature() -> None:
    questions = [Observation(f"q{i}", np.array([0.5]), (0,)) for i in range(60)]
    assert choose(questions, "softmax", alpha=0.1)[0].score.parameters == {"temperature": DEFAULT_TEMPERATURE}


def test_a_target_out_of_reach_keeps_the_default_temperature() -> None:
    questions = [Observation(f"q{i}", np.array([0.5, 0.4]), (MISS,)) for i in range(60)]
    best = choose(questions, "auto", alpha=0.1)[0]
    assert (best.score.parameters, best.mean_passages) == ({"temperature": DEFAULT_TEMPERATURE}, float("inf"))


def test_a_score_with_nothing_to_choose_is_its_own_only_candidate() -> None:
    assert [c.score.name for c in choose(searched(60, RNG(3)), "gap", alpha=0.1)] == ["gap"]


@pytest.mark.parametrize("unit", [1.0, 100.0, 0.01])
def test_temperatures_follow_the_scale_of_the_retrievers_scores(unit: float) -> None:
    questions = [replace(o, similarities=o.similarities * unit) for o in searched(80, RNG(4))]
    best, reference = (choose(q, "softmax", alpha=0.1)[0] for q in (questions, searched(80, RNG(4))))
    assert best.mean_passages <= reference.mean_passages * 1.2


# Each population is one where this score separates the needed passage exactly and no other does.


def absolute(rng: np.random.Generator) -> tuple[list[float], int]:
    """Needed: the last passage above 0.8; how many are above, and how far, varies."""
    position = int(rng.integers(0, 6))
    above = np.sort(rng.uniform(0.8, 1.0, position + 1))[::-1]
    return [*above, *np.sort(rng.uniform(0.5, 0.79999, 8))[::-1]], position


def within_a_gap(rng: np.random.Generator) -> tuple[list[float], int]:
    """Needed: the last passage within 0.1 of the best, which is anywhere."""
    best, position = rng.uniform(0.3, 0.95), int(rng.integers(1, 9))
    close = np.sort(best - rng.uniform(0.0, 0.1, position))[::-1]
    close[-1] = best - 0.0999
    return [best, *close, *np.sort(best - rng.uniform(0.1001, 0.12, 8))[::-1]], position


def within_a_ratio(rng: np.random.Generator) -> tuple[list[float], int]:
    """Needed: the last passage with at least 70 % of the best similarity, which is anywhere."""
    best, position = rng.uniform(0.1, 0.95), int(rng.integers(1, 6))
    close = np.sort(best * rng.uniform(0.7, 1.0, position))[::-1]
    return [best, *close, *np.sort(best * rng.uniform(0.5, 0.69999, 8))[::-1]], position


def second(rng: np.random.Generator) -> tuple[list[float], int]:
    """Needed: the second passage, whatever the similarities."""
    steps = rng.uniform(0.001, 0.3, 10) * rng.choice([0.001, 1.0], 10)
    return list(1.0 - np.cumsum(steps)), 1


def one_or_crowd(rng: np.random.Generator) -> tuple[list[float], int]:
    """Needed: the best where it stands out, the fourth where six are close."""
    if rng.random() < 0.5:
        return [0.9, *[0.9 - rng.uniform(0.12, 0.16)] * 1, *np.sort(rng.uniform(0.5, 0.7, 8))[::-1]], 0
    crowd = 0.8 - np.sort(rng.uniform(0.0, 0.05, 5))
    return [0.8, *crowd, *np.sort(rng.uniform(0.3, 0.5, 4))[::-1]], 5


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("cosine", absolute),
        ("gap", within_a_gap),
        ("ratio", within_a_ratio),
        ("rank", second),
        ("softmax", one_or_crowd),
    ],
)
def test_auto_chooses_the_score_that_separates_best(
    name: str, question: Callable[[np.random.Generator], tuple[list[float], int]]
) -> None:
    questions = made_by(question)
    assert choose(questions, "auto", alpha=0.1)[0].score.name == name
    assert calibrate(questions, Settings(score="auto")).artifact.score == name
