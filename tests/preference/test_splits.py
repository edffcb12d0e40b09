from __future__ import annotations

import random

import pytest

from ragguard.errors import PreferenceSetError, SplitLeakageError
from ragguard.preference.groups import Group, groups_of
from ragguard.preference.simulated import SimulatedReader, world
from ragguard.preference.splits import clusters_of, foreign_groups, split
from tests.preference.worlds import example


def asked(*questions: str, **changed: object) -> list[Group]:
    return groups_of(
        [example(f"q{i}", query=q, query_id=f"q{i}", **changed) for i, q in enumerate(questions)]
    )


def made(count: int = 60) -> list[Group]:
    return groups_of(SimulatedReader("prose", world(count)).examples())


def test_near_duplicates_share_a_cluster_and_others_do_not() -> None:
    groups = asked(
        "When was the stone bridge over the Ilm rebuilt after the flood?",
        "After the flood, when was the bridge of stone over the Ilm rebuilt?",
        "When was the stone bridge over the Ilm rebuilt after floods?",
        "Who rebuilt the railway station of Weimar?",
    )
    found = clusters_of(groups)
    assert found["q0"] == found["q1"] == found["q2"] != found["q3"]


def test_the_search_for_near_duplicates_misses_none() -> None:
    """Against comparing every pair: questions of random words, half of them changed a little."""
    rng = random.Random(0)
    words = [f"word{i}" for i in range(40)]
    texts = [" ".join(rng.sample(words, 10)) for _ in range(40)]
    texts += [text.rsplit(" ", 1)[0] for text in texts[:20]]
    groups = asked(*texts)
    found = clusters_of(groups)
    for i, left in enumerate(texts):
        for j, right in enumerate(texts[:i]):
            a, b = set(left.split()), set(right.split())
            if len(a & b) >= 0.8 * len(a | b):
                assert found[f"q{i}"] == found[f"q{j}"]


def test_augmentations_stay_with_their_source_by_cluster_or_by_its_id() -> None:
    rows = [
        example("source", query="What is the height of the tower?", query_id="source"),
        example("aug1", query="SELECT ?h WHERE {}", query_id="aug1", cluster="source"),
        example("x", query="Quite different words here", query_id="x", cluster="article"),
        example("y", query="Nothing in common at all", query_id="y", cluster="article"),
    ]
    found = clusters_of(groups_of(rows))
    assert found["source"] == found["aug1"]
    assert found["x"] == found["y"] != found["source"]


def test_questions_without_content_words_are_told_apart() -> None:
    found = clusters_of(asked("Who is it?", "Where is it?", "who is it?"))
    assert found["q0"] == found["q2"] != found["q1"]


def test_no_cluster_is_torn_apart_and_shares_are_met() -> None:
    groups = [Group(g.query_id, g.query, g.members, cluster=f"c{i // 3}") for i, g in enumerate(made())]
    parts = split(groups, seed=4)
    where = {
        parts.clusters[g.query_id]: name
        for name in ("train", "validation", "test")
        for g in getattr(parts, name)
    }
    for name in ("train", "validation", "test"):
        assert all(where[parts.clusters[g.query_id]] == name for g in getattr(parts, name))
    assert [len(parts.train), len(parts.validation), len(parts.test)] == pytest.approx([30, 12, 18], abs=3)


def test_neither_the_order_nor_a_rerun_changes_the_split() -> None:
    groups = made()
    again = split(list(reversed(groups)), seed=1)
    first = split(groups, seed=1)
    assert {g.query_id for g in first.test} == {g.query_id for g in again.test}
    assert {g.query_id for g in first.test} != {g.query_id for g in split(groups, seed=2).test}


def test_declared_splits_that_tear_a_cluster_apart_are_refused() -> None:
    question = "When was the stone bridge over the Ilm rebuilt?"
    rows = [
        example("a", query=question, query_id="a", split="train"),
        example("b", query=question.lower(), query_id="b", split="held_out"),
        example("c", query="Who sells lamps in Oslo?", query_id="c", split="train"),
    ]
    with pytest.raises(SplitLeakageError, match=r"1 clusters .* those of a") as caught:
        split(groups_of(rows))
    assert caught.value.details == {"clusters": ["a"]}


def test_declared_splits_are_kept_and_a_validation_split_is_drawn_from_training() -> None:
    groups = [
        Group(g.query_id, g.query, g.members, split="held_out" if i % 3 == 0 else "train")
        for i, g in enumerate(made())
    ]
    parts = split(groups)
    assert {g.query_id for g in parts.test} == {g.query_id for i, g in enumerate(groups) if i % 3 == 0}
    assert len(parts.validation) == pytest.approx(8, abs=1)
    assert parts.report["declared"] is True


def test_unknown_and_partial_splits_are_refused() -> None:
    with pytest.raises(PreferenceSetError, match="has the split 'later'"):
        split(asked("One question?", split="later"))
    groups = made(6)
    some = [Group(g.query_id, g.query, g.members, split="train" if i else None) for i, g in enumerate(groups)]
    with pytest.raises(PreferenceSetError, match="1 of 6 questions have no split"):
        split(some)


def test_too_few_clusters_to_split_are_refused_with_their_number() -> None:
    groups = [Group(g.query_id, g.query, g.members, cluster="one article") for g in made(10)]
    with pytest.raises(
        PreferenceSetError, match="10 questions in 1 clusters leave validation and test empty"
    ):
        split(groups)


def test_passages_that_are_in_training_and_test_are_counted() -> None:
    everywhere = example("q1", "shared").passage
    rows = [
        example(f"q{i}", p, query=f"word{i} other{i} third{i}", query_id=f"q{i}", **extra)
        for i in range(20)
        for p, extra in (("shared", {"passage": everywhere}), (f"own{i}", {}))
    ]
    report = split(groups_of(rows)).report
    assert report["test_passages_also_trained_on"] == 1
    assert report["test_passages"] == 7


def test_passages_of_another_question_are_reported() -> None:
    rows = [
        example(
            "eagles",
            query="When did the Eagles play the Superbowl?",
            query_id="eagles",
            passage_id=f"m{i}",
            passage=f"A pacemaker of kind {i} is placed under the skin.",
        )
        for i in range(3)
    ]
    rows += [example("bridge", p) for p in ("bridge", "mill")]
    assert foreign_groups(groups_of(rows)) == ["eagles"]


def test_a_group_that_helped_the_reader_is_no_stranger() -> None:
    rows = [example("eagles", query="Quand jouent les aigles?", query_id="eagles", gain=1.0), example("q2")]
    assert "eagles" not in foreign_groups(groups_of(rows))
