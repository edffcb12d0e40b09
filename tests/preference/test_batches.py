from __future__ import annotations

import numpy as np
import pytest

from ragguard.preference.bases import PairBase
from ragguard.preference.batches import rows_of, scores_of, steps_of, teaches, tensors, vectors
from ragguard.preference.groups import Group, groups_of
from ragguard.preference.recipe import Settings
from ragguard.preference.simulated import SimulatedReader, world
from tests.preference.worlds import example, tiny_base

SETTINGS = Settings(questions=4, borrowed=2)


def made(count: int = 10) -> list[Group]:
    return groups_of(SimulatedReader("prose", world(count)).examples())


def alone(groups: list[Group]) -> dict[str, str]:
    return {group.query_id: group.query_id for group in groups}


def test_an_epoch_asks_every_question_once_in_an_order_of_its_own() -> None:
    groups = made()
    first, again, second = (
        steps_of(groups, alone(groups), settings=SETTINGS, epoch=epoch) for epoch in (0, 0, 1)
    )
    assert first == again != second
    for steps in (first, second):
        own = [p for s in steps for p, m in zip(s.pairs, s.members, strict=True) if m is not None]
        assert sorted(own) == sorted((g.query, m.passage) for g in groups for m in g.members)
    assert [len(set(step.query)) for step in first] == [4, 4, 2]


def test_borrowed_passages_come_from_questions_of_other_clusters() -> None:
    groups = made(8)
    clusters = {g.query_id: f"c{i % 2}" for i, g in enumerate(groups)}
    of = {m.passage: clusters[g.query_id] for g in groups for m in g.members}
    asked = {g.query: clusters[g.query_id] for g in groups}
    count = 0
    for step in steps_of(groups, clusters, settings=SETTINGS, epoch=0):
        for (question, passage), member in zip(step.pairs, step.members, strict=True):
            if member is None:
                count += 1
                assert of[passage] != asked[question]
    assert count > 0


def test_without_the_contrastive_objective_nothing_is_borrowed() -> None:
    groups = made()
    settings = Settings(objectives=("point", "pair"))
    steps = steps_of(groups, alone(groups), settings=settings, epoch=0)
    assert all(member is not None for step in steps for member in step.members)


def test_of_many_passages_those_with_a_label_come_first() -> None:
    rows = [example("q1", f"p{i:02}", 1.0 if i == 17 else 0.0) for i in range(20)]
    (group,) = groups_of(rows)
    (step,) = steps_of([group], alone([group]), settings=Settings(passages=4), epoch=0)
    assert len(step.members) == 4
    assert any(member is not None and member.tier for member in step.members)


def test_a_question_that_says_nothing_is_not_asked() -> None:
    neutral, harmed = groups_of(
        [example("n", "a"), example("n", "b"), example("u", "a2", -1.0), example("u", "b2", -1.0)]
    )
    assert not teaches(neutral, Settings())
    assert teaches(harmed, Settings())
    assert not teaches(harmed, Settings(objectives=("pair",)))


def test_batches_have_few_shapes_and_filler_that_no_loss_sees() -> None:
    base, groups = PairBase(tiny_base()), made()
    shapes = set()
    for step in steps_of(groups, alone(groups), settings=SETTINGS, epoch=0):
        ids, mask, types = tensors(base.encode(step.pairs), pad=base.pad_id, max_tokens=base.max_tokens)
        rows = rows_of(step, count=len(ids))
        shapes.add(tuple(ids.shape))
        assert ids.shape == mask.shape == types.shape
        assert (rows.query[len(step.pairs) :] == -1).all()
        assert not rows.own[len(step.pairs) :].any()
        assert (mask.sum(dim=1) > 0).all()
    assert all(rows % 8 == 0 and (length % 32 == 0) for rows, length in shapes)


def test_a_passages_score_does_not_depend_on_its_neighbours() -> None:
    base, groups = PairBase(tiny_base()), made(6)
    together = scores_of(base, groups)
    for group, found in zip(groups, together, strict=True):
        assert scores_of(base, [group])[0] == pytest.approx(found, abs=0.05)  # bfloat16
        assert found.shape == (len(group.members),)
    assert scores_of(base, []) == []


def test_vectors_come_back_in_order() -> None:
    base = PairBase(tiny_base())
    pairs = [("Where is Ada?", "river " * n) for n in (50, 1, 90, 3)]
    found = vectors(base, pairs)
    assert found.shape == (4, 64)
    for row, pair in zip(found, pairs, strict=True):
        assert np.allclose(vectors(base, [pair])[0], row, atol=0.05)
