"""Cutting claims out so that the rest still reads."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard.alignment.claims import split_claims
from ragguard.alignment.redaction import with_dependants, without_claims
from ragguard.types import Claim

PARTS = [
    "The dose is 5 mg.",
    "It thins the blood.",
    "\n- The bridge opened in 1978.",
    "\n\n## Sources\n",
    "However, they left.",
    "1. Copper is red.",
    "Here is the answer:",
]


def claims_with(answer: str, *words: str) -> list[Claim]:
    return [c for c in split_claims(answer) if any(word in c.text for word in words)]


@pytest.mark.parametrize(
    ("answer", "words", "left"),
    [
        (
            "The dose is 5 mg. Elephants are pink. Copper is red.",
            ["pink"],
            "The dose is 5 mg. Copper is red.",
        ),
        ("- The dose is 5 mg.\n- Elephants are pink.", ["pink"], "- The dose is 5 mg."),
        ("The dose is 5 mg.\n\nHere is more:\n- Elephants are pink.", ["pink"], "The dose is 5 mg."),
        ("The dose is 5 mg.\n\n## Animals\n- Elephants are pink.", ["pink"], "The dose is 5 mg."),
        (
            "## Animals\nElephants are pink.\n\n## Dose\nThe dose is 5 mg.",
            ["pink"],
            "## Dose\nThe dose is 5 mg.",
        ),
        ("Elephants are pink.", ["pink"], ""),
        ("Hello! Elephants are pink.", ["pink"], ""),
        (
            "| metal | colour |\n|---|---|\n| copper | pink |\n\nThe dose is 5 mg.",
            ["pink"],
            "The dose is 5 mg.",
        ),
    ],
)
def test_what_is_left_reads_well(answer: str, words: list[str], left: str) -> None:
    assert without_claims(answer, claims_with(answer, *words)) == left


def test_what_leans_on_a_cut_sentence_goes_with_it() -> None:
    answer = "The dose is 5 mg. Ada founded Rome. She was tall. However, she left. The bridge opened."
    found = with_dependants(split_claims(answer), claims_with(answer, "Rome"))
    assert [c.text for c in found] == ["Ada founded Rome.", "She was tall.", "However, she left."]


def test_what_leans_on_a_sentence_that_stays_stays() -> None:
    answer = "Ada founded Acme. She was tall. Elephants are pink."
    found = with_dependants(split_claims(answer), claims_with(answer, "pink"))
    assert [c.text for c in found] == ["Elephants are pink."]


answers = st.lists(st.sampled_from(PARTS), max_size=7).map(" ".join)


@settings(max_examples=100, deadline=None)
@given(answers, st.sets(st.integers(0, 9)))
def test_no_cut_claim_is_left_and_none_is_added(answer: str, places: set[int]) -> None:
    claims = split_claims(answer)
    doomed = [c for i, c in enumerate(claims) if i in places]
    left = split_claims(without_claims(answer, doomed))
    kept = [c.text for i, c in enumerate(claims) if i not in places]
    assert [c.text for c in left] == kept
