"""A word whose opposite the source has."""

from __future__ import annotations

import pytest

from ragguard.alignment.checks import compare
from ragguard.alignment.checks.opposites import OPPOSITES


def conflicts(claim: str, source: str) -> list[str]:
    return [f.note for f in compare(claim, source).conflicts if f.kind == "opposite"]


@pytest.mark.parametrize(
    ("claim", "source"),
    [
        ("Prices increased in spring.", "Prices decreased in spring."),
        ("It was the first bridge of the city.", "It was the last bridge of the city."),
        ("The trial requires a minimum purchase.", "A maximum purchase is needed."),
        ("The firm lost the case.", "The firm won the case."),
    ],
)
def test_an_opposite_in_the_same_place_conflicts(claim: str, source: str) -> None:
    assert conflicts(claim, source)
    assert conflicts(source, claim)


@pytest.mark.parametrize(
    ("claim", "source"),
    [
        ("Prices increased in spring.", "Prices did not decrease in spring."),
        ("Prices increased in spring.", "Prices increased in spring and decreased in autumn."),
        ("The old house is large.", "The new car is fast."),
        ("Growth and decline of prices.", "Prices see increase and decrease."),
    ],
)
def test_denied_opposites_and_opposites_of_other_things_do_not(claim: str, source: str) -> None:
    assert not conflicts(claim, source)


def test_opposition_is_mutual_and_no_word_is_its_own() -> None:
    assert all(word in OPPOSITES[other] for word, others in OPPOSITES.items() for other in others)
    assert not [word for word, others in OPPOSITES.items() if word in others or not word]
