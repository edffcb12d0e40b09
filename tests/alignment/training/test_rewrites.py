from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.alignment.training.rewrites import chat, merge, reword, shorten
from ragguard.alignment.training.vocabulary import CHAT_CLOSINGS, CHAT_OPENINGS, EQUALS
from ragguard.text.words import content_words

seeds = st.integers(0, 10_000).map(random.Random)
LONG = (
    "In 1987, Acme, which is a firm of Oslo, also sold bicycles (and lamps), and was bought by Rex Harding."
)


@given(seeds)
def test_a_shorter_sentence_says_nothing_new(rng: random.Random) -> None:
    found = shorten(LONG, rng)
    assert found is not None
    assert len(found) < len(LONG)
    assert set(content_words(found)) <= set(content_words(LONG))
    assert found[0].isupper()
    assert found[-1] in '.!?"”'
    assert len(found.split()) >= 4


@pytest.mark.parametrize("sentence", ["Ada left.", "Ada founded Acme.", ""])
def test_a_short_sentence_is_not_shortened(sentence: str) -> None:
    assert shorten(sentence, random.Random(0)) is None


def test_equal_words_take_the_place_of_others() -> None:
    changed = reword("The film began.", random.Random(0), share=1.0)
    assert changed.split()[0] == "The"
    assert not {"film", "began."} & set(changed.split())
    assert reword("The film began.", random.Random(0), share=0.0) == "The film began."
    assert reword("Xyzzy quuxes Zanzibar.", random.Random(0), share=1.0) == "Xyzzy quuxes Zanzibar."


def test_no_word_is_equal_to_itself() -> None:
    assert all(one != other for one, other in EQUALS.items())


@given(seeds)
def test_a_chatty_claim_still_makes_its_statement(rng: random.Random) -> None:
    found = chat("Ada founded Acme.", rng)
    assert "Ada founded Acme." in found
    around = found.replace("Ada founded Acme.", "\n").split("\n")
    assert around[0].strip() in ("", *CHAT_OPENINGS)
    assert around[1].strip() in ("", *CHAT_CLOSINGS)
    assert found != "Ada founded Acme."


@given(seeds)
def test_two_claims_are_merged_whole(rng: random.Random) -> None:
    found = merge("Ada founded Acme.", "The firm sells lamps.", rng)
    assert found.startswith("Ada founded Acme")
    assert found.lower().endswith("the firm sells lamps.")


@given(seeds, st.text(max_size=80))
def test_no_text_breaks_a_rewrite(rng: random.Random, text: str) -> None:
    found = shorten(text, rng)
    assert found is None or len(found.split()) >= 1
    assert isinstance(reword(text, rng), str)
