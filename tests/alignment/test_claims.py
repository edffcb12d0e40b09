"""What of an answer is a claim, and where it stands."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.alignment.claims import is_contentless, split_claims
from ragguard.stream import settled_end

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
    ("See Fig. 3. The result holds.", ["See Fig. 3.", "The result holds."]),
    ("1) It sorts 2) It is stable. 3) Fast", ["It sorts", "It is stable.", "Fast"]),
    ("(1) It sorts 3) times (2) It is stable", ["It sorts 3) times", "It is stable"]),
    ("- 1. It sorts.\n> 2) Stable.", ["It sorts.", "Stable."]),
    ("How many? 12. It has rings.", ["How many?", "12. It has rings."]),
    ("9. It sorts.\n10. It is stable.", ["It sorts.", "It is stable."]),
    ("| Drug | Dose |\n|---|---:|\n| A | 5 mg |", ["| A | 5 mg |"]),
    ("It fell.[1] It rose.[2]", ["It fell.[1]", "It rose.[2]"]),
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


STREAMED = [
    "Dr. Smith et al. (2020) paid $3.5 million to U.S. Corp. in Jan. 2021. He left. It is over now.",
    "1. First item. 2. Second item. 3. Third item. See Fig. 3. The result holds. At 5 p.m. He left.",
    "Sure! Here is the answer:\n\n- It has type float, e.g. 3.14.\n- K. He wrote it. She read it.[2] Done",
    "巴黎有三个机场。法国的首都。पेरिस बड़ा है। यह राजधानी है। The end is near.",
    "| Drug | Dose |\n|---|---|\n| A | 5 mg. |\n| B | 6 mg. |\n\nBoth are in the U.S. They sell well.",
    "Visit https://a.org/x. It lists v1.2.3. Then mail a.b@c.org... He waits. 12. It has rings.",
]


@pytest.mark.parametrize("answer", STREAMED)
@pytest.mark.parametrize("size", [1, 3, 7])
def test_a_stream_in_pieces_gives_the_claims_of_the_whole(answer: str, size: int) -> None:
    settled, whole = 0, split_claims(answer)
    for arrived in range(size, len(answer) + size, size):
        while end := settled_end(answer[settled:arrived]):
            settled += end
            claims = split_claims(answer[:settled])
            assert claims == whole[: len(claims)]
    assert settled > 0


words = st.sampled_from(
    "He It The U.S. Dr. Inc. p.m. e.g. Fig. 3. 12. 2) (3) K. Wu al. I \n \n\n - ok ends. Why? 。 |".split(" ")
)


@given(st.lists(words, max_size=14).map(" ".join))
def test_a_settled_sentence_keeps_its_claims_whatever_follows(answer: str) -> None:
    whole, settled = split_claims(answer), 0
    while end := settled_end(answer[settled:]):
        settled += end
        claims = split_claims(answer[:settled])
        assert claims == whole[: len(claims)]


@pytest.mark.parametrize("start", ["Dr", "Dr.", "Dr. ", "Dr. Smith", "At 5 p.m. ", "1. First item. 2. "])
def test_an_abbreviation_does_not_fire_early(start: str) -> None:
    assert settled_end(start) == 0


@pytest.mark.parametrize("sign", ["1) ", "- ", "| ", "a\n", "1. a ", "> "])
def test_time_grows_with_the_answer_and_not_with_its_square(sign: str) -> None:
    """Fifty thousand signs: a quadratic splitter would meet the test's time limit."""
    assert len(split_claims(sign * 50_000)) <= 50_001
