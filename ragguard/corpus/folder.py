"""A calibrated folder: the index, the embedder it was built with, and the questions."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ragguard import protocols
from ragguard.corpus.chunk import chunk_documents
from ragguard.corpus.documents import Document
from ragguard.corpus.index import PassageIndex
from ragguard.corpus.retrievers import DEFAULT_DEPTH, IndexRetriever
from ragguard.corpus.vectors import Kind, full_settings
from ragguard.errors import CalibrationMismatchError, EmptyCorpusError, IndexFileError
from ragguard.models.embedders import load_embedder
from ragguard.types import Passage

QUESTIONS_FILE = "questions.jsonl"
RECIPE_FILE = "corpus.json"


class CorpusFolder:
    """An index in `path/index`, with its embedder and the way its passages were cut.

    Use `CorpusFolder.build` or `CorpusFolder.open`.
    """

    INDEX = "index"

    def __init__(
        self, path: Path, index: PassageIndex, embedder: protocols.Embedder, recipe: Mapping[str, Any]
    ) -> None:
        self.path = path
        self.index = index
        self.embedder = embedder
        self.recipe = dict(recipe)

    @classmethod
    def build(
        cls,
        path: str | Path,
        documents: Sequence[Document],
        *,
        embedder: protocols.Embedder | str | Mapping[str, Any] = "bundled",
        max_tokens: int = 200,
        split: bool = True,
        kind: Kind = "flat",
        settings: Mapping[str, Any] | None = None,
        inspect: Callable[[Sequence[Passage]], object] | None = None,
        progress: protocols.Progress | None = None,
    ) -> CorpusFolder:
        """Cut, embed and index documents; an index of just these passages, or a build cut short, is reused.

        Args:
            path: made if missing; an index there is replaced when the new one is complete.
            documents: the corpus.
            embedder: an embedder, or what `load_embedder` takes.
            max_tokens: most tokens a passage, by the embedder's own tokenizer.
            split: False keeps every document one passage.
            kind: "flat", "hnsw" or "ivf".
            settings: of the index kind.
            inspect: sees the passages before any is embedded, and may raise.
            progress: told how far it is.

        Raises:
            EmptyCorpusError: no document has text.
        """
        path = Path(path)
        made = load_embedder(embedder) if isinstance(embedder, str | Mapping) else embedder
        cut = {"max_tokens": max_tokens, "split": split}
        passages = _cut(documents, made, cut)
        if inspect is not None:
            inspect(passages)
        index = _unchanged(path / cls.INDEX, passages, made, kind=kind, settings=settings, chunking=cut)
        if index is None:
            index = PassageIndex.build(
                path / cls.INDEX,
                passages,
                made,
                kind=kind,
                settings=settings,
                chunking=cut,
                progress=progress,
            )
        recipe = {"embedder": embedder if isinstance(embedder, str | Mapping) else None, "cut": cut}
        _write_json(path / RECIPE_FILE, recipe)
        return cls(path, index, made, recipe)

    @classmethod
    def open(cls, path: str | Path, *, embedder: protocols.Embedder | None = None) -> CorpusFolder:
        """Open the index in a folder.

        Args:
            path: where it was built.
            embedder: the one it was built with, when that cannot be named in a file.

        Raises:
            IndexFileError: the folder holds no index, or it cannot be used.
        """
        path = Path(path)
        recipe = _read_recipe(path / RECIPE_FILE)
        if embedder is None and recipe["embedder"] is None:
            raise IndexFileError(f"{path / RECIPE_FILE} names no embedder", hint="pass embedder=...")
        made = embedder if embedder is not None else load_embedder(recipe["embedder"])
        return cls(path, PassageIndex.open(path / cls.INDEX, made), made, recipe)

    def update(self, documents: Sequence[Document]) -> dict[str, int]:
        """Bring the index to this corpus; passages that did not change keep their vectors.

        Returns:
            Counts under "added", "replaced" and "deleted".
        """
        wanted = {p.id: p for p in _cut(documents, self.embedder, self.recipe["cut"])}
        held = {*self.index.ids, *self.index.duplicates}
        gone = [name for name in held if name not in wanted]
        changed = [p for name, p in wanted.items() if name in held and self.index.get(name) != p]
        new = [p for name, p in wanted.items() if name not in held]
        # Added first: an index must never be left without a passage.
        if new:
            self.index.add(new)
        if changed:
            self.index.replace(changed)
        if gone:
            self.index.delete(gone)
        return {"added": len(new), "replaced": len(changed), "deleted": len(gone)}

    def retriever(self, depth: int | None = None) -> IndexRetriever:
        """Return a retriever over the index."""
        return IndexRetriever(self.index, self.embedder, depth=depth or DEFAULT_DEPTH)


def _unchanged(
    path: Path,
    passages: Sequence[Passage],
    embedder: protocols.Embedder,
    *,
    kind: Kind,
    settings: Mapping[str, Any] | None,
    chunking: Mapping[str, Any],
) -> PassageIndex | None:
    """The index at a path, if it is what building it anew would give."""
    try:
        index = PassageIndex.open(path, embedder)
    except (IndexFileError, CalibrationMismatchError):
        return None
    wanted = {"chunking": dict(chunking), "kind": kind, "settings": full_settings(kind, settings)}
    made = index.fingerprint()
    if any(made[key] != value for key, value in wanted.items()):
        return None
    names = [p.id for p in passages]
    if len(names) != len(index.ids) + len(index.duplicates) or any(name not in index for name in names):
        return None
    return index if all(index.get(p.id) == p for p in passages) else None


def _cut(
    documents: Sequence[Document], embedder: protocols.Embedder, cut: Mapping[str, Any]
) -> list[Passage]:
    passages = chunk_documents(documents, embedder, max_tokens=cut["max_tokens"], split=cut["split"])
    if not passages:
        raise EmptyCorpusError("the corpus holds no text", hint="give at least one document with text")
    return passages


def _read_recipe(path: Path) -> dict[str, Any]:
    try:
        recipe = json.loads(path.read_text(encoding="utf-8"))
        cut = recipe["cut"]
        if {"max_tokens", "split"} <= cut.keys() and "embedder" in recipe:
            return dict(recipe)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _unreadable(path) from error
    raise _unreadable(path)


def _unreadable(path: Path) -> IndexFileError:
    return IndexFileError(
        f"{path} is missing or unreadable", hint="pass the retriever that was calibrated, or calibrate again"
    )


def _write_json(path: Path, body: Mapping[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)
