"""Quantities: equal in value, kind and bound, or not."""

from __future__ import annotations

import pytest

from ragguard.alignment.checks import Finding, compare

SCORES = "Revenue of $143 billion; scores 85%, 86%, 89.4%; 2,100,000 people; growth from 4% to 6%"


def judged(claim: str, source: str) -> list[Finding]:
    return [f for f in compare(claim, source).findings if f.kind == "number"]


def outcome(claim: str, source: str) -> str:
    (finding,) = judged(claim, source)
    return finding.outcome


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("The revenue was $185 billion.", "conflicts"),
        ("The revenue was $143 million.", "conflicts"),
        ("All scored between 80% and 90%.", "agrees"),
        ("All scored between 80% and 87%.", "conflicts"),
        ("There are about 2.1 million people.", "agrees"),
        ("The growth rose by 2%.", "conflicts"),
        ("The growth rose by two percentage points.", "agrees"),
        ("The growth rose by 50%.", "agrees"),
        ("There are 999 million people.", "conflicts"),
    ],
)
def test_magnitudes_ranges_and_points_are_told_apart(claim: str, expected: str) -> None:
    assert outcome(claim, SCORES) == expected


@pytest.mark.parametrize(
    ("claim", "source"),
    [
        ("It has 1,200 members.", "The club has twelve hundred members."),
        ("It has 1.2k members.", "The club has 1,200 members."),
        ("It cost 143 billion dollars.", "It cost $143bn."),
        ("More than 40 ships sank.", "In the storm 57 ships sank."),
        ("At least 40 ships sank.", "In the storm 40 ships sank."),
        ("Fewer than 60 ships sank.", "In the storm 57 ships sank."),
        ("Nearly 600 ships sank.", "In the storm 592 ships sank."),
        ("It is 26 miles long.", "It is about 42 km long."),
        ("The bag weighs 2 kg.", "The bag weighs 2,000 g."),
        ("It boils at 212 °F.", "It boils at 100 °C."),
        ("The trip takes 90 minutes.", "The trip takes 1.5 hours."),
        ("The course lasts 12 months.", "The course lasts one year, or 1 year."),
        ("The share is 89%.", "The share is 89.4%."),
        ("It sold 2.1 million cars.", "It sold 2,134,000 cars."),
        ("Twelve goals were scored.", "The Reds scored seven goals and the Blues scored five goals."),
        ("Half of the members left.", "50% of the members left."),
        ("It finished third.", "It finished 3rd."),
        ("It holds 23 , 768 places .", "It holds 23,768 places."),
    ],
)
def test_other_spellings_units_bounds_and_sums_agree(claim: str, source: str) -> None:
    assert "conflicts" not in {f.outcome for f in judged(claim, source)}
    assert outcome(claim, source) == "agrees"


@pytest.mark.parametrize(
    ("claim", "source"),
    [
        ("The dose for adults is 10 mg a day.", "The dose for adults is 5 mg a day."),
        ("The marathon is 26 km long.", "The marathon is 26 miles long."),
        ("More than 60 ships sank in the storm.", "In the storm 57 ships sank."),
        ("The share of voters is 5%.", "The share of voters is 7%."),
        ("Seven planes landed safely.", "Five planes landed safely."),
        ("He finished in 3rd place.", "He finished in 2nd place."),
    ],
)
def test_another_value_of_the_same_thing_conflicts(claim: str, source: str) -> None:
    finding = judged(claim, source)[0]
    assert finding.outcome == "conflicts"
    assert finding.source_start is not None
    assert finding.note.startswith("claim says ")


@pytest.mark.parametrize(
    ("claim", "source"),
    [
        ("The dose is 5.", "The share is 5%."),
        ("It has 12 doors.", "The house was sold to a bank."),
        ("The house has 12 doors.", "The house has 4 windows."),
        ("It needs version 3.10.2.", "It needs version 3.10.1."),
    ],
)
def test_what_the_source_does_not_count_is_missing_not_contradicted(claim: str, source: str) -> None:
    assert outcome(claim, source) == "missing"


def test_the_note_names_both_values_and_the_offsets_hold_them() -> None:
    claim, source = "The dose is 10 mg a day.", "For adults the dose is 5 mg a day."
    (finding,) = judged(claim, source)
    assert claim[finding.claim_start : finding.claim_end] == "10 mg"
    assert source[finding.source_start : finding.source_end] == "5 mg"
    assert finding.note == "claim says 10 mg, the source says 5 mg"


def test_a_number_that_another_number_of_the_claim_stands_for_is_no_rival() -> None:
    claim, source = "5 of the 9 planes landed.", "5 planes landed."
    assert "conflicts" not in {f.outcome for f in judged(claim, source)}


@pytest.mark.parametrize(
    ("claim", "outcome"),
    [
        ("Returns are accepted within 60 days.", "conflicts"),
        ("Returns are accepted within 20 days.", "conflicts"),
        ("Returns are accepted within 30 days.", "agrees"),
        ("Returns are accepted up to 30 days after purchase.", "agrees"),
    ],
)
def test_two_limits_agree_only_when_they_are_the_same(claim: str, outcome: str) -> None:
    found = compare(claim, "Returns are accepted within 30 days of purchase.").findings
    assert [f.outcome for f in found if f.kind == "number"] == [outcome]
