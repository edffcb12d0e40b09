"""Dates: the same day in any spelling, a wider date, another date."""

from __future__ import annotations

import pytest

from ragguard.alignment.checks import Finding, compare
from ragguard.alignment.checks.dates import dates


def judged(claim: str, source: str) -> Finding:
    (finding,) = (f for f in compare(claim, source).findings if f.kind == "date")
    return finding


@pytest.mark.parametrize("claim", ["Jan. 5, 2021", "5 January 2021", "2021-01-05", "in 2021", "January 2021"])
@pytest.mark.parametrize(
    "source", ["Jan. 5, 2021", "5 January 2021", "2021-01-05", "on the 5th of January 2021"]
)
def test_spellings_of_one_day_agree_and_so_does_its_year(claim: str, source: str) -> None:
    assert judged(f"It opened {claim}.", f"It opened {source}.").outcome == "agrees"


@pytest.mark.parametrize(
    ("claim", "source", "expected"),
    [
        ("It opened in 1987.", "It opened in 1978.", "conflicts"),
        ("It opened on May 6, 2020.", "It opened on May 5, 2020.", "conflicts"),
        ("It opened on Friday.", "It opened on Monday.", "conflicts"),
        ("It opened in the 1980s.", "It opened in 1978.", "conflicts"),
        ("It opened in the 1990s.", "It opened in 1994.", "agrees"),
        ("It opened in the 19th century.", "It opened in 1850.", "agrees"),
        ("It opened in the nineteenth century.", "It opened in the 19th century.", "agrees"),
        ("It opened on May 5, 2020.", "It opened in 2020.", "missing"),
        ("It opened in 1987.", "It opened.", "missing"),
        ("It runs in 2019.", "It runs in the 2018-19 season.", "agrees"),
        ("It opened in June.", "It opened in July 2013.", "conflicts"),
        ("It opened in 1987.", "id,1987,opened", "agrees"),
    ],
)
def test_a_date_agrees_conflicts_or_is_missing(claim: str, source: str, expected: str) -> None:
    assert judged(claim, source).outcome == expected


@pytest.mark.parametrize(
    "text", ["2000 people", "1,987 ships", "$1987", "you may 50 times", "1987.5", "version 3.2020.1"]
)
def test_a_count_is_no_date(text: str) -> None:
    assert dates(text) == []


def test_a_numeric_date_that_can_be_read_two_ways_fixes_the_year_only() -> None:
    (either,) = dates("05/01/2021")
    (clear,) = dates("25/12/2021")
    assert (either.years, either.month, either.day) == ((2021, 2022), None, None)
    assert (clear.month, clear.day) == (12, 25)


def test_one_lie_in_ten_is_found_with_both_spans() -> None:
    """The symbolic half of it; that the sentence is not supported is the model's to say."""
    copied = " ".join(f"Pier {word} stands on rock." for word in "A B C D E F G H I".split())
    claim, source = f"{copied} The bridge opened in 1987.", f"{copied} The bridge opened in 1978."
    (finding,) = compare(claim, source).conflicts
    assert claim[finding.claim_start : finding.claim_end] == "1987"
    assert source[finding.source_start : finding.source_end] == "1978"
    assert finding.note == "claim says 1987, the source says 1978"
