import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.preference.rephrase import rephrasings


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (
            "What is the capital of France?",
            ["The capital of France is what?", "Can you tell me what the capital of France is?"],
        ),
        ("Who wrote Hamlet?", ["Can you tell me who wrote Hamlet?"]),
        (
            "When was the treaty signed?",
            [
                "At what point in time was the treaty signed?",
                "Can you tell me this: when was the treaty signed?",
            ],
        ),
        ("What year did it end?", ["Which year did it end?", "Can you tell me this: what year did it end?"]),
    ],
)
def test_rephrases(question: str, expected: list[str]) -> None:
    assert rephrasings(question) == expected


@pytest.mark.parametrize(
    "question",
    [
        "What is used to make steel?",
        "What was the war about?",
        "What is the army known for?",
        "What was the treaty called?",
        "Who was the king born in Rome?",
    ],
)
def test_a_verb_is_not_moved_where_something_belongs_to_it(question: str) -> None:
    assert rephrasings(question) == [f"Can you tell me this: {question[0].lower()}{question[1:]}"]


@pytest.mark.parametrize("question", ["", "?", "Is it raining?", "Tell me.", "What? Who?", "the what is it"])
def test_what_is_no_plain_wh_question_has_no_rephrasing(question: str) -> None:
    assert rephrasings(question) == []


@given(st.text(max_size=60) | st.builds("What is the {}?".format, st.text(max_size=30)))
def test_no_rephrasing_is_the_question_or_given_twice(question: str) -> None:
    found = rephrasings(question)
    assert len(set(found)) == len(found)
    assert all(one.endswith("?") and one.casefold() != question.casefold() for one in found)
