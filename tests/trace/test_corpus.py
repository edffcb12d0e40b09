from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragguard.errors import IndexFileError, InvalidValueError, UnknownNameError
from ragguard.trace.corpus import TraceCorpus
from ragguard.trace.documents import TraceDocument
from ragguard.trace.segment import Segment
from ragguard.trace.segment_writer import write_segments
from ragguard.trace.tokens import tokenise
from tests.trace import oracle

# Words in several disguises, so that offsets differ from places of words.
WORDS = st.sampled_from(["a", "B", "ç", "ｄ", "ﬀ", "'a'", "b\u200b", "ß,"])
TEXTS = st.lists(WORDS, max_size=14).map(" ".join)
GROUPS = st.lists(st.lists(TEXTS, max_size=3), max_size=3)


def corpus_of(folder: Path, groups: list[list[str]]) -> TraceCorpus:
    """One segment a group; documents are numbered throughout."""
    segments, number = [], 0
    for group in groups:
        documents = [TraceDocument(str(number + place), text) for place, text in enumerate(group)]
        number += len(group)
        names = write_segments(folder, documents, engine="pydivsufsort", shard_tokens=1 << 20)
        segments += [Segment(folder / name) for name in names]
    return TraceCorpus("deny", segments)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(groups=GROUPS, text=TEXTS, least=st.integers(1, 4))
def test_matches_equal_the_oracle_in_counts_documents_and_offsets(
    tmp_path: Path, groups: list[list[str]], text: str, least: int
) -> None:
    corpus, tokens = corpus_of(tmp_path, groups), tokenise(text)
    texts = [document for group in groups for document in group]
    documents = [tokenise(document) for document in texts]
    words = [document.words for document in documents]
    matches = corpus.matches(tokens, least=least)
    assert [(m.start, m.end) for m in matches] == oracle.maximal(words, tokens.words, least)
    for match in matches:
        run = tokens.words[match.start : match.end]
        assert tokenise(text[match.span.start : match.span.end]).words == run
        places = oracle.occurrences(words, run)
        assert match.count == len(places)
        expected = [
            (str(d), int(documents[d].starts[p]), int(documents[d].ends[p + len(run) - 1]))
            for d, p in places[:5]
        ]
        assert [(o.document, o.span.start, o.span.end) for o in match.occurrences] == expected


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(groups=GROUPS, text=TEXTS)
def test_the_open_suffix_equals_the_oracle(tmp_path: Path, groups: list[list[str]], text: str) -> None:
    corpus, tokens = corpus_of(tmp_path, groups), tokenise(text)
    words = [tokenise(document).words for group in groups for document in group]
    total = len(tokens.words)
    expected = next((s for s in range(total) if oracle.occurrences(words, tokens.words[s:])), total)
    assert corpus.open_from(tokens) == expected


def test_a_long_open_suffix_is_followed_to_its_beginning(tmp_path: Path) -> None:
    text = " ".join(f"w{place}" for place in range(400))
    corpus = corpus_of(tmp_path, [[text]])
    assert corpus.open_from(tokenise(f"before it {text}")) == 2
    assert corpus.open_from(tokenise(text)) == 0
    assert corpus.open_from(tokenise(f"{text} after")) == 401


def test_no_match_crosses_from_one_document_into_the_next(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, [["one two three", "four five six"], ["seven eight"]])
    matches = corpus.matches(tokenise("one two three four five six seven eight"), least=1)
    assert [(m.start, m.end) for m in matches] == [(0, 3), (3, 6), (6, 8)]


def test_a_corpus_without_documents_matches_nothing() -> None:
    empty = TraceCorpus("policy")
    tokens = tokenise("some words that are nowhere")
    assert empty.matches(tokens, least=1) == []
    assert empty.open_from(tokens) == 5
    assert (empty.size, len(empty), list(empty.documents())) == (0, 0, [])


def test_documents_without_a_word_are_kept_and_match_nothing(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, [["", " … !"]])
    assert [document.text for document in corpus.documents()] == ["", " … !"]
    assert corpus.matches(tokenise("a"), least=1) == []
    assert corpus.size == 0


def test_a_text_without_a_word_matches_nothing(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, [["a b c"]])
    assert corpus.matches(tokenise("?!"), least=1) == []
    assert corpus.open_from(tokenise("")) == 0


def test_at_most_five_occurrences_are_named_and_all_are_counted(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, [["x y " * 4, "x y"], ["x y " * 3]])
    (match,) = corpus.matches(tokenise("x y"), least=2)
    assert match.count == 8
    assert [o.document for o in match.occurrences] == ["0"] * 4 + ["1"]
    assert [o.span.start for o in match.occurrences] == [0, 4, 8, 12, 0]


@pytest.mark.parametrize("text", ["Zoë\r\n\u2028\U0001f600 \ud800 e\u0301", "", "\x00\ufeff"])
def test_a_document_comes_back_character_by_character(tmp_path: Path, text: str) -> None:
    documents = [TraceDocument("før", text), TraceDocument("other", "x")]
    (name,) = write_segments(tmp_path, documents, engine="pydivsufsort", shard_tokens=1 << 20)
    corpus = TraceCorpus("deny", [Segment(tmp_path / name)])
    assert corpus.document("før") == TraceDocument("før", text)
    assert "før" in corpus
    assert "for" not in corpus


def test_refuses_to_name_a_document_it_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="'nine'"):
        corpus_of(tmp_path, [["a"]]).document("nine")


def test_refuses_matches_of_no_words(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="least"):
        corpus_of(tmp_path, [["a"]]).matches(tokenise("a"), least=0)


def test_files_that_contradict_one_another_are_a_typed_error(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, [["a b c d", "e f"]])
    segment: Any = corpus.segments[0]
    segment._documents = segment._documents + 99
    with pytest.raises(IndexFileError):
        corpus.matches(tokenise("a b c d"), least=1)
