"""Who did what to whom, and what belongs to whom."""

from __future__ import annotations

import pytest

from ragguard.alignment.checks import compare


def outcomes(claim: str, source: str, kind: str = "role") -> set[str]:
    return {f.outcome for f in compare(claim, source).findings if f.kind == kind}


@pytest.mark.parametrize(
    ("claim", "source", "expected"),
    [
        ("Dino bought Rex.", "Rex bought Dino.", {"conflicts"}),
        ("Dino bought Rex.", "Dino was bought by Rex.", {"conflicts"}),
        ("Rex was bought by Dino.", "Rex bought Dino.", {"conflicts"}),
        ("Dino was bought by Rex.", "Rex bought Dino.", {"agrees"}),
        ("Rex buys Dino.", "Rex bought Dino in May.", {"agrees"}),
        ("Cats chase dogs.", "The dogs chase the cats.", {"conflicts"}),
        ("Dino bought Rex.", "Dino did not buy Rex.", {"conflicts"}),
        ("Dino met Rex.", "Rex met Dino.", set()),
        ("Dino bought Rex.", "Rex bought Dino. Dino bought Rex.", {"agrees"}),
        ("Max bought Rex.", "Rex bought Dino.", set()),
        ("Rex, Dino and Max left.", "Max, Dino and Rex left.", set()),
        ("Dino sued Rex.", "The chair of Rex sued Dino.", {"conflicts"}),
    ],
)
def test_the_doer_and_the_target_keep_their_sides(claim: str, source: str, expected: set[str]) -> None:
    assert outcomes(claim, source) == expected


def test_an_owner_s_deed_is_not_the_thing_s() -> None:
    assert outcomes("Rex sued Dino.", "Dino's chair sued Rex's chair.") == set()


@pytest.mark.parametrize(
    ("claim", "source", "expected"),
    [
        ("Rex's chair resigned.", "Rex spoke when Dino's chair resigned.", {"missing"}),
        ("Dino's chair resigned.", "The chair of Dino resigned.", {"agrees"}),
        ("The chair of Dino resigned.", "Dino’s chair resigned.", {"agrees"}),
        ("Rex's chair resigned.", "A chair resigned.", set()),
    ],
)
def test_what_belongs_to_another_is_not_said_of_this_one(claim: str, source: str, expected: set[str]) -> None:
    assert outcomes(claim, source, "owner") == expected


SAME_WORDS = "Rex bought Dino in 2019 after Dino's chair resigned; Dino did not buy Rex."


@pytest.mark.parametrize(
    ("claim", "kind", "expected"),
    [
        ("Dino bought Rex.", "role", "conflicts"),
        ("Rex bought Dino.", "role", "agrees"),
        ("Rex's chair resigned.", "owner", "missing"),
        ("Rex bought Dino before the chair resigned.", "order", "conflicts"),
        ("The chair may have resigned.", "modality", "agrees"),
    ],
)
def test_the_same_words_with_another_meaning_are_told_apart_by_symbols_where_a_model_must_judge(
    claim: str, kind: str, expected: str
) -> None:
    assert outcomes(claim, SAME_WORDS, kind) == {expected}
    assert compare(claim, SAME_WORDS).features["words_somewhere"] == 1.0


def test_a_sentence_of_the_source_agrees_with_itself_in_everything() -> None:
    compared = compare(SAME_WORDS, SAME_WORDS)
    assert {f.outcome for f in compared.findings} == {"agrees"}
    assert {name for name, value in compared.features.items() if value < 1.0} == set()
