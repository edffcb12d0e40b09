import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.preference.answer_words import answer_words

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety".split()


def spelled(n: int) -> str:
    """A number in English words, written down independently of the reader."""
    if n < 20:
        return ONES[n]
    if n < 100:
        return TENS[n // 10] + (f"-{ONES[n % 10]}" if n % 10 else "")
    for size, name in ((10**9, "billion"), (10**6, "million"), (10**3, "thousand"), (100, "hundred")):
        if n >= size:
            rest = n % size
            joint = " and " if 0 < rest < 100 else " "
            return f"{spelled(n // size)} {name}" + (f"{joint}{spelled(rest)}" if rest else "")
    raise AssertionError


@given(st.integers(0, 10**12 - 1))
def test_a_number_in_words_is_the_number_in_digits(number: int) -> None:
    assert answer_words(spelled(number)) == answer_words(f"{number:,}") == [str(number)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2,007", "2007."),
        ("The Beatles", "beatles!"),
        ("5 million", "5,000,000"),
        ("2.5 million", "2 500 000".replace(" ", "")),
        ("50%", "fifty percent"),
        ("50 per cent", "50%"),
        ("the first", "1st"),
        ("twenty-first century", "the 21st century"),
        ("U.S.", "US"),
        ("Beyoncé", "Beyonce"),
        ("Queen’s", "queen"),
        ("well-known", "well known"),
        ("2.0", "2"),
        ("$1,000.50", "1000.5"),
    ],
)
def test_spellings_of_one_answer_are_equal(one: str, other: str) -> None:
    assert answer_words(one) == answer_words(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("3.5", "35"), ("5", "5 million"), ("1,2,3", "123"), ("first", "one"), ("two three", "5")],
)
def test_different_answers_stay_different(one: str, other: str) -> None:
    assert answer_words(one) != answer_words(other)


def test_articles_alone_are_kept() -> None:
    assert answer_words("The The") == ["the", "the"]


def test_scripts_without_spaces_are_taken_sign_by_sign() -> None:
    assert answer_words("北京。") == ["北", "京"]


@given(st.text())
def test_any_text_has_words_without_spaces_and_again_the_same(text: str) -> None:
    words = answer_words(text)
    assert all(word and not word.isspace() for word in words)
    assert answer_words(text) == words
