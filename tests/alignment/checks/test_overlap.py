"""Overlap of words and of word sequences."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.alignment.checks import SourceFacts
from ragguard.alignment.checks.overlap import OVERLAP, overlap
from ragguard.alignment.checks.tokens import read

SOURCE = "The old stone bridge opened in 1978. It carries two lanes of cars across the river Arno."


def features(claim: str, source: str = SOURCE) -> dict[str, float]:
    return overlap(read(claim), SourceFacts.of(source))


@pytest.mark.parametrize("name", [name for name in OVERLAP if name not in ("focus",)])
def test_a_copied_sentence_has_it_all_and_a_foreign_one_less(name: str) -> None:
    assert features("The old stone bridge opened in 1978.")[name] == 1.0
    assert features("Elephants eat purple grass daily.")[name] < 0.5


def test_shuffled_words_keep_recall_and_lose_order() -> None:
    straight, shuffled = features("The old stone bridge opened."), features("Opened bridge the stone old.")
    assert shuffled["words_in_sentence"] == straight["words_in_sentence"] == 1.0
    for name in ("pairs", "triples", "longest_run", "copied", "ordered"):
        assert shuffled[name] < straight[name], name


def test_words_spread_over_the_source_are_in_no_one_sentence() -> None:
    found = features("The bridge carries stone.")
    assert found["words_somewhere"] == 1.0
    assert found["words_in_sentence"] < 1.0
    assert found["words_in_window"] == 1.0


def test_one_foreign_sentence_shows_in_the_worst() -> None:
    found = features("The old stone bridge opened in 1978. Elephants eat grass.")
    assert found["worst_sentence"] == 0.0
    assert found["words_in_sentence"] > 0.4


def test_numbers_count_as_words_in_any_spelling() -> None:
    assert features("It carries 2 lanes.")["words_in_sentence"] == 1.0


def test_text_without_spaces_is_read_by_letters() -> None:
    assert features("法国的首都是巴黎", "巴黎是法国的首都。")["words"] == 1.0
    assert features("东京", "巴黎是法国的首都。")["words"] == 0.0


@given(st.text(max_size=80), st.text(max_size=80))
def test_every_feature_stays_in_range(claim: str, source: str) -> None:
    assert all(0.0 <= value <= 1.0 for value in features(claim, source).values())


@given(
    st.lists(
        st.sampled_from("the bridge opened in 1978 river lanes stone not".split()), min_size=1, max_size=12
    )
)
def test_any_text_supports_itself_in_words(words: list[str]) -> None:
    text = " ".join(words)
    found = features(text, text)
    assert {name for name in OVERLAP if name not in ("focus",) and found[name] < 1.0} == set()
