from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard.corpus.chunk import chunk_documents, oversized
from ragguard.corpus.documents import Document
from ragguard.errors import DuplicateIdError, InvalidValueError
from ragguard.models.embedders import SentenceTransformerEmbedder
from ragguard.testing import HashEmbedder

BUNDLED = SentenceTransformerEmbedder()
WORDS = st.sampled_from(
    ["word", "Dr.", "end.", "\n", "\n\n", "a,b", "了。", "한국어", "x" * 300, "5.5", "é", "\u200b"]
)


def check(document: Document, embedder: object, budget: int, overlap: int) -> None:
    passages = chunk_documents(
        [document],
        embedder,  # type: ignore[arg-type]
        max_tokens=budget,
        overlap_sentences=overlap,
    )
    covered: set[int] = set()
    for passage in passages:
        assert passage.span is not None
        assert passage.text == document.text[passage.span.start : passage.span.end]
        assert len(embedder.token_spans(passage.text)) <= budget  # type: ignore[attr-defined]
        covered |= set(range(passage.span.start, passage.span.end))
    assert all(document.text[i].isspace() for i in set(range(len(document.text))) - covered)
    starts = [p.span.start for p in passages if p.span]
    assert starts == sorted(set(starts))


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, max_size=120).map(" ".join) | st.text(), st.integers(8, 40), st.integers(0, 3))
def test_passages_are_slices_within_the_budget_that_cover_the_document(
    text: str, budget: int, overlap: int
) -> None:
    check(Document(id="d", text=text), HashEmbedder(4), budget, overlap)


@settings(max_examples=40, deadline=None)
@given(st.lists(WORDS, max_size=80).map(" ".join) | st.text(min_size=30), st.integers(8, 20))
def test_the_same_holds_for_the_tokenizer_of_the_bundled_model(text: str, budget: int) -> None:
    check(Document(id="d", text=text), BUNDLED, budget, 0)


def test_a_document_that_fits_keeps_its_id_and_a_longer_one_is_numbered() -> None:
    long = " ".join(f"Sentence number {i} is here." for i in range(10))
    passages = chunk_documents(
        [Document(id="a", text=" short one ", metadata={"k": 1}), Document(id="b", text=long)],
        HashEmbedder(4),
        max_tokens=30,
    )
    assert [p.id for p in passages] == ["a", "b#0", "b#1"]
    assert passages[0].text == "short one"
    assert passages[0].metadata == {"k": 1}
    assert all(p.text.endswith(".") for p in passages[1:])


def test_overlap_repeats_the_last_sentences() -> None:
    text = "One two three four. Five six seven eight. Nine ten eleven twelve. And one more now."
    passages = chunk_documents(
        [Document(id="d", text=text)], HashEmbedder(4), max_tokens=10, overlap_sentences=1
    )
    assert passages[0].text.split(". ")[-1] == passages[1].text.split(". ")[0] + "."


def test_without_splitting_long_passages_are_named() -> None:
    documents = [Document(id="long", text="word " * 300), Document(id="short", text="word")]
    embedder = HashEmbedder(4, max_tokens=64)
    passages = chunk_documents(documents, embedder, split=False)
    assert [p.id for p in passages] == ["long", "short"]
    assert oversized(passages, embedder) == ["long"]


def test_refuses_a_budget_that_the_embedder_would_cut_and_ids_that_collide() -> None:
    embedder = HashEmbedder(4, max_tokens=64)
    document = Document(id="d", text="word. " * 100)
    for budget in (63, 3):
        with pytest.raises(InvalidValueError, match=str(budget)):
            chunk_documents([document], embedder, max_tokens=budget)
    with pytest.raises(InvalidValueError, match="overlap"):
        chunk_documents([document], embedder, max_tokens=50, overlap_sentences=-1)
    with pytest.raises(DuplicateIdError, match="d#0"):
        chunk_documents([document, Document(id="d#0", text="x")], embedder, max_tokens=50)


def test_documents_of_white_space_are_left_out_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert chunk_documents([Document(id="d", text=" \n")], HashEmbedder(4)) == []
    assert "1 of 1 documents" in caplog.text
