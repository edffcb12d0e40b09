"""Negation, quantifiers and modality."""

from __future__ import annotations

import pytest

from ragguard.alignment.checks import compare


def outcomes(claim: str, source: str, kind: str) -> set[str]:
    return {f.outcome for f in compare(claim, source).findings if f.kind == kind}


@pytest.mark.parametrize(
    ("claim", "source"),
    [
        ("The drug thins the blood.", "The drug does not thin the blood."),
        ("The drug doesn't thin the blood.", "The drug thins the blood."),
        ("The drug don ' t thin the blood .", "The drug thins the blood."),
        ("The bridge never opened to cars.", "The bridge opened to cars."),
        ("The firm managed to sell shares.", "The firm was unable to sell shares."),
        ("The law was not immediately repealed.", "The law was immediately repealed."),
    ],
)
def test_a_denial_on_one_side_conflicts_both_ways(claim: str, source: str) -> None:
    assert "conflicts" in outcomes(claim, source, "negation")
    assert "conflicts" in outcomes(source, claim, "negation")


@pytest.mark.parametrize(
    ("claim", "source"),
    [
        ("The drug does not thin the blood.", "The drug doesn't thin the blood."),
        ("They discussed fees and cover.", "They discussed whether or not fees and cover rise."),
        ("Sam is his roommate Rick.", "He doesn't like being the roommate of Rick."),
        ("Woody needs rest.", "It is not going well because Woody needs rest."),
        ("It copies the file.", "It copies not only the file but the folder."),
        ("It copies the file.", "It copies the file. It does not copy the file twice."),
    ],
)
def test_agreement_idioms_and_both_ways_are_no_conflict(claim: str, source: str) -> None:
    assert "conflicts" not in outcomes(claim, source, "negation")


@pytest.mark.parametrize(
    ("claim", "source", "expected"),
    [
        ("All pupils passed the exam.", "Some pupils passed the exam.", "conflicts"),
        ("All pupils passed the exam.", "Most pupils passed the exam.", "conflicts"),
        ("All pupils passed the exam.", "Not all pupils passed the exam.", "conflicts"),
        ("Most pupils passed the exam.", "Some pupils passed the exam.", "missing"),
        ("Some pupils passed the exam.", "All pupils passed the exam.", "agrees"),
        ("All pupils passed the exam.", "Every pupil passed the exam.", "agrees"),
        ("Only pupils passed the exam.", "Pupils passed the exam.", "missing"),
        ("Only pupils passed the exam.", "The exam was passed by pupils only.", "agrees"),
    ],
)
def test_more_than_the_source_says_is_not_supported_and_less_is(
    claim: str, source: str, expected: str
) -> None:
    assert expected in outcomes(claim, source, "quantifier")


def test_no_pupils_against_all_pupils_is_a_denial() -> None:
    assert "conflicts" in outcomes("No pupils passed the exam.", "All pupils passed the exam.", "negation")


@pytest.mark.parametrize("hedge", ["may have", "might have", "reportedly", "is expected to have"])
def test_a_claim_surer_than_the_source_is_not_supported(hedge: str) -> None:
    assert outcomes("The chair resigned.", f"The chair {hedge} resigned.", "modality") == {"missing"}


def test_a_claim_less_sure_than_the_source_agrees_and_says_so() -> None:
    (finding,) = (
        f
        for f in compare("The chair may have resigned.", "The chair resigned.").findings
        if f.kind == "modality"
    )
    assert finding.outcome == "agrees"
    assert "hedges" in finding.note
