"""Nothing of a passage is left unread, and what is read leads back to the passage."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard.alignment.chunks import Chunk, chunk_passages, seen_share, sentences_of
from ragguard.errors import InvalidValueError
from ragguard.models.bundled import bundled_folder
from ragguard.models.pair_tokens import PairTokens
from ragguard.types import Passage

Ranges = list[list[tuple[int, int]]]
ODD = 'a 。é漢字ไทย😀\x00\x1f\u200b\ufeff\u2028\n\t|,;:{}[]"\\-1.\ud800ß'
TABLE = "| Product | Price |\n|---|---|\n" + "\n".join(f"| P{i} | {i} kr |" for i in range(200))


def words_as_tokens(texts: Sequence[str]) -> Ranges:
    return [[m.span() for m in re.finditer(r"\S+", text)] for text in texts]


@cache
def bundled() -> PairTokens:
    return PairTokens.from_folder(bundled_folder(), max_tokens=512)


@cache
def byte_level() -> PairTokens:
    """A tokenizer of bytes with merges, as RoBERTa has: one character can be four tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(["the sort is stable and fast. " * 5, TABLE], trainer)
    return PairTokens(tokenizer.to_str(), max_tokens=512)


def passages_of(*texts: str) -> list[Passage]:
    return [Passage(id=str(place), text=text) for place, text in enumerate(texts)]


def check(passages: Sequence[Passage], chunks: Sequence[Chunk], spans: object, budget: int) -> None:
    """The promises of `chunk_passages`, whatever the text."""
    assert seen_share(passages, chunks) == 1
    assert [c.passage for c in chunks] == sorted(c.passage for c in chunks)
    counts = [len(one) for one in spans([c.text for c in chunks])]  # type: ignore[operator]
    assert all(count <= budget for count in counts)
    for chunk in chunks:
        source = passages[chunk.passage].text
        assert chunk.text
        for piece in chunk.pieces:
            if piece.role == "text" and piece.verbatim:
                read = chunk.text[piece.start : piece.end]
                assert re.sub(r"\s", " ", source[piece.source.start : piece.source.end]) == read
        read_in_units = "".join(chunk.text[a:b] for a, b in chunk.units)
        assert read_in_units.replace(" ", "") == chunk.text.replace(" ", "")
        for start, end in chunk.units:
            span = chunk.source_span(start, end)
            assert 0 <= span.start < span.end <= len(source)


tables = st.lists(st.lists(st.text(ODD, max_size=6), min_size=2, max_size=3), min_size=2, max_size=6).map(
    lambda rows: "\n".join(" | ".join(row) for row in [rows[0], ["---"] * len(rows[0]), *rows[1:]])
)
texts = st.text(ODD, max_size=200) | st.text(max_size=60).map(lambda t: t * 5) | tables


@settings(max_examples=100, deadline=None)
@given(st.lists(texts, max_size=3), st.sampled_from([8, 13, 40]), st.integers(0, 2))
def test_every_character_is_in_a_chunk_and_every_chunk_fits(
    given_texts: list[str], budget: int, overlap: int
) -> None:
    passages = passages_of(*given_texts)
    for spans in (bundled().spans, byte_level().spans, words_as_tokens):
        chunks = chunk_passages(passages, spans, budget=budget, overlap=overlap)
        check(passages, chunks, spans, budget)


LONG = [
    "word " * 2000 + "Ada founded Acme in Oslo",
    "1,234.5|" * 1500,
    "漢字" * 3000,
    "ภาษาไทยไม่มีช่องว่าง" * 60,
    "x" * 5000,
    "😀" * 900,
    TABLE,
    '[{"name": "Cafe", "text": "' + "Good food. " * 300 + '"}]',
    "It sorts. " * 1500,
    "a\n" * 3000,
]


@pytest.mark.parametrize("text", LONG, ids=range(len(LONG)))
@pytest.mark.parametrize("tokens", [bundled, byte_level])
def test_long_texts_are_read_to_their_end(text: str, tokens: object) -> None:
    passages, spans = passages_of(text), tokens().spans  # type: ignore[operator]
    chunks = chunk_passages(passages, spans, budget=120)
    check(passages, chunks, spans, 120)
    assert len(chunks) > 1 or tokens is bundled  # to which a run of emoji is one unknown token


def test_a_fact_in_the_last_words_of_an_endless_sentence_is_read_whole() -> None:
    passages = passages_of("word " * 2000 + "Ada founded Acme in Oslo")
    last = chunk_passages(passages, bundled().spans, budget=480)[-1]
    where = last.text.index("Ada founded")
    span = last.source_span(where, len(last.text))
    assert passages[0].text[span.start : span.end] == "Ada founded Acme in Oslo"


def test_an_endless_sentence_is_cut_with_an_overlap() -> None:
    chunks = chunk_passages(passages_of(" ".join(f"w{i}" for i in range(300))), words_as_tokens, budget=80)
    for one, following in itertools.pairwise(chunks):
        assert following.text.split()[0] in one.text.split()
    assert all(len(c.text.split()) <= 80 for c in chunks)


def test_sentences_are_packed_whole_and_the_last_is_repeated() -> None:
    text = " ".join(f"This is sentence {i}." for i in range(10))
    chunks = chunk_passages(passages_of(text), words_as_tokens, budget=12)
    assert [re.findall(r"\d", c.text) for c in chunks][:3] == [
        ["0", "1", "2"],
        ["2", "3", "4"],
        ["4", "5", "6"],
    ]
    plain = chunk_passages(passages_of(text), words_as_tokens, budget=12, overlap=0)
    assert [re.findall(r"\d", c.text) for c in plain][:2] == [["0", "1", "2"], ["3", "4", "5"]]


def test_an_endless_sentence_is_cut_at_lines_and_clauses_before_words() -> None:
    text = "\n".join(f"a{i} b{i} c{i}" for i in range(9)) + ", d e f, g h i"
    units = [
        c.text[a:b] for c in chunk_passages(passages_of(text), words_as_tokens, budget=24) for a, b in c.units
    ]
    assert all(re.fullmatch(r"a\d b\d c\d,?|d e f,|g h i", unit) for unit in units)


def test_passages_are_never_joined_and_blank_ones_give_nothing() -> None:
    chunks = chunk_passages(passages_of("One.", " \n", "", "Two."), words_as_tokens, budget=50)
    assert [(c.passage, c.text) for c in chunks] == [(0, "One."), (3, "Two.")]
    assert chunk_passages([], words_as_tokens, budget=50) == []
    assert seen_share([], []) == 1


def test_white_space_is_read_as_one_blank_and_leads_back() -> None:
    text = "It is\r\n\t stable. \n\n It is  fast."
    (chunk,) = chunk_passages(passages_of(text), words_as_tokens, budget=50)
    assert chunk.text == "It is stable. It is fast."
    assert [text[s.start : s.end] for s in [chunk.source_span(a, b) for a, b in chunk.units]] == [
        "It is\r\n\t stable.",
        "It is  fast.",
    ]


def test_a_row_leads_back_to_its_cells_and_a_label_to_the_header() -> None:
    (chunk,) = chunk_passages(
        passages_of("| Drug | Dose |\n|---|---|\n| A | 5 mg |"), words_as_tokens, budget=50
    )
    source = "| Drug | Dose |\n|---|---|\n| A | 5 mg |"
    assert chunk.text == "Drug: A; Dose: 5 mg."
    whole, label = chunk.source_span(0, len(chunk.text)), chunk.source_span(0, 4)
    assert source[whole.start : whole.end] == "A | 5 mg"
    assert source[label.start : label.end] == "Drug"
    assert chunk.source_span(4, 6)  # ": " stands for nothing, and leads to what is next to it


def test_a_word_too_long_for_the_tokenizer_is_read_in_parts() -> None:
    passages = passages_of("key " + "abcdefghij" * 30 + " end")
    (chunk,) = chunk_passages(passages, bundled().spans, budget=400)
    assert max(map(len, chunk.text.split())) <= 100
    assert len(bundled().spans([chunk.text])[0]) > 30
    span = chunk.source_span(4, len(chunk.text) - 4)
    assert passages[0].text[span.start : span.end] == "abcdefghij" * 30


def test_a_share_not_seen_is_counted() -> None:
    passages = passages_of("One two. Three four.", "Five.")
    chunks = chunk_passages(passages, words_as_tokens, budget=50)
    assert seen_share(passages, chunks[1:]) == pytest.approx(5 / 22)
    assert seen_share(passages, []) == 0


def test_sentences_of_a_passage_are_its_own_characters() -> None:
    text = "Dr. Wu left. He slept.\n\nName\tAge\nBo\t5\nAl\t6"
    spans = sentences_of(Passage(id="a", text=text))
    assert [text[s.start : s.end] for s in spans] == ["Dr. Wu left.", "He slept.", "Bo\t5", "Al\t6"]


def test_a_hopeless_budget_is_refused() -> None:
    with pytest.raises(InvalidValueError):
        chunk_passages([], words_as_tokens, budget=7)
    with pytest.raises(InvalidValueError):
        chunk_passages([], words_as_tokens, budget=50, overlap=-1)
    (chunk,) = chunk_passages(passages_of("One."), words_as_tokens, budget=50)
    for start, end in ((0, 5), (2, 2), (-1, 2)):
        with pytest.raises(InvalidValueError):
            chunk.source_span(start, end)


@pytest.mark.parametrize(
    "text", ["It is stable. ", "a, b\n", "| a | b |\n", "x", "漢", '{"a":', "\x00 ", "Paris, big; "]
)
def test_two_hundred_thousand_characters_are_read_without_stalling(text: str) -> None:
    passages = passages_of(text * (200_000 // len(text)))
    chunks = chunk_passages(passages, words_as_tokens, budget=400)
    assert seen_share(passages, chunks) == 1
