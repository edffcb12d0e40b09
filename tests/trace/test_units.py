"""The pieces of a text that are compared by meaning."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ragguard.text.sentences import sentence_spans
from ragguard.trace.units import LEAST_WINDOW, REACH, text_units, undecided

SENTENCES = [
    "This one has just six words.",
    "Short.",
    "Here are ten words of no interest to anybody at all.",
    "- item one of the list",
]
texts = st.lists(st.sampled_from(SENTENCES), max_size=12).map("\n".join)


def test_a_short_text_is_one_window_and_its_longer_sentences() -> None:
    text = "Sure. This one has just six words."
    assert [(text[u.read.start : u.read.end], u.window) for u in text_units(text)] == [
        ("This one has just six words.", False),
        (text, True),
    ]


def test_the_beginning_of_a_text_has_no_window_until_it_is_long_enough() -> None:
    text = " ".join([SENTENCES[2]] * 2)
    assert not any(u.window for u in text_units(text, complete=False))
    assert undecided(text)
    longer = " ".join([SENTENCES[2]] * 3)
    assert any(u.window for u in text_units(longer, complete=False))
    assert not undecided(longer)


def test_a_finding_in_the_first_window_is_about_all_of_it_and_later_ones_about_their_last_sentence() -> None:
    text = " ".join([SENTENCES[2]] * 4)
    first, second = (u for u in text_units(text, sentences=False))
    assert first.said == first.read
    assert text[second.said.start : second.said.end] == SENTENCES[2]
    assert second.read.start == 0


def test_a_window_looks_back_so_far_and_no_further() -> None:
    text = " ".join([SENTENCES[2]] * 60)
    assert max(u.words for u in text_units(text)) <= REACH


def test_a_sentence_without_an_end_is_cut() -> None:
    for text in ("word " * 1000, "x" * 5000, "漢字" * 2000):
        found = text_units(text, windows=False, least=1)
        assert len(found) > 3
        assert max(u.read.end - u.read.start for u in found) <= 600
        covered = set().union(*(range(u.read.start, u.read.end) for u in found))
        assert all(n in covered for n, c in enumerate(text) if not c.isspace())


def test_nothing_has_no_units() -> None:
    assert text_units("") == text_units(" \n") == []


@given(texts, st.integers(0, 12))
def test_what_is_said_of_a_beginning_is_said_of_the_whole(text: str, sentences: int) -> None:
    ends = [0, *(end for _, end in sentence_spans(text))]
    part = text[: ends[min(sentences, len(ends) - 1)]]
    early, late = text_units(part, complete=False), text_units(text)
    assert set(early) <= set(late)
    left = [u for u in late if u not in early]
    # What was not judged yet lies behind what was, or nothing of the beginning may be shown.
    assert undecided(part) or all(u.said.start >= len(part) for u in left)


@given(texts)
def test_windows_say_something_of_every_word(text: str) -> None:
    said = set().union(*(range(u.said.start, u.said.end) for u in text_units(text) if u.window), set())
    assert all(n in said for n, c in enumerate(text) if not c.isspace())
    assert LEAST_WINDOW > 1
