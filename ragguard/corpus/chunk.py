"""Cutting documents into passages that an embedder takes whole.

A passage is a run of sentences of one document, as many as fit the budget. A
sentence too long by itself is cut at line ends, then at clauses, then at spaces,
and only then between tokens. A passage is always a slice of its document.
"""

from __future__ import annotations

import logging
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from ragguard.corpus.documents import Document
from ragguard.corpus.offsets import OFFSET_MAPS
from ragguard.errors import DuplicateIdError, InvalidValueError
from ragguard.protocols import Embedder
from ragguard.text.sentences import sentence_spans, trimmed
from ragguard.types import Passage, Span

_Range: TypeAlias = tuple[int, int]

_log = logging.getLogger(__name__)
_SPECIAL_TOKENS = 2
_LEAST_TOKENS = 8  # one character can be four tokens, and must fit
_DOCUMENTS_A_BATCH = 512
_BORDERS = (
    re.compile(r"\n+"),
    re.compile(r"[,;:\u2013\u2014\u3001\uff0c\uff1b\u060c](?=\s)|[\u3001\uff0c\uff1b]"),
    re.compile(r"\s+"),
)


def chunk_documents(
    documents: Sequence[Document],
    embedder: Embedder,
    *,
    max_tokens: int = 200,
    overlap_sentences: int = 0,
    split: bool = True,
) -> list[Passage]:
    """Return passages of at most `max_tokens` tokens, in document order.

    A document that fits one passage keeps its id; of others, the passages are
    `id#0`, `id#1` and so on. `passage.text == document.text[span]`, every
    character that is not white space is in some passage, and metadata is copied (but
    for the document's own offset maps, see `ragguard.corpus.offsets`).
    Documents of white space alone give none.

    Args:
        max_tokens: as the embedder's own tokenizer counts, special tokens apart.
        overlap_sentences: sentences repeated from the end of one passage at the
            start of the next, as far as the budget allows.
        split: False gives one passage a document, whatever its length; see `oversized`.

    Raises:
        InvalidValueError: `max_tokens` is below 8 or above what the embedder takes,
            or `overlap_sentences` is negative.
        DuplicateIdError: two passages would have one id.
    """
    _require(max_tokens, overlap_sentences, _room(embedder), split=split)
    kept = [document for document in documents if document.text.strip()]
    if len(kept) < len(documents):
        _log.warning("%d of %d documents hold no text", len(documents) - len(kept), len(documents))
    if not split:
        passages = [_passage(d, d.id, trimmed(d.text, 0, len(d.text))) for d in kept]
    else:
        passages = []
        for document, ranges in _cut_all(kept, embedder, max_tokens, overlap_sentences):
            names = [document.id] if len(ranges) == 1 else [f"{document.id}#{i}" for i in range(len(ranges))]
            passages.extend(_passage(document, n, r) for n, r in zip(names, ranges, strict=True))
    _require_unique(passages)
    return passages


def oversized(passages: Sequence[Passage], embedder: Embedder) -> list[str]:
    """Return the ids of passages that the embedder would cut off."""
    room = _room(embedder)
    spans = _batched_spans([passage.text for passage in passages], embedder)
    return [passage.id for passage, one in zip(passages, spans, strict=True) if len(one) > room]


def _room(embedder: Embedder) -> int:
    return embedder.max_tokens - _SPECIAL_TOKENS


def _require(max_tokens: int, overlap: int, room: int, *, split: bool) -> None:
    if split and not _LEAST_TOKENS <= max_tokens <= room:
        raise InvalidValueError(
            f"max_tokens is {max_tokens}",
            hint=f"this embedder takes {_LEAST_TOKENS} to {room}, or do not split",
        )
    if overlap < 0:
        raise InvalidValueError(f"overlap_sentences is {overlap}", hint="0 means none")


def _require_unique(passages: Sequence[Passage]) -> None:
    seen: set[str] = set()
    for passage in passages:
        if passage.id in seen:
            raise DuplicateIdError(
                f"two passages would have the id {passage.id!r}", hint="rename the document of that id"
            )
        seen.add(passage.id)


def _passage(document: Document, name: str, where: _Range) -> Passage:
    start, end = where
    return Passage(
        id=name,
        text=document.text[start:end],
        document=document.id,
        span=Span(start=start, end=end),
        metadata={k: v for k, v in document.metadata.items() if k not in OFFSET_MAPS},
    )


def _batched_spans(texts: Sequence[str], embedder: Embedder) -> Iterator[list[_Range]]:
    """Token ranges of each text; in one call a batch where the embedder offers it."""
    together: Callable[[Sequence[str]], list[list[_Range]]] | None
    together = getattr(embedder, "token_spans_batch", None)
    for first in range(0, len(texts), _DOCUMENTS_A_BATCH):
        batch = texts[first : first + _DOCUMENTS_A_BATCH]
        yield from together(batch) if together else [embedder.token_spans(text) for text in batch]


def _cut_all(
    documents: Sequence[Document], embedder: Embedder, budget: int, overlap: int
) -> Iterator[tuple[Document, list[_Range]]]:
    texts = [document.text for document in documents]
    for document, spans in zip(documents, _batched_spans(texts, embedder), strict=True):
        if len(spans) <= budget:
            yield document, [trimmed(document.text, 0, len(document.text))]
        else:
            yield document, _fitting(document.text, _Ruler(spans, budget), overlap, embedder)


class _Ruler:
    """Counts a text's tokens between two characters."""

    def __init__(self, spans: Sequence[_Range], budget: int) -> None:
        self.starts = sorted(start for start, _ in spans)
        self.budget = budget

    def fits(self, start: int, end: int) -> bool:
        return bisect_left(self.starts, end) - bisect_left(self.starts, start) <= self.budget

    def reach(self, start: int) -> int | None:
        """Where the first token beyond the budget starts, counted from a character."""
        at = bisect_left(self.starts, start) + self.budget
        return self.starts[at] if at < len(self.starts) else None


def _fitting(text: str, ruler: _Ruler, overlap: int, embedder: Embedder) -> list[_Range]:
    """Cut, then count each passage by itself: cutting inside a word can make it more tokens."""
    units = [piece for span in sentence_spans(text) for piece in _pieces(text, span, ruler, 0)]
    ranges = _pack(units, ruler, overlap)
    counts = [len(one) for one in _batched_spans([text[a:b] for a, b in ranges], embedder)]
    return [
        part
        for where, count in zip(ranges, counts, strict=True)
        for part in ([where] if count <= ruler.budget else _halve(text, where, ruler.budget, embedder))
    ]


def _pieces(text: str, span: _Range, ruler: _Ruler, level: int) -> Iterator[_Range]:
    """The span itself where it fits, else its parts at the coarsest border that helps."""
    start, end = span
    if ruler.fits(start, end):
        yield span
    elif level == len(_BORDERS):
        yield from _between_tokens(text, span, ruler)
    else:
        cuts = [m.end() for m in _BORDERS[level].finditer(text, start, end)]
        for a, b in zip([start, *cuts], [*cuts, end], strict=True):
            a, b = trimmed(text, a, b)
            if b > a:
                yield from _pieces(text, (a, b), ruler, level + 1)


def _between_tokens(text: str, span: _Range, ruler: _Ruler) -> Iterator[_Range]:
    start, end = span
    while not ruler.fits(start, end):
        cut = ruler.reach(start)
        # Tokens that start on one character (a decomposed letter) cannot be parted.
        cut = start + 1 if cut is None or cut <= start else min(cut, end)
        yield start, cut
        start = cut
    if end > start:
        yield start, end


def _pack(units: Sequence[_Range], ruler: _Ruler, overlap: int) -> list[_Range]:
    packed: list[_Range] = []
    first = 0
    while first < len(units):
        last = first
        while last + 1 < len(units) and ruler.fits(units[first][0], units[last + 1][1]):
            last += 1
        packed.append((units[first][0], units[last][1]))
        if last + 1 == len(units):
            break
        first = _next_start(units, first, last, ruler, overlap)
    return packed


def _next_start(units: Sequence[_Range], first: int, last: int, ruler: _Ruler, overlap: int) -> int:
    """The earliest unit to repeat such that the next new unit still fits, and some progress is made."""
    start = max(first + 1, last + 1 - overlap)
    while start <= last and not ruler.fits(units[start][0], units[last + 1][1]):
        start += 1
    return start


def _halve(text: str, where: _Range, budget: int, embedder: Embedder) -> Iterator[_Range]:
    start, end = trimmed(text, *where)
    if end - start <= 1 or len(embedder.token_spans(text[start:end])) <= budget:
        if end > start:
            yield start, end
        return
    middle = (start + end) // 2
    space = text.rfind(" ", start + 1, middle)
    middle = space if space > start else middle
    yield from _halve(text, (start, middle), budget, embedder)
    yield from _halve(text, (middle, end), budget, embedder)
