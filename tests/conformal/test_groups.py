from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.conformal.calibrate import Settings, calibrate
from ragguard.conformal.groups import REST, WHOLE, categorise
from ragguard.conformal.observations import Observation
from ragguard.conformal.scores import make_score
from ragguard.conformal.thresholds import find_threshold
from ragguard.errors import TargetUnattainableError, TooFewQuestionsError
from tests.conformal.populations import MISS, at_distances, examples

PLAIN = Settings(alpha=0.1, score="cosine", grouped=True)


def grouped(sizes: dict[str | None, tuple[int, float]], seed: int = 0) -> list[Observation]:
    """So many questions a group, at uniform distances up to the group's own farthest."""
    rng = np.random.default_rng(seed)
    return [
        o
        for group, (count, farthest) in sizes.items()
        for o in at_distances(rng.random(count) * farthest, group=group)
    ]


def test_small_groups_share_the_rest_and_large_ones_stand_alone() -> None:
    found = categorise(["a"] * 9 + ["b"] * 8 + ["c"] * 5 + [None] * 2, needed=9)
    assert found.assigned == {"a": "a", "b": REST, "c": REST, REST: REST}
    assert found.sizes == {"a": 9, REST: 15}
    assert found.merged == ["b", "c"]


@examples()
@given(
    st.lists(st.sampled_from([None, "", "a", "b", "c", REST]), min_size=1, max_size=80), st.integers(1, 20)
)
def test_every_category_is_large_enough_or_none_is_made(groups: list[str | None], needed: int) -> None:
    counts = Counter(g or REST for g in groups)
    rest = sum(n for g, n in counts.items() if n < needed or g == REST)
    if 0 < rest < needed:
        with pytest.raises(TooFewQuestionsError) as caught:
            categorise(groups, needed)
        assert caught.value.details["n"] == rest == sum(caught.value.details["groups"].values())
        return
    found = categorise(groups, needed)
    assert sum(found.sizes.values()) == len(groups)
    assert all(n >= needed for n in found.sizes.values())
    assert set(found.assigned) == {g or REST for g in groups}


def test_a_rest_too_small_for_a_threshold_is_an_error_that_names_its_groups() -> None:
    with pytest.raises(TooFewQuestionsError) as caught:
        calibrate(grouped({"a": (30, 1.0), "b": (3, 1.0), "c": (2, 1.0)}), PLAIN)
    assert caught.value.details == {"n": 5, "needed": 9, "groups": {"b": 3, "c": 2}}


def test_each_category_has_the_threshold_of_its_own_questions() -> None:
    questions = grouped({"a": (40, 0.2), "b": (60, 1.0), "c": (5, 0.5), "d": (6, 0.7)})
    made = calibrate(questions, PLAIN)
    parts = {"a": ["a"], "b": ["b"], REST: ["c", "d"]}
    assert set(made.artifact.categories) == set(parts)
    for category, members in parts.items():
        own = [o for o in questions if o.group in members]
        expected = find_threshold(own, make_score("cosine"), alpha=0.1)
        entry = made.artifact.categories[category]
        assert (entry.threshold, entry.n, entry.rank) == (expected.value, len(own), expected.rank)
        assert list(entry.members) == members
        assert all(made.category(group) == category for group in members)
    pooled = find_threshold(questions, make_score("cosine"), alpha=0.1).value
    assert pooled not in [made.threshold(c) for c in parts]


def test_a_group_not_calibrated_has_no_category() -> None:
    made = calibrate(grouped({"a": (40, 0.2), "b": (40, 1.0)}), PLAIN)
    assert made.grouped
    assert made.category("z") is None
    assert made.category(None) is None
    assert made.category("") is None


def test_a_question_without_a_group_uses_the_rest_where_such_were_calibrated() -> None:
    made = calibrate(grouped({"a": (40, 0.2), None: (12, 1.0)}), PLAIN)
    assert made.category(None) == made.category("") == REST


def test_an_empty_group_name_takes_nobody_elses_threshold() -> None:
    made = calibrate(grouped({"": (40, 0.2), "b": (40, 1.0)}), PLAIN)
    assert WHOLE not in made.artifact.categories
    assert made.threshold(str(made.category("b"))) > 0.5 > made.threshold(str(made.category("")))


def test_without_groups_there_is_one_category_whatever_the_question_says() -> None:
    made = calibrate(grouped({"a": (40, 0.2), "b": (3, 1.0)}), Settings(score="cosine"))
    assert not made.grouped
    assert made.category("a") == made.category("unheard of") == made.category(None) == WHOLE


def test_a_group_out_of_reach_is_named() -> None:
    lost = [Observation(f"l{i}", np.array([0.5]), (MISS,), group="b") for i in range(20)]
    with pytest.raises(TargetUnattainableError, match="group 'b'") as caught:
        calibrate([*grouped({"a": (40, 0.2)}), *lost], PLAIN)
    assert caught.value.details["group"] == "b"
    assert caught.value.details["miss_rate"] == 1.0
