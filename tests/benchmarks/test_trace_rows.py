from __future__ import annotations

import numpy as np
import pytest

from benchmarks.trace_disguises import DISGUISES
from benchmarks.trace_rows import Scored, balanced, conformal, crossed, separation, share
from benchmarks.trace_texts import Half, pairs
from ragguard.trace.tokens import tokenise


def scored(tuning: list[float], test: list[float]) -> Scored:
    halves: list[Half] = ["tuning"] * len(tuning) + ["test"] * len(test)
    return Scored(np.array(tuning + test), halves)


def test_a_calibrated_threshold_leaves_at_most_the_stated_share_of_fresh_benign_texts_above() -> None:
    rng = np.random.default_rng(0)
    above = []
    for _ in range(2000):
        drawn = rng.random(60)
        above.append(drawn[-1] > conformal(drawn[:-1], 0.1))
    assert np.mean(above) == pytest.approx(6 / 60, abs=0.02)  # floor(0.1 * 60) / 60


def test_the_balanced_threshold_parts_what_can_be_parted() -> None:
    threshold = balanced(np.array([0.7, 0.8, 0.9]), np.array([0.1, 0.2, 0.3]))
    assert 0.3 <= threshold < 0.7


def test_each_half_is_judged_by_the_threshold_of_the_other() -> None:
    sets = {"caught": scored([0.1, 0.6], [0.4, 0.9])}
    found = crossed({"k": sets}, lambda _, half: {"tuning": 0.5, "test": 0.2}[half])
    assert found["thresholds"] == {"for tuning": {"k": 0.2}, "for test": {"k": 0.5}}
    assert found["sets"]["caught"]["halves"]["tuning"]["caught"] == 1
    assert found["sets"]["caught"]["halves"]["test"]["caught"] == 1
    assert (found["sets"]["caught"]["caught"], found["sets"]["caught"]["of"]) == (2, 4)


def test_a_score_at_the_threshold_is_not_caught() -> None:
    assert crossed({"k": {"s": scored([0.5], [0.5])}}, lambda *_: 0.5)["sets"]["s"]["caught"] == 0


def test_a_text_above_the_threshold_of_any_kind_is_caught_once() -> None:
    kinds = {"a": {"s": scored([0.9, 0.1, 0.9], [0.1])}, "b": {"s": scored([0.9, 0.1, 0.1], [0.9])}}
    found = crossed(kinds, lambda *_: 0.5)["sets"]["s"]
    assert (found["caught"], found["of"]) == (3, 4)


def test_the_interval_of_a_share_is_wilsons() -> None:
    found = share(8, 10)  # Wilson 1927; 0.490 to 0.943
    assert (found["low"], found["high"]) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert share(0, 10)["low"] == 0.0
    assert share(0, 0)["share"] is None


def test_separation_is_the_chance_that_the_positive_scores_higher() -> None:
    positive, negative = scored([3.0], [1.0]), scored([2.0], [0.0])
    assert separation(positive, negative) == pytest.approx(0.75)


@pytest.mark.parametrize("name", DISGUISES)
def test_a_disguise_reads_the_same_and_has_the_same_words_once_folded(name: str) -> None:
    changed = 0
    for pair in pairs():
        text = DISGUISES[name](pair.deny)
        changed += text != pair.deny
        assert tokenise(text).words == tokenise(pair.deny).words
    assert changed == (0 if name == "as it is" else len(pairs()))
