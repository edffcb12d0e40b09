"""Which sentences are read for a claim."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard.alignment.chunks import chunk_passages
from ragguard.alignment.selection import SentenceIndex, stems_of
from ragguard.types import Passage
from tests.alignment.word_engine import tokens_of

WORDS = ["bridge", "open", "river", "flood", "tower", "copper", "1978", "1987", "oslo", "acme"]
TOKENS = tokens_of(512)


def index_of(*texts: str, budget: int = 64) -> SentenceIndex:
    passages = [Passage(id=str(i), text=text) for i, text in enumerate(texts)]
    return SentenceIndex(chunk_passages(passages, TOKENS.spans, budget=budget), TOKENS.counts)


def texts_at(index: SentenceIndex, places: list[int]) -> list[str]:
    return [index.sentences[place].text for place in places]


def test_the_sentence_that_shares_most_comes_first() -> None:
    index = index_of("The tower is old. The bridge opened in 1978.", "The bridge is long.")
    best = index.best(stems_of("The bridge opened in 1987."), 3)
    assert texts_at(index, best) == ["The bridge opened in 1978.", "The bridge is long."]


def test_a_rare_word_tells_more_than_a_common_one() -> None:
    index = index_of("Acme sells lamps. Acme sells coffee. Acme is known. Oslo is a town.")
    assert texts_at(index, index.best(stems_of("Acme of Oslo"), 1)) == ["Oslo is a town."]


def test_together_holds_the_words_of_both_halves() -> None:
    index = index_of("Ada founded Acme. Ada was tall.", "Acme is based in Oslo. Oslo is cold.")
    together = index.together(stems_of("Ada's company Acme is based in Oslo."), 2)
    assert set(texts_at(index, together)) == {"Ada founded Acme.", "Acme is based in Oslo."}


def test_a_sentence_that_adds_no_word_is_not_taken_along() -> None:
    index = index_of("The bridge opened in 1978. The bridge opened. The bridge is long.")
    assert len(index.together(stems_of("The bridge opened in 1978."), 4)) == 1


def test_a_sentence_in_two_chunks_is_there_once() -> None:
    text = " ".join(f"Record {i} is about copper and its price in the year." for i in range(12))
    index = index_of(text)
    assert len(index.sentences) == 12


def test_nothing_shared_means_nothing_chosen() -> None:
    index = index_of("The bridge opened in 1978.")
    assert index.best(stems_of("Elephants are pink."), 3) == []
    assert index.together(stems_of("Elephants are pink."), 3) == []


def test_the_place_of_a_character_is_the_sentence_around_it() -> None:
    index = index_of("The tower is old. The bridge opened.", "Another passage.")
    assert texts_at(index, [index.at(0, 20)]) == ["The bridge opened."]  # type: ignore[list-item]
    assert texts_at(index, [index.at(1, 0)]) == ["Another passage."]  # type: ignore[list-item]
    assert index.at(2, 0) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [("大桥于1978年通车。", "这座大桥很长。"), ("पुल 1978 में खुला।", "यह पुल लंबा है।"), ("ראש העיר", "העיר")],
)
def test_scripts_without_blanks_or_with_marks_share_words_too(one: str, other: str) -> None:
    assert stems_of(one) & stems_of(other)


def test_a_crowd_beside_the_point_does_not_make_common_words_tell_more() -> None:
    texts = ["Acme is here.", *(f"Bridge {i} and river." for i in range(5))]
    wanted = stems_of("Acme, bridge and river")
    crowd = [f"Elephants of {'x' * (i + 2)} are pink." for i in range(200)]
    for everything in (texts, [*texts, *crowd]):
        index = index_of(*everything)
        assert texts_at(index, index.best(wanted, 1)) == ["Acme is here."]


sentences = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(
    lambda w: " ".join(w).capitalize() + "."
)
passages = st.lists(sentences, min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(passages, st.lists(st.sampled_from(WORDS), min_size=1, max_size=4), st.integers(1, 40))
def test_passages_beside_the_point_change_no_choice(texts: list[str], words: list[str], more: int) -> None:
    wanted = stems_of(" ".join(words))
    alone = index_of(*texts)
    crowded = index_of(*texts, *(f"Elephants number {'x' * (i + 2)} are pink." for i in range(more)))
    for choose in ("best", "together"):
        few = texts_at(alone, getattr(alone, choose)(wanted, 4))
        assert texts_at(crowded, getattr(crowded, choose)(wanted, 4)) == few
