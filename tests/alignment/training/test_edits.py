from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.alignment.training.edits import (
    RULES,
    Surroundings,
    add_detail,
    change_name,
    change_near_word,
    change_number,
    change_word,
    edit,
    move_detail,
    names_of,
    negate,
    swap_roles,
)
from ragguard.alignment.training.examples import CONTRADICTED, NEUTRAL
from ragguard.alignment.training.vocabulary import NEIGHBOURS, OPPOSITES

PASSAGE = (
    "In 1978 the firm Acme was founded by Ada Lovett in Oslo. Rex Harding bought it in 1987 for 2,500 dollars. "
    "The company is larger than Dino and sells bicycles in Berlin."
)
AROUND = Surroundings(
    PASSAGE, names=("Zanzibar", "Quentin"), near=lambda word: ("candles",) if word == "bicycles" else ()
)
seeds = st.integers(0, 10_000).map(random.Random)
SENTENCES = [
    "The firm Acme was founded by Ada Lovett in Oslo.",
    "Rex Harding bought it in 1987 for 2,500 dollars.",
    "The company is larger than Dino and sells bicycles in Berlin.",
    "It is not known when Ada Lovett met Rex Harding.",
]


@given(seeds)
def test_a_changed_number_is_another_number_written_alike(rng: random.Random) -> None:
    old = "Rex paid 2,500 dollars for 3.5 acres in 1987."
    found = change_number(old, AROUND, rng)
    assert found is not None
    ((before, after),) = found.exchanges
    assert float(before.replace(",", "")) != float(after.replace(",", ""))
    assert found.text == re.sub(rf"(?<![\d.,]){re.escape(before)}(?![\d,])", after, old)
    assert found.label == CONTRADICTED
    assert ("," in after) or float(after.replace(",", "")) < 5000
    assert after.replace(",", "").replace(".", "").isdigit()


@given(seeds)
def test_a_changed_year_stays_a_year(rng: random.Random) -> None:
    found = change_number("Rex left in 1987.", Surroundings("Rex left in 1987."), rng)
    assert found is not None
    assert abs(int(found.exchanges[0][1]) - 1987) <= 31


@given(seeds)
def test_a_changed_name_is_of_the_passage_or_from_elsewhere(rng: random.Random) -> None:
    found = change_name(SENTENCES[0], AROUND, rng)
    assert found is not None
    ((old, new),) = found.exchanges
    assert old in SENTENCES[0]
    assert new in {*names_of(PASSAGE), *AROUND.names}
    assert new not in SENTENCES[0]
    assert found.text == SENTENCES[0].replace(old, new)


def test_names_are_those_inside_sentences() -> None:
    assert names_of("Paris is large. The Acme of Oslo met Ada Lovett.") == ["Acme of Oslo", "Ada Lovett"]


@given(seeds)
def test_roles_change_places_and_no_word_is_lost(rng: random.Random) -> None:
    sentence = "Rex Harding bought the firm from Ada Lovett."
    found = swap_roles(sentence, AROUND, rng)
    assert found is not None
    assert found.text == "Ada Lovett bought the firm from Rex Harding."


def test_names_that_are_only_listed_have_no_roles() -> None:
    assert swap_roles("Ada Lovett, Rex Harding and Dino left.", AROUND, random.Random(0)) is None


@given(seeds)
def test_a_negation_is_put_in_or_taken_out(rng: random.Random) -> None:
    put_in = negate("Acme was founded in Oslo.", AROUND, rng)
    assert put_in is not None
    assert re.fullmatch(r"Acme was(?: not| never|n't) founded in Oslo\.", put_in.text)
    taken = negate("Acme was not founded in Oslo.", AROUND, rng)
    assert taken is not None
    assert taken.text == "Acme was founded in Oslo."


@given(seeds)
def test_a_word_of_a_table_keeps_its_capital(rng: random.Random) -> None:
    found = change_word(OPPOSITES, "opposite")("Before it fell, it rose.", AROUND, rng)
    assert found is not None
    ((old, new),) = found.exchanges
    assert new.lower() in OPPOSITES[old.lower()]
    assert old[0].isupper() == new[0].isupper()
    assert found.text == "Before it fell, it rose.".replace(old, new)


def test_tables_offer_other_words_only() -> None:
    for table in (OPPOSITES, NEIGHBOURS):
        assert all(word not in others and others for word, others in table.items())


@given(seeds)
def test_an_added_detail_is_neutral_and_not_of_the_passage(rng: random.Random) -> None:
    found = add_detail(SENTENCES[0], AROUND, rng)
    if found is None:  # the year drawn is one of the passage's
        return
    assert (found.label, found.exchanges) == (NEUTRAL, ())
    assert found.text.startswith(SENTENCES[0][:-1])
    assert found.text[len(SENTENCES[0]) - 1 : -1] not in PASSAGE


@given(seeds)
def test_a_moved_detail_comes_from_the_passage(rng: random.Random) -> None:
    found = move_detail("The company sells bicycles in Berlin.", AROUND, rng)
    assert found is not None
    ((old, new),) = found.exchanges
    assert old == " in Berlin"
    assert new in PASSAGE
    assert found.label == NEUTRAL


def test_a_near_word_is_one_the_model_names() -> None:
    found = change_near_word("It sells bicycles.", AROUND, random.Random(0))
    assert found is not None
    assert (found.text, found.exchanges) == ("It sells candles.", (("bicycles", "candles"),))
    assert change_near_word("It sells bicycles.", Surroundings(PASSAGE), random.Random(0)) is None


@given(seeds, st.sampled_from(SENTENCES))
def test_an_edit_is_another_sentence_with_a_label_and_a_rule(rng: random.Random, sentence: str) -> None:
    found = edit(sentence, AROUND, rng)
    assert found is not None
    assert found.text != sentence
    assert found.label in (NEUTRAL, CONTRADICTED)
    assert found.rule
    for old, new in found.exchanges:
        assert old in sentence
        assert new in found.text


def test_every_rule_is_drawn() -> None:
    drawn = {edit(s, AROUND, random.Random(i)).rule for i in range(300) for s in SENTENCES}  # type: ignore[union-attr]
    assert drawn >= {
        "number", "name", "near word", "opposite", "neighbour", "roles", "negation", "added detail", "moved detail",
    }  # fmt: skip
    assert len(RULES) >= len(drawn)


@given(seeds, st.text(max_size=60))
def test_no_text_breaks_a_rule(rng: random.Random, text: str) -> None:
    found = edit(text, Surroundings(text, ("Zanzibar",), lambda _: ("other",)), rng)
    assert found is None or found.text != text


@pytest.mark.parametrize("sentence", ["", "Ah.", "it was", "nothing here"])
def test_nothing_to_change_is_no_edit(sentence: str) -> None:
    rules = (change_number, change_name, swap_roles, move_detail)
    assert [rule(sentence, AROUND, random.Random(0)) for rule in rules] == [None] * 4
