from __future__ import annotations

import random

import pytest

from ragguard.errors import InvalidValueError, PreferenceSetError, UnknownNameError
from ragguard.preference.groups import groups_of
from tests.preference.worlds import example


def test_a_question_and_its_passages_become_one_group_in_the_retrievers_order() -> None:
    rows = [example("q1", "c", rank=50), example("q1", "a"), example("q1", "b", rank=1, gain=1.0)]
    (group,) = groups_of(rows)
    assert [m.passage_id for m in group.members] == ["b", "c", "a"]
    assert group.gains.tolist() == [1.0, 0.0, 0.0]
    assert group.informative()


def test_the_neutral_tier_stays() -> None:
    (group,) = groups_of(
        [example("q1", "a", gain=1.0), example("q1", "b"), example("q1", "c", category="both_correct")]
    )
    assert [m.tier for m in group.members] == [1, 0, 0]


def test_the_order_of_the_examples_changes_nothing() -> None:
    rows = [example(q, p, g) for q in ("q1", "q2") for p, g in (("a", 1.0), ("b", 0.0), ("c", 0.0))]
    mixed = rows.copy()
    random.Random(3).shuffle(mixed)
    assert groups_of(mixed) == groups_of(rows)


def test_repeated_measurements_are_averaged_by_their_samples() -> None:
    (group,) = groups_of([example(gain=1.0, n=3), example(gain=0.0, n=1), example("q1", "b")])
    assert group.members[1].gain == pytest.approx(0.75)
    assert group.members[1].tier == 1


def test_a_passage_both_aligned_and_unaligned_is_an_error_that_names_the_question() -> None:
    rows = [example(gain=1.0), example(gain=-1.0), example("q2")]
    with pytest.raises(PreferenceSetError, match="both aligned and unaligned for 1 questions: q1") as caught:
        groups_of(rows)
    assert caught.value.details == {"query_id": ["q1"]}


def test_so_is_one_indexed_under_two_ids() -> None:
    same = {"passage": "The bridge is  near the river."}
    twin = {"passage": "The bridge is near the river."}
    with pytest.raises(PreferenceSetError, match="both aligned and unaligned"):
        groups_of([example("q1", "a", gain=1.0, **same), example("q1", "b", gain=-1.0, **twin)])


def test_rows_of_another_question_under_one_id_are_an_error() -> None:
    with pytest.raises(PreferenceSetError, match="1 question ids stand for several texts: q1"):
        groups_of([example(), example("q1", "b", query="What do pacemakers cost?", query_id="q1")])


def test_one_passage_id_with_two_texts_is_an_error() -> None:
    with pytest.raises(PreferenceSetError, match="1 passage ids stand for several texts: p1"):
        groups_of([example(), example("q2", "p1", passage_id="p1", passage="Something else.")])


def test_no_message_quotes_a_question_or_passage() -> None:
    rows = [example(gain=1.0), example(gain=-1.0)]
    with pytest.raises(PreferenceSetError) as caught:
        groups_of(rows)
    assert rows[0].query not in str(caught.value)
    assert rows[0].passage not in str(caught.value)


def test_readers_are_never_mixed_unasked() -> None:
    rows = [example(gain=1.0), example("q2", reader="reader-b")]
    with pytest.raises(InvalidValueError, match="2 readers"):
        groups_of(rows)
    assert [g.query_id for g in groups_of(rows, reader="reader-b")] == ["q2"]
    with pytest.raises(UnknownNameError, match="reader-c"):
        groups_of(rows, reader="reader-c")


def test_no_example_is_an_error() -> None:
    with pytest.raises(PreferenceSetError, match="no preference"):
        groups_of([])


def test_one_question_in_two_declared_splits_is_an_error() -> None:
    with pytest.raises(PreferenceSetError, match="'q1' has 2 different values of `split`"):
        groups_of([example(split="train"), example("q1", "b", split="test")])
