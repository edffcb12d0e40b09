"""What of an answer is a claim, and where it stands."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.alignment.claims import is_contentless, split_claims

SPLITS = [
    ("", []),
    ("  \n ", []),
    ("...", []),
    ("Hello!", []),
    ("Of course! Great question. Paris.", ["Paris."]),
    ("Yes.", ["Yes."]),
    ("5.", ["5."]),
    (
        "Sure! Here is the answer:\n- It sorts. It is stable.\n* It is fast.",
        ["It sorts.", "It is stable.", "It is fast."],
    ),
    ("1. First item.\n2. Second item.", ["First item.", "Second item."]),
    ("1. First item. 2. Second item.", ["First item.", "Second item."]),
    ("Orly is small.\r\n\r\n2) Roissy", ["Orly is small.", "Roissy"]),
    (
        "Dr. Smith et al. (2020) paid $3.5 million to U.S. Corp. in Jan. 2021. He left.",
        ["Dr. Smith et al. (2020) paid $3.5 million to U.S. Corp. in Jan. 2021.", "He left."],
    ),
    ("# Dose\n\nThe dose is\n5 mg daily. Take it.", ["The dose is\n5 mg daily.", "Take it."]),
    ("Dose: 5 mg", ["Dose: 5 mg"]),
    ("**Note:**\n\nIt is **bold**.", ["It is **bold**."]),
    ("```python\nx = 1\n```", ["x = 1"]),
    ("巴黎有三个机场。法国的首都。", ["巴黎有三个机场。", "法国的首都。"]),
    ("पेरिस बड़ा है। यह राजधानी है।", ["पेरिस बड़ा है।", "यह राजधानी है।"]),
    ("The list is sorted [1]. [2]", ["The list is sorted [1]."]),
    ("It sorts. Let me know if you have any questions.", ["It sorts."]),
    ("It sorts. I hope this helps!", ["It sorts."]),
    ("Is Paris big? Would you like more details?", ["Is Paris big?"]),
]
CONTENT = [
    "Sure, the dose is 5 mg.",
    "Let me know if the dose, 5 mg, is fine.",
    "Here are the 3 airports:",
    "Thanks to Eiffel it stands.",
    "Hello is a greeting.",
    "Feel free to take 10 tablets.",
    "Note: it is toxic.",
]


@pytest.mark.parametrize(("answer", "claims"), SPLITS)
def test_an_answer_is_split_into_its_statements(answer: str, claims: list[str]) -> None:
    assert [claim.text for claim in split_claims(answer)] == claims


@pytest.mark.parametrize("text", CONTENT)
def test_a_pleasantry_that_carries_a_fact_is_a_claim(text: str) -> None:
    assert not is_contentless(text)
    assert [claim.text for claim in split_claims(text)] == [text]


@given(st.text(alphabet="aB1. \n\r\t-*#>|!?,:;()[]`\"'。।\u2028é’", max_size=120))
def test_offsets_are_true_and_claims_do_not_overlap(answer: str) -> None:
    claims = split_claims(answer)
    assert all(answer[c.span.start : c.span.end] == c.text == c.text.strip() for c in claims)
    assert all(a.span.end <= b.span.start for a, b in itertools.pairwise(claims))


@given(st.text(max_size=80))
def test_no_text_breaks_it(answer: str) -> None:
    assert all(claim.text for claim in split_claims(answer))


@given(st.lists(st.sampled_from(["It sorts.", "Paris is big.", "The dose is 5 mg."]), min_size=1, max_size=6))
def test_no_sentence_is_lost(sentences: list[str]) -> None:
    for join in (" ", "\n", "\n\n", "\n- "):
        assert [claim.text for claim in split_claims(join.join(sentences))] == sentences
