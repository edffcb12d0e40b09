"""Passages as windows of consecutive sentences, and the words in each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ragguard.alignment.numbers import numbers, without_numbers
from ragguard.text.sentences import sentence_spans
from ragguard.text.words import content_words
from ragguard.types import Passage, Span

MAX_SENTENCES = 3
_MAX_WORDS, _PIECE, _STEP = 60, 40, 20
_WORD = re.compile(r"\S+")
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")


@dataclass(frozen=True)
class Window:
    """Up to three consecutive sentences of one passage."""

    passage: Passage
    span: Span
    sentences: int
    terms: frozenset[str]

    @property
    def text(self) -> str:
        """Its characters."""
        return self.passage.text[self.span.start : self.span.end]


def windows(passages: Sequence[Passage]) -> list[Window]:
    """Return the windows of every passage, in order; together they see every character of it."""
    return [window for passage in passages for window in _of_passage(passage)]


def terms(text: str) -> frozenset[str]:
    """Return what is compared: stems of content words, canonical numbers, and pairs of unspaced letters."""
    found: set[str] = set(numbers(text))
    for word in content_words(without_numbers(text)):
        found.update(_pairs(word) if _UNSPACED.search(word) else (word,))
    return frozenset(found)


def _of_passage(passage: Passage) -> Iterator[Window]:
    spans = [
        piece for start, end in sentence_spans(passage.text) for piece in _pieces(passage.text, start, end)
    ]
    found = [terms(passage.text[start:end]) for start, end in spans]
    for first in range(len(spans)):
        for count in range(1, min(MAX_SENTENCES, len(spans) - first) + 1):
            span = Span(start=spans[first][0], end=spans[first + count - 1][1])
            yield Window(passage, span, count, frozenset().union(*found[first : first + count]))


def _pieces(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Cut a "sentence" without stops (a table, a log) into overlapping pieces."""
    words = [(start + m.start(), start + m.end()) for m in _WORD.finditer(text[start:end])]
    if len(words) <= _MAX_WORDS:
        return [(start, end)]
    firsts = range(0, len(words) - _PIECE + _STEP, _STEP)
    return [(words[i][0], words[min(i + _PIECE, len(words)) - 1][1]) for i in firsts]


def _pairs(word: str) -> Iterator[str]:
    if len(word) == 1:
        yield word
    for place in range(len(word) - 1):
        yield word[place : place + 2]
