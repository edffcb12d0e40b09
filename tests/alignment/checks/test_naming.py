"""Names the source knows, in full, in part or in short."""

from __future__ import annotations

import pytest

from ragguard.alignment.checks import compare
from ragguard.alignment.checks.names import names
from ragguard.alignment.checks.tokens import read


@pytest.mark.parametrize(
    ("claim", "source"),
    [
        ("It was led by Ada Lovelace.", "Ada Lovelace led it."),
        ("It was led by Lovelace.", "Ada Lovelace led it."),
        ("It was led by Dr. Lovelace.", "Ada Lovelace led it."),
        ("It was led by Ada Lovelace.", "ada lovelace led it."),
        ("She works at the UN.", "She works at the United Nations."),
        ("She works at the United Nations.", "She works at the UN."),
        ("She works for the World Health Organization.", "The World Health Organization (WHO) hired her."),
        ("It is a Norwegian ship.", "The ship is from Norway."),
    ],
)
def test_a_name_is_known_in_other_forms(claim: str, source: str) -> None:
    found = [f for f in compare(claim, source).findings if f.kind == "name"]
    assert found
    assert {f.outcome for f in found} == {"agrees"}


def test_a_name_the_source_has_not_is_missing_and_lowers_the_feature() -> None:
    compared = compare("It was led by Grace Hopper.", "Ada Lovelace led the work on it.")
    assert ("name", "missing") in {(f.kind, f.outcome) for f in compared.findings}
    assert compared.features["name_holds"] < 1
    assert compared.features["names_known"] == 0


def test_a_name_in_another_name_s_place_conflicts() -> None:
    (finding,) = compare("In 2019 Max bought the old mill.", "In 2019 Rex bought the old mill.").conflicts
    assert finding.note == "claim says Max, the source says Rex"


@pytest.mark.parametrize(
    "claim", ["Elephants fly.", "Since then it grew.", "Running helps.", "it is a ship of ada."]
)
def test_a_capital_at_the_start_alone_is_no_name(claim: str) -> None:
    assert not [f for f in compare(claim, "Nothing of the kind.").findings if f.kind == "name"]


def test_particles_join_names_and_and_parts_them() -> None:
    text = "They met Ludwig van Beethoven and Clara Schumann at the Bank of England in May."
    found = [text[name.start : name.end] for name in names(read(text))]
    assert found == ["Ludwig van Beethoven", "Clara Schumann", "Bank of England"]
