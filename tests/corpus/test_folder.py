"""A corpus in a folder: built, opened, brought up to date."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ragguard.corpus.documents import Document
from ragguard.corpus.folder import RECIPE_FILE, CorpusFolder
from ragguard.errors import CalibrationMismatchError, EmptyCorpusError, IndexFileError
from ragguard.testing import HashEmbedder
from ragguard.types import Passage

LONG = " ".join(f"Sentence number {i} says a thing about it." for i in range(10))
DOCUMENTS = [Document(id="short", text="A word."), Document(id="long", text=LONG)]


def built(path: Path, documents: Sequence[Document] = DOCUMENTS, **how: Any) -> CorpusFolder:
    return CorpusFolder.build(path, documents, **{"embedder": HashEmbedder(), "max_tokens": 30, **how})


def test_what_was_built_is_found_when_opened(tmp_path: Path) -> None:
    corpus = built(tmp_path)
    again = CorpusFolder.open(tmp_path, embedder=HashEmbedder())
    assert again.index.ids == corpus.index.ids
    assert corpus.index.ids[0] == "short"
    assert len(corpus.index) > 2
    assert again.recipe == corpus.recipe == {"embedder": None, "cut": {"max_tokens": 30, "split": True}}
    assert again.retriever(1)("A word.")[0].id == "short"
    assert again.retriever().depth == 1000


def test_documents_can_stay_whole(tmp_path: Path) -> None:
    assert built(tmp_path, split=False).index.ids == ["short", "long"]


def test_passages_are_shown_before_any_is_embedded(tmp_path: Path) -> None:
    embedder = HashEmbedder()

    def refuse(passages: Sequence[Passage]) -> None:
        assert len(passages) > 2
        raise LookupError

    with pytest.raises(LookupError):
        built(tmp_path / "new", embedder=embedder, inspect=refuse)
    assert embedder.embedded == 0
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("documents", [[], [Document(id="blank", text=" \n")]])
def test_a_corpus_without_text_is_an_error_and_nothing_is_written(
    tmp_path: Path, documents: list[Document]
) -> None:
    with pytest.raises(EmptyCorpusError):
        built(tmp_path / "new", documents)
    assert not (tmp_path / "new").exists()


def test_an_update_embeds_what_changed_alone(tmp_path: Path) -> None:
    embedder = HashEmbedder()
    corpus = built(tmp_path, [*DOCUMENTS, Document(id="old", text="It goes.")], embedder=embedder)
    embedder.embedded = 0
    changed = [Document(id="short", text="Another word."), DOCUMENTS[1], Document(id="new", text="It comes.")]
    assert corpus.update(changed) == {"added": 1, "replaced": 1, "deleted": 1}
    assert embedder.embedded == 2
    assert sorted(corpus.index.ids) == sorted(built(tmp_path / "anew", changed).index.ids)
    assert corpus.update(changed) == {"added": 0, "replaced": 0, "deleted": 0}


def test_a_whole_corpus_can_be_exchanged(tmp_path: Path) -> None:
    corpus = built(tmp_path)
    corpus.update([Document(id="other", text="Quite another.")])
    assert CorpusFolder.open(tmp_path, embedder=HashEmbedder()).index.ids == ["other"]


def test_another_embedder_or_none_is_refused(tmp_path: Path) -> None:
    built(tmp_path)
    with pytest.raises(CalibrationMismatchError, match="'other'"):
        CorpusFolder.open(tmp_path, embedder=HashEmbedder(name="other"))
    with pytest.raises(IndexFileError, match="names no embedder"):
        CorpusFolder.open(tmp_path)


@pytest.mark.parametrize(
    "text", [None, "", "[]", "{}", '{"cut": {}}', '{"cut": {"max_tokens": 1, "split": true}}']
)
def test_a_recipe_that_cannot_be_read_is_an_error(tmp_path: Path, text: str | None) -> None:
    built(tmp_path)
    path = tmp_path / RECIPE_FILE
    assert json.loads(path.read_text())
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(IndexFileError, match=RECIPE_FILE):
        CorpusFolder.open(tmp_path, embedder=HashEmbedder())


def test_building_again_from_the_same_documents_embeds_nothing(tmp_path: Path) -> None:
    documents = [Document(id=f"d{i}", text=f"Sentence number {i} stands alone.") for i in range(5)]
    first = HashEmbedder()
    CorpusFolder.build(tmp_path, documents, embedder=first)
    again = HashEmbedder()
    CorpusFolder.build(tmp_path, documents, embedder=again)
    assert (first.embedded, again.embedded) == (5, 0)


@pytest.mark.parametrize("change", ["text", "added", "removed", "max_tokens"])
def test_a_change_of_any_kind_builds_a_new_index(change: str, tmp_path: Path) -> None:
    documents = [Document(id=f"d{i}", text=f"Sentence number {i} stands alone.") for i in range(5)]
    CorpusFolder.build(tmp_path, documents, embedder=HashEmbedder())
    changed = {
        "text": [*documents[:4], Document(id="d4", text="Another sentence.")],
        "added": [*documents, Document(id="d5", text="One more.")],
        "removed": documents[:4],
        "max_tokens": documents,
    }[change]
    embedder = HashEmbedder()
    built = CorpusFolder.build(
        tmp_path, changed, embedder=embedder, max_tokens=100 if change == "max_tokens" else 200
    )
    assert embedder.embedded == len(changed)
    assert sorted(built.index.ids) == sorted(d.id for d in changed)
