"""From offsets in an extracted text back to the file it was extracted from."""

from __future__ import annotations

from bisect import bisect_right

from ragguard.corpus.documents import Document
from ragguard.errors import InvalidValueError
from ragguard.types import Span

SOURCE_MAP = "source_map"
PAGES = "pages"
OFFSET_MAPS = (SOURCE_MAP, PAGES)
"""Metadata that describe a whole document; a passage cut from it does not carry them."""


def to_raw_span(document: Document, span: Span) -> Span:
    """Return the range of the raw file that the range of `document.text` came from.

    Offsets count characters of the decoded file, after a byte order mark. Text
    that was not extracted (.txt, .md, .jsonl) has the same range in both. A
    range that begins or ends in a line break put in for a tag is narrowed to the
    text next to it.

    Raises:
        InvalidValueError: the range passes the end of the text, holds nothing that
            stands in the file, or the document is a PDF (see `page_of`).
    """
    if span.end > len(document.text):
        raise InvalidValueError(
            f"span ends at {span.end}, {document.id!r} has {len(document.text)} characters",
            hint="use a span of this document",
        )
    if PAGES in document.metadata:
        raise InvalidValueError(f"{document.id!r} is a PDF, which has no text offsets", hint="use page_of")
    segments = document.metadata.get(SOURCE_MAP)
    if segments is None:
        return span
    touched = _touched(segments, span)
    if not touched:
        raise InvalidValueError(
            f"span {span.start}-{span.end} of {document.id!r} holds no text of the file", hint="widen it"
        )
    return Span(start=_raw_start(touched[0], span.start), end=_raw_end(touched[-1], span.end))


def page_of(document: Document, offset: int) -> int:
    """Return the page, from 1, on which the character of a PDF's text stands.

    Raises:
        InvalidValueError: the document has no pages, or no such character.
    """
    pages = document.metadata.get(PAGES)
    if pages is None or not 0 <= offset < max(1, len(document.text)):
        raise InvalidValueError(f"{document.id!r} has no page for character {offset}", hint="PDFs alone have")
    return max(1, bisect_right([start for start, _ in pages], offset))


def _touched(segments: list[list[int]], span: Span) -> list[list[int]]:
    first = max(0, bisect_right(segments, span.start, key=_text_start) - 1)
    last = bisect_right(segments, max(span.start, span.end - 1), key=_text_start)
    return [s for s in segments[first:last] if s[0] < span.end and s[0] + s[2] > span.start]


def _text_start(segment: list[int]) -> int:
    return segment[0]


def _raw_start(segment: list[int], offset: int) -> int:
    text_start, raw_start, length, raw_length = segment
    # "&amp;" is one character of text and five of the file: taken whole.
    return raw_start + max(0, offset - text_start) if length == raw_length else raw_start


def _raw_end(segment: list[int], offset: int) -> int:
    text_start, raw_start, length, raw_length = segment
    return raw_start + (min(length, offset - text_start) if length == raw_length else raw_length)
