"""The pieces of a text that are compared by meaning.

Two kinds, as what is looked for comes in two sizes. A *sentence* finds one leaked
statement in a long answer. A *window*, a sentence with up to `REACH` words before it,
finds an answer that does what must not be done while none of its sentences alone
would show it.

Windows only look back. What is said of a sentence therefore never depends on what
follows it, and an answer judged sentence by sentence while it is written gets the
verdict it would get as a whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ragguard.text.sentences import sentence_spans
from ragguard.types import Span

VERSION = 1
LEAST_SENTENCE = 5
"""Words of a sentence that is compared with denied ones; "Sure, here you are:" resembles everything."""
LEAST_CLAIM = 2
"""Words of a sentence that is held against policy clauses."""
LEAST_WINDOW = 25
"""Words that a window looks back on, at least; fewer only where the whole text has fewer."""
REACH = 150
_MOST_WORDS, _MOST_CHARACTERS = 80, 600  # of one piece: an embedder would cut off what is beyond its length
_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Unit:
    """One piece.

    Attributes:
        read: the characters compared.
        said: those that a finding is about: the last sentence of a window, all of the first window.
        words: of what is read.
        window: whether it is a window.
    """

    read: Span
    said: Span
    words: int
    window: bool


@dataclass(frozen=True)
class _Piece:
    start: int
    end: int
    words: int


def text_units(
    text: str,
    *,
    sentences: bool = True,
    windows: bool = True,
    complete: bool = True,
    least: int = LEAST_SENTENCE,
) -> list[Unit]:
    """Return the units of a text, in order of their ends.

    Args:
        text: anything.
        sentences, windows: which kinds.
        complete: False for the beginning of a text that goes on: one that is too short
            for a window has none yet.
        least: words of a sentence.
    """
    pieces = _pieces(text)
    found: list[Unit] = []
    before = 0
    opened = False
    for last, piece in enumerate(pieces):
        before += piece.words
        said = Span(start=piece.start, end=piece.end)
        if sentences and piece.words >= least:
            found.append(Unit(said, said, piece.words, window=False))
        short = before < LEAST_WINDOW
        if not windows or (short and not (complete and last == len(pieces) - 1)):
            continue
        first = _first(pieces, last)
        read = Span(start=pieces[first].start, end=piece.end)
        words = sum(p.words for p in pieces[first : last + 1])
        # What came before the first window was judged by none: a finding in it is about all of it.
        found.append(Unit(read, said if opened else read, words, window=True))
        opened = True
    return found


def undecided(text: str, *, windows: bool = True) -> bool:
    """Return whether the beginning of a text is too short for the window that will judge it."""
    return windows and sum(piece.words for piece in _pieces(text)) < LEAST_WINDOW


def _first(pieces: list[_Piece], last: int) -> int:
    words, first = pieces[last].words, last
    while first > 0 and words + pieces[first - 1].words <= REACH:
        first -= 1
        words += pieces[first].words
    return first


def _pieces(text: str) -> list[_Piece]:
    """The sentences, long ones cut between words, or in the middle of what has no spaces."""
    pieces: list[_Piece] = []
    for start, end in sentence_spans(text):
        words = 0
        begun = last = start
        for match in _WORD.finditer(text, start, end):
            if words and (words >= _MOST_WORDS or match.end() - begun > _MOST_CHARACTERS):
                pieces.append(_Piece(begun, last, words))
                begun, words = match.start(), 0
            while match.end() - begun > _MOST_CHARACTERS:
                pieces.append(_Piece(begun, begun + _MOST_CHARACTERS, 1))
                begun += _MOST_CHARACTERS
            words, last = words + 1, match.end()
        if last > begun:
            pieces.append(_Piece(begun, last, words))
    return pieces
