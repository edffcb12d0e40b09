"""Finding passages by id, by document, and by where in a document an answer stands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from ragguard.corpus.index import PassageIndex
from ragguard.types import Passage

Passages: TypeAlias = PassageIndex | Sequence[Passage]


class PassageTable:
    """The passages of an index, or given ones, by id and by document.

    Of an index, duplicates are included: they stand for their canonical passage.
    """

    def __init__(self, passages: Passages) -> None:
        duplicates: Mapping[str, str] = {}
        items = passages
        if isinstance(passages, PassageIndex):
            duplicates = passages.duplicates
            items = [*passages.passages, *(passages.get(name) for name in duplicates)]
        self._canonical = duplicates
        self._ids: set[str] = set()
        self._parts: dict[str, list[Passage]] = {}
        for passage in items:  # type: ignore[union-attr]
            self._ids.add(passage.id)
            if passage.document is not None:
                self._parts.setdefault(passage.document, []).append(passage)
        for parts in self._parts.values():
            parts.sort(key=lambda part: (part.span.start, part.id) if part.span else (-1, part.id))

    def __contains__(self, name: str) -> bool:
        return name in self._ids or name in self._parts

    def is_passage(self, name: str) -> bool:
        """Return whether a passage has that id."""
        return name in self._ids

    def canonical(self, name: str) -> str:
        """Return the id of the searched passage that stands for a passage."""
        return self._canonical.get(name, name)

    def parts(self, document: str) -> list[Passage]:
        """Return the passages of a document, in order."""
        return self._parts.get(document, [])

    def find(self, document: str, answer: str) -> list[tuple[int, int]]:
        """Return every range of the document's text that is the answer, white space aside.

        White space that no passage holds is taken as one space at least, which
        matches any in the answer.
        """
        words = answer.split()
        if not words:
            return []
        pattern = re.compile(r"\s+".join(map(re.escape, words)))
        text = self._text(document)
        return [match.span() for match in pattern.finditer(text)] or [
            match.span() for match in re.finditer(pattern.pattern, text, re.IGNORECASE)
        ]

    def overlapping(self, document: str, start: int, end: int) -> list[str]:
        """Return the passages that hold the whole range, or else those with the largest part of it."""
        shared = {
            part.id: min(end, part.span.end) - max(start, part.span.start)
            for part in self.parts(document)
            if part.span is not None
        }
        most = max(shared.values(), default=0)
        return [name for name, length in shared.items() if length == most] if most > 0 else []

    def _text(self, document: str) -> str:
        """The document's text as far as its passages hold it, at its own offsets."""
        parts = [part for part in self.parts(document) if part.span is not None]
        pieces: list[str] = []
        reached = 0
        for part in parts:
            span = part.span
            if span is None or span.end <= reached:
                continue
            pieces.append(" " * (span.start - reached))
            pieces.append(part.text[max(0, reached - span.start) :])
            reached = span.end
        return "".join(pieces)
