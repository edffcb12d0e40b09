"""What is looked up in a source."""

from __future__ import annotations

import pytest

from ragguard.alignment.checks import SourceFacts

FACTS = SourceFacts.of("Rex sells 85%, 86% and 89%. Dino sells 4 km of rope in 1987. Rex rests.")


def test_the_best_sentence_holds_most_of_the_words_weighted() -> None:
    ranked = FACTS.ranked(["dino", "sell", "rop"])
    assert ranked[0] == (1, pytest.approx(1.0))
    assert ranked[1][1] < ranked[0][1]
    assert FACTS.ranked(["absent"]) == []


def test_a_window_joins_neighbours() -> None:
    assert FACTS.nearest(["rex", "rop"])[1] < 1.0
    assert FACTS.nearest(["rex", "rop"], window=3) == (0, pytest.approx(1.0))


def test_a_rare_and_a_long_word_weigh_more() -> None:
    assert FACTS.weight("dino") > FACTS.weight("sell")
    assert FACTS.weight("unprecedented") > FACTS.weight("abc")


def test_a_word_of_very_many_sentences_still_counts_in_the_best_one() -> None:
    facts = SourceFacts.of("The old stone bridge opened. " * 400 + "The old stone bridge sank.")
    assert facts.nearest(["old", "ston", "bridg", "sink"]) == (400, pytest.approx(1.0))


def test_quantities_and_dates_are_found_by_sentence_and_by_list() -> None:
    assert [q.shown for q in FACTS.quantities_in(1)] == ["4 km"]
    assert [d.years for d in FACTS.dates_in(1)] == [(1987, 1988)]
    assert [q.shown for q in FACTS.listed_with(FACTS.quantities[0])] == ["85%", "86%", "89%"]
