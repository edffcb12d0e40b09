"""Planted passages show beside the others: they echo, they agree, they are contradicted."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard.alignment.lexical import LexicalAligner
from ragguard.testing import HashEmbedder
from ragguard.trace.poisoning import find_echo, find_poisoned, grouped, likeness, said_about
from ragguard.types import Passage

QUESTION = "how many episodes are in the fourth season of the series"


def passages(*texts: str) -> list[Passage]:
    return [Passage(id=f"p{i}", text=text) for i, text in enumerate(texts)]


def unit(*rows: list[float]) -> np.ndarray:
    found = np.array(rows, dtype=np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_an_echo_is_the_longest_run_of_the_questions_words() -> None:
    text = f"Intro. {QUESTION.upper()}? It has 24."
    share, span = find_echo(QUESTION, text)
    assert share == 1.0
    assert span is not None
    assert text[span.start : span.end] == QUESTION.upper()
    assert find_echo(QUESTION, "the fourth season began late")[0] < 0.4


def test_a_question_of_few_words_has_no_echo() -> None:
    assert find_echo("who is he", "who is he") == (0.0, None)


@settings(max_examples=40)
@given(st.text(max_size=40), st.text(max_size=60))
def test_an_echo_lies_in_the_text(question: str, text: str) -> None:
    share, span = find_echo(question, text)
    assert 0 <= share <= 1
    assert span is None or 0 <= span.start < span.end <= len(text)


def test_one_page_of_questions_and_answers_is_no_poison() -> None:
    found = find_poisoned(QUESTION, passages(f"{QUESTION}? 23.", "Other."), unit([1, 0], [0, 1]))
    assert [s.score for s in found] == [0.0, 0.0]


def test_two_passages_that_echo_and_agree_are_suspected() -> None:
    texts = (f"{QUESTION}. It has 24.", f"{QUESTION}. There are 24 of them.", "Bridges are long.")
    found = find_poisoned(QUESTION, passages(*texts), unit([1, 0.3], [1, 0.1], [0, 1]))
    assert [s.score for s in found] == [1.0, 1.0, 0.0]


def test_three_documents_that_say_the_same_are_suspected_and_two_are_not() -> None:
    vectors = unit([1, 0.1], [1, 0.0], [1, 0.05], [0, 1])
    three = find_poisoned("q", passages("a", "b", "c", "d"), vectors)
    assert [s.score for s in three] == [1.0, 1.0, 1.0, 0.0]
    two = find_poisoned("q", passages("a", "b", "d", "e"), unit([1, 0.1], [1, 0.0], [0, 1], [-1, 1]))
    assert max(s.score for s in two) == 0.0


def test_chunks_of_one_document_and_copies_of_one_text_agree_harmlessly() -> None:
    chunks = [Passage(id=f"c{i}", text=f"part {i}", document="d") for i in range(3)]
    copies = [Passage(id=f"x{i}", text="the same") for i in range(3)]
    same = np.tile(unit([1, 0]), (3, 1))
    assert likeness(chunks, same).max() == 0.0
    assert likeness(copies, same).max() == 0.0


def test_what_the_trusted_contradict_is_suspected() -> None:
    asked = "is the sort of the list stable in this version"
    given_passages = passages("The sort of the list is stable.", "The sort of the list is not stable.")
    found = find_poisoned(
        asked,
        given_passages,
        unit([1, 0], [0, 1]),
        aligner=LexicalAligner(),
        trusted=lambda p: p.id == "p0",
    )
    assert found[0].score == 0.0
    assert found[1].dissent > 0.5
    assert found[1].score == found[1].dissent


def test_a_passage_that_nobody_suspects_is_held_against_nobody() -> None:
    asked = "is the sort of the list stable in this version"
    found = find_poisoned(
        asked,
        passages("The sort of the list is stable.", "The sort of the list is not stable."),
        unit([1, 0], [0, 1]),
        aligner=LexicalAligner(),
    )
    assert [s.dissent for s in found] == [0.0, 0.0]


def test_the_sentence_about_the_question_is_the_one_that_answers_it() -> None:
    claim = said_about(QUESTION, f"{QUESTION}? It rains. The fourth season of the series has 24 episodes.")
    assert claim is not None
    assert claim.text == "The fourth season of the series has 24 episodes."
    assert said_about(QUESTION, "It rains.") is None


@given(st.lists(st.floats(-1, 1), min_size=0, max_size=6))
def test_groups_are_the_same_whatever_order_links_are_met(values: list[float]) -> None:
    count = len(values)
    alike = np.zeros((count, count))
    for i, value in enumerate(values):
        alike[i, (i + 1) % count] = alike[(i + 1) % count, i] = value
    groups = grouped(alike, 0.5)
    assert all(groups[i] == groups[j] for i in range(count) for j in range(count) if alike[i, j] >= 0.5)


def test_nothing_retrieved_is_nothing_found() -> None:
    assert find_poisoned(QUESTION, [], HashEmbedder().embed_passages([])) == []
