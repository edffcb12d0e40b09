from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragguard.errors import IndexFileError, InvalidValueError, MissingDependencyError, UnknownNameError
from ragguard.trace.documents import TraceDocument
from ragguard.trace.index import TraceIndex
from ragguard.trace.infini import EngineArray, write_engine_files
from ragguard.trace.suffix_array import UNKNOWN, SuffixArray, build, padded, token_type
from ragguard.trace.tokens import tokenise
from tests.trace import oracle

TOKENS = st.sampled_from([1, 2, 255, 256, 513])
DOCUMENTS = st.lists(st.lists(TOKENS, max_size=30), min_size=1, max_size=3)
QUERIES = st.lists(st.one_of(TOKENS, st.just(UNKNOWN)), max_size=30)
WIDE = st.sampled_from([600, 70_000])


def flat(documents: list[list[int]], words: int) -> np.ndarray:
    return np.array([t for document in documents for t in (*document, 0)], dtype=token_type(words))


def engine_of(folder: Path, tokens: np.ndarray, words: int) -> EngineArray:
    write_engine_files(folder, tokens)
    return EngineArray(folder, tokens=tokens.size, words=words, width=tokens.dtype.itemsize)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents=DOCUMENTS, query=QUERIES, words=WIDE)
def test_the_engine_and_the_suffix_array_find_the_same(
    tmp_path: Path, documents: list[list[int]], query: list[int], words: int
) -> None:
    tokens, asked = flat(documents, words), np.array(query, dtype=np.int64)
    engine, own = engine_of(tmp_path, tokens, words), SuffixArray(padded(tokens), build(tokens))
    longest = engine.longest(asked)
    assert longest.tolist() == own.longest(asked).tolist() == oracle.longest(documents, query)
    assert engine.reaching_end(asked) == own.reaching_end(asked)
    for least in (2, 4):
        at_least = engine.longest(asked, least)
        np.testing.assert_array_equal(at_least[longest >= least], longest[longest >= least])
        assert (at_least <= longest).all()
    starts = np.flatnonzero(longest)
    ends = starts + longest[starts]
    for (low, high), (other_low, other_high) in zip(
        zip(*engine.intervals(asked, starts, ends), strict=True),
        zip(*own.intervals(asked, starts, ends), strict=True),
        strict=True,
    ):
        theirs = engine.begins(int(low), int(high)).tolist()
        assert sorted(theirs) == sorted(own.begins(int(other_low), int(other_high)).tolist())


def test_a_long_copied_run_is_found_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    document = rng.integers(1, 500, size=2_000).tolist()
    engine = engine_of(tmp_path, flat([document, document[500:900]], 600), 600)
    query = np.array([UNKNOWN, *document[400:1_000], UNKNOWN, *document])
    assert engine.longest(query).tolist() == [0, *range(600, 0, -1), 0, *range(2_000, 0, -1)]


TEXTS = [
    "The reserve key hangs behind the second boiler.",
    "“Behind the ſecond boiler”, he said; behind the second BOILER!",
    "",
    "Refunds are paid within fourteen days of the return.",
    "日本語のテキスト and behind the second boi\u00adler",
]
LOOKED_UP = "He hid it behind the second boi-\nler, and refunds are paid within 14 days. 日本語の"


@pytest.fixture
def documents() -> list[TraceDocument]:
    return [TraceDocument(f"d{number}", text) for number, text in enumerate(TEXTS)]


@pytest.mark.parametrize("shard_tokens", [1, 12, 1_000])
def test_an_index_in_shards_gives_the_same_matches_documents_and_statistics(
    tmp_path: Path, documents: list[TraceDocument], shard_tokens: int
) -> None:
    own = TraceIndex.build(tmp_path / "own", deny=documents)
    index = TraceIndex.build(
        tmp_path / "engine", deny=documents, engine="infini-gram", shard_tokens=shard_tokens
    )
    assert len(index.corpora["deny"].segments) == {1: 5, 12: 2, 1_000: 1}[shard_tokens]
    tokens = tokenise(LOOKED_UP)
    for least in (1, 3, 4):
        found = index.corpora["deny"].matches(tokens, least=least)
        assert found == own.corpora["deny"].matches(tokens, least=least)
        assert found
    assert index.corpora["deny"].open_from(tokens) == own.corpora["deny"].open_from(tokens)
    assert list(index.corpora["deny"].documents()) == documents
    assert index.corpora["deny"].document("d4") == documents[4]
    assert index.fingerprint() == own.fingerprint()
    np.testing.assert_array_equal(
        index.unigrams.surprisal(tokens.words), own.unigrams.surprisal(tokens.words)
    )
    index.verify()


def test_documents_are_added_and_shards_compacted_with_the_same_engine(
    tmp_path: Path, documents: list[TraceDocument]
) -> None:
    TraceIndex.build(tmp_path, deny=documents[:2], engine="infini-gram")
    index = TraceIndex.open(tmp_path).add("deny", documents[2:])
    tokens = tokenise(LOOKED_UP)
    matched = index.corpora["deny"].matches(tokens, least=2)
    assert [segment.facts["engine"] for segment in index.corpora["deny"].segments] == ["infini-gram"] * 2
    index.compact()
    assert [segment.facts["engine"] for segment in index.corpora["deny"].segments] == ["infini-gram"]
    assert index.corpora["deny"].matches(tokens, least=2) == matched
    assert index.info()["engine"] == "infini-gram"


def test_our_own_segments_can_be_sharded_too(tmp_path: Path, documents: list[TraceDocument]) -> None:
    index = TraceIndex.build(tmp_path, deny=documents, shard_tokens=12)
    assert len(index.corpora["deny"].segments) == 2
    whole = TraceIndex.build(tmp_path / "whole", deny=documents)
    tokens = tokenise(LOOKED_UP)
    assert index.corpora["deny"].matches(tokens, least=1) == whole.corpora["deny"].matches(tokens, least=1)


def test_without_the_engine_the_error_names_the_extra(
    tmp_path: Path, documents: list[TraceDocument], monkeypatch: pytest.MonkeyPatch
) -> None:
    TraceIndex.build(tmp_path / "there", deny=documents, engine="infini-gram")
    monkeypatch.setitem(sys.modules, "infini_gram.engine", None)
    with pytest.raises(MissingDependencyError, match=r"ragguard\[infini-gram\]"):
        TraceIndex.build(tmp_path / "new", deny=documents, engine="infini-gram")
    with pytest.raises(MissingDependencyError, match=r"ragguard\[infini-gram\]"):
        TraceIndex.open(tmp_path / "there")
    assert TraceIndex.build(tmp_path / "own", deny=documents).corpora["deny"].size


def test_refuses_an_unknown_engine_and_empty_shards(tmp_path: Path, documents: list[TraceDocument]) -> None:
    with pytest.raises(UnknownNameError, match="'grep'"):
        TraceIndex.build(tmp_path, deny=documents, engine="grep")  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError, match="shard_tokens is 0"):
        TraceIndex.build(tmp_path, deny=documents, shard_tokens=0)


@pytest.mark.parametrize("name", ["tokenized.0", "table.0"])
def test_files_that_do_not_fit_never_reach_the_engine(tmp_path: Path, name: str) -> None:
    engine_of(tmp_path, flat([[1, 2, 3]], 600), 600)
    (tmp_path / name).write_bytes(b"\0")
    with pytest.raises(IndexFileError, match="does not fit"):
        EngineArray(tmp_path, tokens=4, words=600, width=2)
