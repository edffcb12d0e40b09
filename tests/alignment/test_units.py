"""What is read for a claim that says nothing when read alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.alignment.claims import split_claims
from ragguard.alignment.units import (
    Unit,
    is_short_answer,
    leans_on_another,
    script_of,
    seems_english,
    units,
)


def units_of(answer: str, question: str = "") -> list[Unit]:
    return units(split_claims(answer), question=question)


def read(answer: str, question: str = "") -> list[str]:
    return [unit.text for unit in units_of(answer, question)]


def test_a_short_answer_is_read_after_its_question() -> None:
    (unit,) = units_of("Paris.", "What is the capital\nof France?")
    assert unit.text == "What is the capital of France? Paris."
    assert unit.alternatives == ("Paris.",)
    assert unit.claim.text == "Paris."


def test_without_a_question_a_short_answer_stays_as_it_is() -> None:
    (unit,) = units_of("Paris.")
    assert (unit.text, unit.alternatives) == ("Paris.", ())


def test_each_item_of_a_list_of_names_is_read_after_the_question() -> None:
    assert read("- Paris\n- Rome", "Which cities?") == ["Which cities? Paris", "Which cities? Rome"]


@pytest.mark.parametrize(
    "text",
    [
        "Paris.",
        "5 mg daily",
        "Yes.",
        "No, in 1987.",
        "Founded in 1987",
        "Is stable",
        "Ada Li and Bo",
        "巴黎。",
        "**42**",
    ],
)
def test_a_few_words_without_a_statement_are_a_short_answer(text: str) -> None:
    assert is_short_answer(text)


@pytest.mark.parametrize(
    "text",
    [
        "Ada left.",
        "The sort is stable.",
        "No. 5 is the red one.",
        "法国的首都是巴黎，它很大而且很美。",
        "It was built by Ada Li.",
    ],
)
def test_a_sentence_is_no_short_answer(text: str) -> None:
    assert not is_short_answer(text)


def test_a_pronoun_is_read_after_what_it_stands_for() -> None:
    answer = "Dr. Smith et al. (2020) paid $3.5 million to U.S. Corp. in Jan. 2021. He left. They met."
    first, second, third = units_of(answer)
    assert first.alternatives == ()
    assert second.text == f"{first.text} He left."
    assert second.alternatives == ("He left.",)
    assert third.text == f"{first.text} They met."
    assert answer[second.claim.span.start : second.claim.span.end] == "He left."


def test_a_first_sentence_with_a_pronoun_is_read_after_the_question() -> None:
    assert read("It is stable.", "Is the sort stable?") == ["Is the sort stable? It is stable."]
    assert read("It is stable.") == ["It is stable."]


def test_a_yes_is_not_what_a_pronoun_stands_for() -> None:
    assert read("Yes. It has been for years.", "Is it open?")[1] == "Is it open? It has been for years."


def test_an_antecedent_too_long_or_too_far_is_left_out() -> None:
    assert read("Ada " + "very " * 80 + "often left. She slept.")[1] == "She slept."
    far = "Ada left. " + "She slept. " * 5
    assert read(far)[-1] == "She slept."
    assert read(far)[1] == "Ada left. She slept."


@pytest.mark.parametrize(
    "text",
    [
        "He left.",
        "its height is 300 m",
        "These are red.",
        "However, it fell.",
        "In 1987, she left.",
        "After the long war, they met.",
        "And he left.",
        "Both of them left.",
        "**They** left.",
        "One of them is red.",
        "which fell in 1987",
    ],
)
def test_a_pronoun_or_a_demonstrative_leans_on_another_sentence(text: str) -> None:
    assert leans_on_another(text)


@pytest.mark.parametrize(
    "text",
    [
        "Ada left.",
        "Paris, which is big, is old.",
        "It is known that it fell.",
        "Item 5 fell.",
        "Thistles grow.",
        "",
    ],
)
def test_other_sentences_stand_by_themselves(text: str) -> None:
    assert not leans_on_another(text)


def test_a_table_row_is_read_without_its_bars() -> None:
    (unit,) = units_of("| Drug | Dose |\n|---|---|\n| Aspirin | 5 mg |")
    assert unit.text == "Aspirin; 5 mg"
    assert unit.alternatives == ("| Aspirin | 5 mg |",)
    assert read("The type is int | None.") == ["The type is int | None."]


def test_lines_of_a_claim_are_read_as_one() -> None:
    assert read("The dose is\n5 mg daily.") == ["The dose is 5 mg daily."]


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Paris", "latin"),
        ("École", "latin"),
        ("巴黎", "cjk"),
        ("पेरिस", "devanagari"),
        ("Париж", "cyrillic"),
        ("パリ", "katakana"),
        ("باريس", "arabic"),
        ("5.", ""),
        ("", ""),
        ("Paris 巴", "latin"),
    ],
)
def test_the_script_of_most_letters_is_named(text: str, script: str) -> None:
    assert script_of(text) == script


@pytest.mark.parametrize(
    "text",
    ["The tower is tall.", "Paris", "42", "list.sort() sorts in place.", "Dr. van der Berg left the room."],
)
def test_english_is_calibrated(text: str) -> None:
    assert seems_english(text)
    assert all(unit.calibrated for unit in units_of(text))


@pytest.mark.parametrize(
    "text",
    [
        "巴黎很大。",
        "पेरिस बड़ा है।",
        "Der Turm ist 300 m hoch.",
        "La tour est haute.",
        "Париж большой.",
        "La torre es muy alta.",
    ],
)
def test_another_language_is_flagged_as_uncalibrated(text: str) -> None:
    assert not seems_english(text)
    assert not any(unit.calibrated for unit in units_of(text, "Why?"))


@given(st.text(max_size=60), st.text(max_size=20))
def test_every_claim_gives_one_unit_whatever_the_text(answer: str, question: str) -> None:
    claims = split_claims(answer)
    found = units(claims, question=question)
    assert [unit.claim for unit in found] == claims
    assert all(unit.text.strip() for unit in found)
    assert all(unit.text not in unit.alternatives for unit in found)


@pytest.mark.parametrize("sign", ["#", "in a ", "it ", "x", "| ", "and "])
def test_a_long_claim_does_not_stall_it(sign: str) -> None:
    text = sign * 30_000 + "x"
    assert units_of(text, "Why?")
    assert leans_on_another(text) == text.startswith("it ")
