"""While an answer streams, nothing of what the whole is refused for is ever shown."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard.pipeline import Pipeline
from ragguard.stream import StreamGate
from ragguard.testing import HashEmbedder
from ragguard.trace.shield import TraceShield
from ragguard.trace.tracer import Tracer
from ragguard.types import Action, Stage, Turn
from tests.trace.shelf import SECRET, index_of

TURN = Turn(question="How so?")
SENTENCES = [
    "The lamp is blue.",
    "It is lit at noon.",
    "The code is nine.",
    "Four seven, they say!",
    "The lamp is blue and lit.",
    "Is the co-\nde nine?",
    "- the code\n- is nine four",
    "3. It is.",
    "No. 5 is lit",
    "灯は青い。",
    "\n\n",
    "Ⅸ is the co\u00adde.",
]
texts = st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=7).map(" ".join)
cuts = st.lists(st.integers(0, 1000), max_size=25)


def pieces_of(text: str, places: list[int]) -> list[str]:
    borders = sorted({0, len(text), *(cut % (len(text) + 1) for cut in places)})
    return [text[a:b] for a, b in itertools.pairwise(borders)]


def held_against_batch(shield: TraceShield, answer: str, places: list[int]) -> None:
    batch = shield.check(TURN.replace(answer=answer), Stage.ANSWER)
    gate = StreamGate([shield], TURN)
    for piece in pieces_of(answer, places):
        gate.push(piece)
        assert answer.startswith(gate.released)
        if batch.action is not Action.PASS:
            refused = [s for s in batch.details["spans"] if s["bci"] > shield.threshold]
            assert refused
            assert len(gate.released) <= min(span["start"] for span in refused)
    shown = gate.released
    report = gate.finish()
    assert report.action is batch.action
    assert gate.released == (answer if batch.action is Action.PASS else shown)
    if batch.action is Action.PASS:
        assert gate.failure is None


corpora = st.tuples(st.lists(texts, min_size=1, max_size=3), st.lists(texts, max_size=2))
# Several answers to an index: it is the index that costs.
answers = st.lists(st.tuples(texts, cuts), min_size=1, max_size=8)


def word_for_word(
    folder: Path, corpus: tuple[list[str], list[str]], judged: list[tuple[str, list[int]]], least: int
) -> None:
    shield = TraceShield(Tracer(index_of(folder, *corpus), least=least), threshold=0.3)
    for answer, places in judged:
        held_against_batch(shield, answer, places)


@settings(max_examples=8, deadline=None)
@given(corpora, answers, st.integers(2, 6))
def test_no_character_of_a_refused_span_is_released_whatever_the_corpus_and_the_chunks(
    tmp_path_factory: pytest.TempPathFactory,
    corpus: tuple[list[str], list[str]],
    judged: list[tuple[str, list[int]]],
    least: int,
) -> None:
    word_for_word(tmp_path_factory.mktemp("index"), corpus, judged, least)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(corpora, answers, st.integers(2, 6))
def test_it_holds_for_many_more_corpora_and_chunks(
    tmp_path_factory: pytest.TempPathFactory,
    corpus: tuple[list[str], list[str]],
    judged: list[tuple[str, list[int]]],
    least: int,
) -> None:
    word_for_word(tmp_path_factory.mktemp("index"), corpus, judged, least)


@pytest.mark.parametrize(("sentences", "windows"), [(True, True), (True, False), (False, True)])
@settings(max_examples=4, deadline=None)
@given(st.lists(texts, min_size=1, max_size=3), answers)
def test_the_same_holds_for_what_is_found_by_meaning(
    tmp_path_factory: pytest.TempPathFactory,
    sentences: bool,
    windows: bool,
    deny: list[str],
    judged: list[tuple[str, list[int]]],
) -> None:
    folder = tmp_path_factory.mktemp("index")
    tracer = Tracer(
        index_of(folder, deny), embedder=HashEmbedder(), sentences=sentences, windows=windows, least=4
    )
    for answer, places in judged:
        held_against_batch(TraceShield(tracer, threshold=0.3), answer, places)


def test_a_match_that_begins_in_a_sentence_already_judged_is_held_from_its_start(tmp_path: Path) -> None:
    secret = "The lamp is blue. Turn it twice and the door opens by itself."
    shield = TraceShield(Tracer(index_of(tmp_path, deny=(secret,))))
    gate = StreamGate([shield], TURN)
    assert gate.push("Well now. The lamp is blue. Turn ") == "Well now. "
    assert gate.push("it twice and the door opens by itself. And ") == ""
    assert gate.failure is not None
    assert gate.finish().action is Action.REFUSE
    assert gate.released == "Well now. "


def test_what_turns_out_harmless_is_released_after_all(tmp_path: Path) -> None:
    secret = "The lamp is blue. Turn it twice and the door opens by itself."
    gate = StreamGate([TraceShield(Tracer(index_of(tmp_path, deny=(secret,))))], TURN)
    assert gate.push("Well now. The lamp is blue. Turn ") == "Well now. "
    assert gate.push("left at noon. And ") == "The lamp is blue. Turn left at noon. "


def test_a_long_harmless_answer_comes_out_sentence_by_sentence(tmp_path: Path) -> None:
    gate = StreamGate([TraceShield(Tracer(index_of(tmp_path)))], TURN)
    parts = [gate.push(f"Sentence {n} says something else. ") for n in range(12)]
    assert sum(bool(part) for part in parts) >= 10
    assert gate.finish().released
    assert gate.released == gate.answer


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_denied_text_split_across_chunks_is_caught(tmp_path: Path, size: int) -> None:
    answer = f"Good morning to you. {SECRET} Have a nice day. Bye now."
    gate = StreamGate([TraceShield(Tracer(index_of(tmp_path)))], TURN)
    for start in range(0, len(answer), size):
        gate.push(answer[start : start + size])
    assert gate.failure is not None
    assert gate.finish().action is Action.REFUSE
    assert gate.released == "Good morning to you. "


def test_a_redacted_answer_shows_no_more_than_its_beginning_while_it_streams(tmp_path: Path) -> None:
    answer = f"Good morning to you. {SECRET} Have a nice day."
    shield = TraceShield(Tracer(index_of(tmp_path)), policy="redact")
    gate = StreamGate([shield], TURN)
    gate.push(answer)
    report = gate.finish()
    assert gate.released == "Good morning to you. "
    assert report.action is Action.REVISE
    assert report.text == "Good morning to you. Have a nice day."
    assert Pipeline([shield]).check(TURN.replace(answer=report.text)).action is Action.PASS
