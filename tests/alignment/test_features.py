"""The vector that the combiner reads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.alignment.checks import FEATURES, compare
from ragguard.alignment.checks.overlap import OVERLAP
from ragguard.alignment.features import BACKED, MODEL_FEATURES, NAMES, feature_vector
from ragguard.alignment.observation import Observation

CHECKS = compare("The old bridge opened in 1978.", "The bridge opened in 1978.").features


def seen(
    entailed: list[float], contradicted: list[float], *, chunks: int, joined: bool, rivals: int = 1
) -> Observation:
    values = np.array(entailed, dtype=np.float32)
    return Observation(
        values,
        values + 1,
        np.array(contradicted, dtype=np.float32),
        chunks=chunks,
        rivals=rivals,
        joined=joined,
    )


def named(observation: Observation) -> dict[str, float]:
    return dict(zip(NAMES, feature_vector(observation, CHECKS).tolist(), strict=True))


def test_names_are_those_of_the_model_and_of_the_checks_once_each() -> None:
    assert (*MODEL_FEATURES, *BACKED, *FEATURES) == NAMES
    assert len(set(NAMES)) == len(NAMES)


def test_each_feature_reads_its_own_place() -> None:
    found = named(seen([1, 3, 2, 0, 5], [9, 7, 6, 4, 2], chunks=2, joined=True, rivals=4))
    assert (found["chunk_entailed"], found["chunk_aligned"], found["chunk_uncontradicted"]) == (3, 4, -7)
    assert (found["together_entailed"], found["together_aligned"]) == (2, 3)
    assert found["together_uncontradicted"] == -6
    assert (found["sentence_entailed"], found["sentence_aligned"]) == (5, 6)
    assert found["sentence_uncontradicted"] == -4, "of the sentence nearest by words"
    assert found["few_rivals"] == pytest.approx(-np.log(4))
    assert {name: found[name] for name in FEATURES} == dict(CHECKS)


def test_likeness_counts_as_far_as_the_model_backs_it() -> None:
    found = named(seen([1, 3, 2, 0, 5], [9, 7, 6, 4, 2], chunks=2, joined=True))
    for name, likeness in BACKED.items():
        assert found[name] == pytest.approx(CHECKS[likeness] / (1 + np.exp(-found["chunk_aligned"])))


def test_likeness_of_words_counts_for_nothing_where_a_check_found_a_conflict() -> None:
    opposed = {**dict.fromkeys(FEATURES, 1.0), "no_conflict": 0.5}
    vector = feature_vector(seen([1, 3, 2], [0, 0, 0], chunks=2, joined=True), opposed)
    found = dict(zip(NAMES, vector.tolist(), strict=True))
    assert all(found[name] == 0.0 for name in (*OVERLAP, *BACKED))
    assert found["number_holds"] == 1.0


def test_without_sentences_the_best_chunk_stands_for_them() -> None:
    found = named(seen([1, 3], [0, 7], chunks=2, joined=False))
    assert found["together_entailed"] == found["sentence_entailed"] == 3
    assert found["together_uncontradicted"] == found["sentence_uncontradicted"] == -7


@given(
    st.lists(st.floats(-12, 12, width=32), min_size=5, max_size=5),
    st.integers(0, 4),
    st.floats(0, 6, width=32),
)
def test_more_support_never_lowers_a_feature_of_support(values: list[float], place: int, more: float) -> None:
    higher = [v + more * (i == place) for i, v in enumerate(values)]
    before, after = (named(seen(v, [0.0] * 5, chunks=2, joined=True)) for v in (values, higher))
    assert all(after[name] >= before[name] for name in NAMES)
