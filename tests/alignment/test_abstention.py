"""When a model says that it does not know, and when it only seems to."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.alignment.abstention import find_abstentions, is_abstention, remaining_claims
from ragguard.alignment.claims import split_claims

ABSTENTIONS = [
    "I don't know.",
    "I don’t know",
    "I do not know the answer.",
    "The context does not say.",
    "Not mentioned in the passages.",
    "I cannot answer.",
    "I can't answer that question based on the given passages.",
    "I'm sorry, but I don't know.",
    "Sorry, the provided context does not contain enough information to answer.",
    "The passages do not mention X.",
    "The passages do not mention Paris, London, or Rome.",
    "I have no idea.",
    "I'm not sure.",
    "There is no information about this in the context.",
    "There is no mention of Paris.",
    "No information available.",
    "None of the passages mention the dose.",
    "It is not mentioned in the passages.",
    "The dose is not specified in the provided documents.",
    "Based on the passages, I cannot determine the dose.",
    "The question cannot be answered from the passages.",
    "Unknown.",
    "I do not have enough information to answer this question.",
    "I don't know what the capital of France is.",
    "I don't know. The passages do not say.",
    "I do not know, because the passages do not mention it.",
    "Unfortunately, I'm unable to answer this.",
    "Hello! I don't know. Let me know if you need anything else.",
    "I couldn't find any information about that.",
    "The provided text doesn't mention it, so I don't know.",
    "我不知道。",
    "No sé.",
    "It is unclear from the context.",
    "I don't know when Python 3.9 was released.",
    "Nothing in the passages answers this question.",
    "I'm not able to answer that.",
    "I don't know the capital and population of Paris.",
    "As an AI language model, I cannot answer that.",
    "The answer is not in the passages.",
    "I am not aware of any such function.",
    "Not enough information.",
    "I can't help with that.",
    "I'm afraid I don't know.",
    "I don't know (the passages do not say).",
    "The passages provided do not contain information about the topic.",
    "The given passages don't specify which function to use.",
    "It is not mentioned.",
    "This cannot be determined from the given information.",
    "Not specified.",
    "I don't know who invented it or when.",
    "The given context is insufficient to answer.",
    "I am unable to find the answer in the provided context.",
    "It is not in the passages.",
]
STATEMENTS = [
    "I don't know, but the dose is 5 mg.",
    "I don't know anything about Paris other than it has 3 airports.",
    "It is not true that I don't know.",
    '"I don\'t know" is the default reply of ELIZA.',
    'The manual says "I don\'t know" is a valid answer.',
    "I don't know. The dose is 5 mg.",
    "The dose is 5 mg, but I don't know why.",
    "I don't know; the dose is 5 mg.",
    "I don't know the exact dose, around 5 mg.",
    "The passages do not mention the bridge, which opened in 1937.",
    "I don't know why the bridge collapsed in 1987.",
    "The function does not return a value.",
    "There is no evidence that vaccines cause autism.",
    "There is no information loss in lossless compression.",
    "I Don't Know is a song by Paul McCartney.",
    "He said I don't know.",
    "Paris has three airports.",
    "I cannot answer because the shop closed in 1990.",
    "I don't know and the dose is 5 mg.",
    "The passages do not mention London and Paris hosts three airports.",
    "All I know is that the dose is 5 mg.",
    "I don't know much, only that it was built by Eiffel.",
    "I don't know: 42.",
    "The file is not found in the directory.",
    "The variable is not defined in Python.",
    "Unknown keys raise KeyError.",
    "I don't know (it is 5 mg).",
    "The context manager does not suppress exceptions.",
    "The document does not exist.",
    "I don't know, it is Paris.",
    "I cannot say more than that it was Napoleon.",
    "I don't know - the dose is 5 mg.",
    "I'm not sure, although Paris is the capital.",
    "Data are not copied.",
    "Yes.",
    "The results do not include hidden files.",
    "The source does not list hidden files.",
    "I do not know of any limit except the maximum of 255 characters.",
    "I don't know the answer, Paris is my guess.",
    "I would say I don't know if it were not 5 mg.",
    "No one knows; it opened in 1937.",
    "I don't know about you, the capital is Paris.",
    "It is unknown to most people that Paris is sinking.",
    "The text argument does not have a default value.",
    "Is it 5 mg? I don't know.",
    "Hidden files are not included in the results.",
    "I don't know: Paris.",
    "I don't know, Paris.",
    "I don't know, maybe Paris.",
    "Yes. I don't know.",
    "The text argument does not specify a default.",
    "The context manager does not provide a lock.",
    "It is not available.",
    "Not found.",
    "The passages only describe json.",
    "I'm just a language model and the dose is 5 mg.",
]
LEFT = [
    ("I don't know, but the dose is 5 mg.", ["the dose is 5 mg"]),
    ("I don't know anything about Paris other than it has 3 airports.", ["it has 3 airports"]),
    ("I don't know. The dose is 5 mg.", ["The dose is 5 mg."]),
    ("The dose is 5 mg, but I don't know why.", ["The dose is 5 mg"]),
    ("The passages do not mention the bridge, which opened in 1937.", ["opened in 1937"]),
    ("I don't know why the bridge collapsed in 1987.", ["why the bridge collapsed in 1987"]),
    ("I don't know the dose is 5 mg.", ["the dose is 5 mg"]),
    ("I don't know (it is 5 mg).", ["it is 5 mg"]),
    ("It is not true that I don't know.", ["It is not true that I don't know."]),
    ("Paris is big.", ["Paris is big."]),
    ("The passages do not mention X.", []),
    ("Hello!", []),
    ("", []),
]
WORDS = st.sampled_from(
    "I don't know but and the passages do not mention Paris , . ; other than it has 3 airports ( ) \n sorry no".split(
        " "
    )
)


@pytest.mark.parametrize("answer", ABSTENTIONS)
def test_an_abstention_leaves_nothing_to_judge(answer: str) -> None:
    assert is_abstention(answer)
    assert remaining_claims(answer) == []


@pytest.mark.parametrize("answer", STATEMENTS)
def test_a_statement_is_judged_whatever_it_seems_to_admit(answer: str) -> None:
    assert not is_abstention(answer)
    assert remaining_claims(answer)


@pytest.mark.parametrize(("answer", "left"), LEFT)
def test_only_what_asserts_something_is_left(answer: str, left: list[str]) -> None:
    assert [claim.text for claim in remaining_claims(answer)] == left


def test_a_curly_apostrophe_moves_no_offset() -> None:
    answer = "Sorry, I don’t know, but it’s Paris."
    (span,) = find_abstentions(answer)
    (claim,) = remaining_claims(answer)
    assert answer[span.start : span.end] == "Sorry, I don’t know"
    assert claim.text == answer[claim.span.start : claim.span.end] == "it’s Paris"


@given(st.lists(WORDS, max_size=25).map(" ".join))
def test_what_is_left_lies_in_the_answer_in_order(answer: str) -> None:
    left = remaining_claims(answer)
    assert all(answer[c.span.start : c.span.end] == c.text for c in left)
    assert all(a.span.end <= b.span.start for a, b in itertools.pairwise(left))
    if not find_abstentions(answer):
        assert left == split_claims(answer)


@given(st.sampled_from(ABSTENTIONS), st.sampled_from(["The dose is 5 mg.", "Paris has three airports."]))
def test_a_sentence_beside_an_abstention_is_always_judged(abstention: str, statement: str) -> None:
    for answer in (f"{abstention}\n\n{statement}", f"{statement}\n\n{abstention}"):
        assert statement in [claim.text for claim in remaining_claims(answer)]


@pytest.mark.parametrize(
    "piece",
    ["so ", "and ", "the ", "i'm sorry ", "there is no evidence ", "not ", "(", "1. ", "- ", "here are "],
)
def test_repetition_does_not_make_it_slow(piece: str) -> None:
    began = time.perf_counter()
    is_abstention(piece * 2000 + "x, y")
    assert time.perf_counter() - began < 5
