"""Made examples: labels that the source bears out, and mirrors that hold."""

from __future__ import annotations

import random
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard.alignment.training.examples import CONTRADICTED, ENTAILED, NEUTRAL, Example
from ragguard.alignment.training.made import made_examples, usable_sentences
from ragguard.alignment.training.rewrites import EQUALS

FIRMS, PEOPLE, TOWNS = ("Acme", "Dino", "Brix"), ("Ada Lovett", "Rex Harding"), ("Oslo", "Berlin", "Cadiz")


@st.composite
def passages(draw: st.DrawFn) -> str:
    """Prose of two to five sentences, none with a number written as a word."""
    found = []
    for _ in range(draw(st.integers(2, 5))):
        firm, person, town = (draw(st.sampled_from(names)) for names in (FIRMS, PEOPLE, TOWNS))
        year, amount = draw(st.integers(1900, 1999)), draw(st.integers(10, 99))
        found.append(
            draw(
                st.sampled_from(
                    [
                        f"In {year} the firm {firm} was founded by {person} near {town}.",
                        f"The shop of {firm} sells {amount} bicycles a day in {town}.",
                        f"It is said that {person} met the owner of {firm} before {year}.",
                    ]
                )
            )
        )
    return " ".join(dict.fromkeys(found))


def made(passage: str, seed: int) -> list[Example]:
    names, near = ("Zanzibar", "Quentin"), lambda word: ("zebras",) if word == "bicycles" else ()
    return list(made_examples(passage, random.Random(seed), names=names, near=near, per_passage=4))


def numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+", text))


@given(passages(), st.integers(0, 999))
@settings(max_examples=150)
def test_in_a_mirrored_example_the_changed_claim_is_in_the_source(passage: str, seed: int) -> None:
    for one in made(passage, seed):
        if one.origin.endswith(", mirrored") and one.three_way == ENTAILED:
            for word in ("zebras", "Zanzibar", "Quentin"):
                assert word not in one.claim or word in one.source, one
            if one.origin.startswith("made: number"):
                assert numbers(one.claim) <= numbers(one.source), one


@given(passages(), st.integers(0, 999))
@settings(max_examples=150)
def test_a_mirror_changes_one_place_and_whole_words_only(passage: str, seed: int) -> None:
    for one in made(passage, seed):
        if one.origin == "made: negation, mirrored":
            words = set(re.findall(r"\w+", one.source.replace("n't", ""))) - {"not", "never"}
            assert words <= set(re.findall(r"\w+", passage)), one
            assert len(re.findall(r"\bnot\b|\bnever\b|n't\b", one.source)) == 1, one


@given(passages(), st.integers(0, 999))
@settings(max_examples=150)
def test_in_the_other_mirror_the_source_says_something_else(passage: str, seed: int) -> None:
    for one in made(passage, seed):
        if one.origin.endswith(", mirrored") and one.three_way != ENTAILED:
            assert one.source not in passage
            if one.origin.startswith("made: near word"):
                assert "zebras" in one.source
                assert "zebras" not in one.claim


@given(passages(), st.integers(0, 999))
@settings(max_examples=100)
def test_a_kept_claim_takes_its_numbers_and_names_from_its_source(passage: str, seed: int) -> None:
    for one in made(passage, seed):
        if one.origin == "made: kept":
            assert one.three_way == ENTAILED
            assert numbers(one.claim) <= numbers(one.source) | {v for v in EQUALS.values() if v.isdigit()}
            assert one.source in passage
            assert "Zanzibar" not in one.claim


@given(passages(), st.integers(0, 999))
@settings(max_examples=100)
def test_labels_agree_and_origins_are_named(passage: str, seed: int) -> None:
    found = made(passage, seed)
    assert found
    for one in found:
        assert one.binary == int(one.three_way == ENTAILED)
        assert one.three_way in (ENTAILED, NEUTRAL, CONTRADICTED)
        assert one.origin.startswith("made: ")
        assert one.source.strip()
        assert one.claim.strip()
        assert one.similarity in (None, 0.0, 0.5, 1.0)
        assert one.similarity != 1.0 or one.three_way == ENTAILED


@given(passages(), st.integers(0, 999))
def test_a_claim_whose_source_was_dropped_is_neutral(passage: str, seed: int) -> None:
    for one in made(passage, seed):
        if one.origin == "made: source dropped":
            assert one.three_way == NEUTRAL
            assert one.source != passage


@given(passages(), st.integers(0, 999))
def test_the_same_seed_makes_the_same(passage: str, seed: int) -> None:
    assert made(passage, seed) == made(passage, seed)


@given(st.text(max_size=200), st.integers(0, 99))
@settings(max_examples=60)
def test_no_text_breaks_it(passage: str, seed: int) -> None:
    for one in made(passage, seed):
        assert isinstance(one.claim, str)


def test_only_whole_statements_are_used() -> None:
    passage = "Yes. Ada founded the firm in Oslo. " + "Word " * 50 + "end."
    assert usable_sentences(passage) == ["Ada founded the firm in Oslo."]
