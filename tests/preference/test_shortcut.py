from __future__ import annotations

import numpy as np
import pytest

from ragguard.preference.groups import groups_of
from ragguard.preference.shortcut import aucs, labelled, question_scores, word_counts
from ragguard.preference.simulated import Fact, SimulatedReader, world
from tests.preference.worlds import example


def topics(facts: list[Fact], order: list[str]) -> np.ndarray:
    """One vector a question: its topic, and noise that says nothing."""
    names = sorted({fact.topic for fact in facts})
    by_id = {fact.id: fact for fact in facts}
    rng = np.random.default_rng(0)
    return np.stack(
        [np.append(np.eye(len(names))[names.index(by_id[q].topic)], rng.normal(size=5)) for q in order]
    )


def test_a_model_of_questions_alone_predicts_labels_and_orders_no_passage() -> None:
    """The reader knows some topics by itself: the label follows the question, the order does not."""
    facts = world(120, seed=2)
    groups = groups_of(SimulatedReader("prose", facts, topics=("founded", "people")).examples())
    vectors = topics(facts, [g.query_id for g in groups])
    found = question_scores(vectors[:80], groups[:80], vectors[80:])
    told = aucs([np.full(len(g.members), s) for g, s in zip(groups[80:], found, strict=True)], groups[80:])
    assert told["global_auc"] is not None
    assert told["global_auc"] > 0.95
    assert told["within_auc"] == 0.5


def test_what_the_reader_knows_by_chance_no_question_tells() -> None:
    facts = world(300, seed=3)
    groups = groups_of(SimulatedReader("prose", facts, knows=0.5).examples())
    vectors = topics(facts, [g.query_id for g in groups])
    found = question_scores(vectors[:150], groups[:150], vectors[150:])
    told = aucs([np.full(len(g.members), s) for g, s in zip(groups[150:], found, strict=True)], groups[150:])
    assert told["global_auc"] == pytest.approx(0.5, abs=0.15)


def test_an_oracle_of_gains_has_every_pair_right() -> None:
    groups = groups_of(SimulatedReader("table", world(20)).examples())
    assert aucs([g.gains for g in groups], groups)["within_auc"] == 1.0


def test_labels_are_those_of_aligned_and_unaligned_passages() -> None:
    groups = groups_of([example("q1", "a", 1.0), example("q1", "b"), example("q2", "c", -0.5)])
    places, ups = labelled(groups)
    assert (places.tolist(), ups.tolist()) == ([0, 1], [True, False])


def test_with_one_label_only_nothing_is_claimed() -> None:
    groups = groups_of([example("q1", "a", 1.0), example("q2", "b", 1.0)])
    assert question_scores(np.ones((2, 3)), groups, np.ones((4, 3))).tolist() == [0.0] * 4
    assert aucs([np.zeros(1), np.zeros(1)], groups) == {"global_auc": None, "within_auc": None}


def test_words_are_counted_alike_in_every_run_and_case() -> None:
    found = word_counts(["Where is Ada?", "where is ada", "Is Ada where?", "Who?"])
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()
    assert found.sum(axis=1).tolist() == [3.0, 3.0, 3.0, 1.0]
