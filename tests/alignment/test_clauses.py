"""What of a claim can be wrong by itself."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.alignment.clauses import clauses, says_something

PARTS = [
    ("Ada founded Acme and Bo bought it.", ["Ada founded Acme", "Bo bought it."]),
    ("Ada founded Acme and sold it in 1987.", ["Ada founded Acme", "sold it in 1987."]),
    ("Ada leads Acme, but Bo runs Bolt.", ["Ada leads Acme", "Bo runs Bolt."]),
    ("Salt is cheap while saffron costs a lot.", ["Salt is cheap", "saffron costs a lot."]),
    (
        "Rex bought Dino in 2019 after Dino's chair resigned; Dino did not buy Rex.",
        ["Rex bought Dino in 2019", "Dino's chair resigned", "Dino did not buy Rex."],
    ),
    ("It rose because rates fell.", ["It rose", "rates fell."]),
    ("It opened in Oslo, which is in Norway.", ["It opened in Oslo", "which is in Norway."]),
]
WHOLE = [
    "Ada founded Acme and Bolt in 1987.",
    "It sorts by name and date.",
    "Salt and pepper are cheap.",
    'He said "it rose and it fell" twice.',
    "The dose is 5 mg before meals.",
    "Ada, who founded Acme, left.",
    "巴黎很大而且很美。",
    "Paris",
]


@pytest.mark.parametrize(("claim", "parts"), PARTS)
def test_a_conjunction_of_statements_is_parted(claim: str, parts: list[str]) -> None:
    assert [claim[c.start : c.end] for c in clauses(claim)] == parts


@pytest.mark.parametrize("claim", WHOLE)
def test_what_says_one_thing_stays_whole(claim: str) -> None:
    assert [claim[c.start : c.end] for c in clauses(claim)] == [claim]


@given(
    st.lists(st.sampled_from('Ada it is fell and, but ; which 5 \n " –'.split(" ")), max_size=20).map(
        " ".join
    )
)
def test_clauses_are_in_order_and_leave_out_only_joints(claim: str) -> None:
    spans = clauses(claim)
    assert all(a.end <= b.start for a, b in itertools.pairwise(spans))
    left_out = claim
    for span in reversed(spans):
        assert claim[span.start : span.end] == claim[span.start : span.end].strip() != ""
        left_out = left_out[: span.start] + left_out[span.end :]
    assert set(left_out.split()) <= {"and,", "and", "but", ";", ",", "–"}


@pytest.mark.parametrize(
    "text", ["Ada fell.", "It's red.", "Acme sells tea.", "They've gone.", "It doesn't sort."]
)
def test_a_finite_verb_says_something(text: str) -> None:
    assert says_something(text)


@pytest.mark.parametrize("text", ["Paris.", "5 mg daily", "A red bed in the hundred", "", "The Thames"])
def test_a_bare_phrase_says_nothing(text: str) -> None:
    assert not says_something(text)


@pytest.mark.parametrize("sign", [" ", "a and ", ", ", "a", "A. "])
def test_a_long_claim_does_not_stall_it(sign: str) -> None:
    assert len(clauses(sign * 50_000 + "x")) == 1
