"""Numbers in one comparable form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.alignment.numbers import mentions, numbers, without_numbers, without_references


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1,000 or 1000 or one thousand or 1 thousand or 1k", {"1000"}),
        ("twenty-five percent, 25%, 25 per cent", {"25%"}),
        ("5 percentage points", {"5"}),
        ("3.10 is not 3.1", {"3.10", "3.1"}),
        ("5.0 and 5.00", {"5"}),
        ("1.2.3", {"1.2.3"}),
        ("2.1 million of 2,100,000", {"2100000"}),
        ("two hundred and five thousand", {"205000"}),
        ("a hundred", {"100"}),
        ("three four", {"3", "4"}),
        ("-1, 5-10", {"-1", "5", "10"}),
        ("2021-05-03", {"2021", "5", "3"}),
        ("1,00,000", {"100000"}),
        ("$1,200.50", {"1200.50"}),
        ("$143m, $143 M, 143 million and 143mn", {"143000000"}),
        ("5m wide, $1.2bn", {"5", "1200000000"}),
        ("23 , 768 places", {"23768"}),
        ("٣", {"3"}),
        ("one of the lists, int64, sha256", set()),
        ("9" * 5000, {"9" * 5000}),
    ],
)
def test_equal_numbers_have_one_form(text: str, found: set[str]) -> None:
    assert numbers(text) == found


def test_a_percentage_is_not_a_number() -> None:
    assert not numbers("5%") & numbers("5")


def test_citations_are_not_numbers_of_the_claim() -> None:
    assert numbers(without_references("The dose is 5 mg [2], see passage 3.", passages=3)) == {"5"}
    assert numbers(without_references("It returns [7].", passages=3)) == {"7"}


def test_a_mention_keeps_its_place_scale_and_sign() -> None:
    text = "It cost $2.1 million in 1,987 parts."
    first, second = mentions(text)
    assert (text[first.start : first.end], first.scale, first.money) == ("$2.1 million", 10**6, "$")
    assert (second.canonical, second.grouped) == ("1987", True)


@given(st.integers(0, 10**12))
def test_grouping_changes_no_number(value: int) -> None:
    assert numbers(f"{value:,}") == numbers(str(value)) == {str(value)}


@given(st.text(max_size=60))
def test_no_text_breaks_it(text: str) -> None:
    numbers(text)
    without_numbers(text)
