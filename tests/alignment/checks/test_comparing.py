"""The whole comparison: shape, ranges, offsets, hostile input."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.alignment.checks import FEATURES, SourceFacts, compare

SOURCE = (
    "Rex Corp. sold 1,200 ships for $3.5 million in May 2019, up from 4% to 6%. Most buyers didn't pay before June. "
    "The chair of Dino may have left; it's 26 miles (42 km) away."
)
PIECES = [
    *"Rex bought Dino before after the chair 's of not n't all some may 1987 May 5, $3 million 4% to from by".split(),
    *[
        ". ",
        ", ",
        "; ",
        "between",
        "more than",
        "km",
        "\u00b0C",
        "don ' t",
        "\u0663",
        "\u00b2",
        "\U0001f600",
        "法国",
        "\u0000",
        "ﬁ",
    ],
]


def test_every_feature_is_named_in_a_fixed_order() -> None:
    assert tuple(compare("Rex sold ships.", SOURCE).features) == FEATURES
    assert len(set(FEATURES)) == len(FEATURES)


@pytest.mark.parametrize("claim", ["", "  \n", "...", "\u200b"])
@pytest.mark.parametrize("source", ["", "\n", SOURCE])
def test_a_claim_without_words_holds_nothing_to_find(claim: str, source: str) -> None:
    compared = compare(claim, source)
    assert compared.findings == ()
    assert set(compared.features.values()) == {1.0}


def test_an_empty_source_supports_no_word() -> None:
    compared = compare("Rex Corp. sold 1,200 ships in May 2019.", "")
    assert compared.features["words_somewhere"] == 0.0
    assert not compared.conflicts
    assert {f.outcome for f in compared.findings} == {"missing"}


def test_a_source_read_once_gives_the_same_as_its_text() -> None:
    facts = SourceFacts.of(SOURCE)
    for claim in ("Rex Corp. sold 1,300 ships.", "Most buyers paid before June.", "It is 42 km away."):
        assert compare(claim, facts) == compare(claim, SOURCE)


def test_more_text_after_the_place_takes_no_agreement_away() -> None:
    longer = SOURCE + " Elsewhere it rained on 5 July 1998, and 77 cows slept." * 5
    before, after = compare(SOURCE, SOURCE), compare(SOURCE, longer)
    assert [f.outcome for f in after.findings] == [f.outcome for f in before.findings]


def check(claim: str, source: str) -> None:
    compared = compare(claim, source)
    assert all(0.0 <= value <= 1.0 for value in compared.features.values())
    for found in compared.findings:
        assert 0 <= found.claim_start < found.claim_end <= len(claim)
        assert (found.source_start is None) == (found.source_end is None)
        if found.source_start is not None and found.source_end is not None:
            assert 0 <= found.source_start < found.source_end <= len(source)


@given(st.text(max_size=120), st.text(max_size=120))
def test_no_text_breaks_it(claim: str, source: str) -> None:
    check(claim, source)


@given(st.lists(st.sampled_from(PIECES), max_size=25), st.lists(st.sampled_from(PIECES), max_size=40))
def test_no_jumble_of_what_the_checks_look_for_breaks_it(claim: list[str], source: list[str]) -> None:
    check(" ".join(claim), " ".join(source))
    check("".join(claim), "".join(source))


@given(st.lists(st.sampled_from(PIECES), max_size=25))
def test_no_text_conflicts_with_itself_over_roles_dates_or_names(pieces: list[str]) -> None:
    text = " ".join(pieces)
    kinds = {f.kind for f in compare(text, text).conflicts}
    assert not kinds & {"date", "name", "negation", "opposite"}


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "unit",
    ["a", "9", "11,", "1 , 000", ".", " ", "in 1", "1987 ", "A b C. ", "don ' t ", "5 km to 6% and $7 or ", "法国",
     "x before y ", "Ab Cd of the ", "not ", "all ", "'s ", "from 4% to ", "twenty ", "a hundred and ", "I. ", "("],
)  # fmt: skip
def test_a_hundred_thousand_characters_of_anything_end(unit: str) -> None:
    text = unit * (100_000 // len(unit))
    check(text, text)
    check("Rex sold 5 ships in 1987.", unit[:1] + " " * 99_999)
