from __future__ import annotations

import numpy as np
import pytest

from ragguard.errors import UnknownNameError
from ragguard.preference.simulated import SimulatedReader, preference_for, world
from ragguard.types import Passage


class ByForm:
    """Prefers one form, whatever is asked."""

    def __init__(self, sign: float) -> None:
        self.sign = sign

    def score_pairs(self, pairs: list[tuple[str, str]], /) -> np.ndarray:
        return np.array([self.sign * passage.startswith("|") for _, passage in pairs])

    def fingerprint(self) -> dict[str, str]:
        return {}


def test_a_world_is_the_same_for_the_same_seed_and_has_no_question_twice() -> None:
    facts = world(50, seed=1)
    assert facts == world(50, seed=1) != world(50, seed=2)
    assert len({fact.question for fact in facts}) == len({fact.answer for fact in facts}) == 50


def test_every_question_has_its_answer_in_prose_and_in_a_table_and_not_elsewhere() -> None:
    for fact in world(30):
        assert [fact.answer in passage.text for passage in fact.passages] == [True, True, False, False]


@pytest.mark.parametrize(("form", "other"), [("prose", "table"), ("table", "prose")])
def test_a_reader_uses_its_form_and_misreads_the_other(form: str, other: str) -> None:
    facts = world(40)
    reader = SimulatedReader(form, facts, knows=0.5)  # type: ignore[arg-type]
    for fact in facts:
        alone = fact.answer in reader(fact.question, [])
        assert fact.answer in reader(fact.question, [fact.passage(form)])  # type: ignore[arg-type]
        assert fact.answer not in reader(fact.question, [fact.passage(other)])  # type: ignore[arg-type]
        assert (fact.answer in reader(fact.question, [fact.passages[2]])) == alone
    assert reader("What else?", [Passage(id="p", text="Nothing.")]) == "I do not know."


def test_two_readers_want_opposite_orders_of_the_two_forms() -> None:
    facts = world(40)
    gains = [
        {(e.query_id, e.passage_id): e.gain for e in SimulatedReader(form, facts).examples()}
        for form in ("prose", "table")
    ]
    for fact in facts:
        prose, table = ((fact.id, fact.passage(form).id) for form in ("prose", "table"))
        assert gains[0][prose] > gains[0][table]
        assert gains[1][prose] < gains[1][table]


def test_all_four_categories_occur() -> None:
    found = {example.category for example in SimulatedReader("prose", world(40)).examples()}
    assert found == {"aligned", "unaligned", "both_correct", "both_wrong"}


def test_the_preference_of_a_scorer_is_read_off_the_two_forms() -> None:
    facts = world(10)
    assert preference_for("table", ByForm(1.0), facts) == 1.0
    assert preference_for("prose", ByForm(1.0), facts) == 0.0
    assert preference_for("prose", ByForm(0.0), facts) == 0.5


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="'verse'"):
        SimulatedReader("verse", [])  # type: ignore[arg-type]
