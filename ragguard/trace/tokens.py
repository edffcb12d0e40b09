"""A text as comparable words, each with its place in the raw text.

Two texts that a reader takes for the same have the same words: case, accents,
punctuation, width, ligatures, look-alike and invisible characters make no
difference (`ragguard.trace.fold`). Scripts written without spaces give one word
a character. An apostrophe within a word, and the hyphen at which a line ended
in the middle of one, belong to no word and separate none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragguard.trace.fold import SOFT_HYPHEN, Folded, fold

VERSION = 1
"""Raised whenever some text would give other words: an index of another version cannot be searched."""

_PIECE = 1 << 20  # characters folded at a time: some ten arrays of that length exist at once
_SAFE_CUT = re.compile(r"(?<=[0-9A-Za-z])[ \n](?=[0-9A-Za-z])")
# Each begins with its sign, so that the rest is skipped at the speed of a search for that.
_APOSTROPHE = re.compile(r"'(?<=[^\W_]')(?=[^\W_])")
# "confi-\ndential"; digits keep their hyphen, so that "2020-\n2021" stays two numbers
_BROKEN = re.compile(r"[-\x02](?<=[^\W\d_][-\x02])\x02*[ \r]*\n[ ]*(?=[^\W\d_])")
_SOFT_INSIDE = re.compile(r"\x02(?![\x02 \r]*\n)")
_SOFT = re.compile(r"\x02")
# Written without spaces between words: Thai, Lao, Myanmar, Khmer, kana, Bopomofo, ideographs.
_UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x2E80, 0x2FDF),
    (0x3005, 0x3007),
    (0x3021, 0x312F),
    (0x31A0, 0x31FF),
    (0x3400, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x1AFF0, 0x1B16F),
    (0x20000, 0x3FFFF),
)
_FIRST_UNSPACED = _UNSPACED[0][0]


@dataclass(frozen=True)
class Tokens:
    """Words in order; word i was written as `text[starts[i]:ends[i]]`.

    Attributes:
        words: folded; equal words read the same.
        starts, ends: raw characters, half-open; they increase and do not overlap.
    """

    words: tuple[str, ...]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


def tokenise(text: str) -> Tokens:
    r"""Return the folded words of a text with raw, half-open offsets.

    Args:
        text: any Unicode; its length does not matter, since it is read piece by piece.

    Example:
        >>> tokens = tokenise("“Dоn’t” confi-\ndential")  # the first o is Cyrillic
        >>> tokens.words, tokens.starts.tolist(), tokens.ends.tolist()
        (('dont', 'confidential'), [1, 8], [6, 22])
    """
    parts = list(pieces(text))
    if len(parts) == 1:
        return parts[0]
    return Tokens(
        tuple(word for part in parts for word in part.words),
        np.concatenate([part.starts for part in parts]),
        np.concatenate([part.ends for part in parts]),
    )


def pieces(text: str) -> Iterator[Tokens]:
    """Yield the words of `tokenise` part by part, at least one part, so that a long text takes little memory."""
    begin = 0
    while True:
        cut = _SAFE_CUT.search(text, begin + _PIECE) if len(text) - begin > _PIECE else None
        end = cut.start() if cut else len(text)
        words, starts, ends = _tokenise(text[begin:end])
        yield Tokens(tuple(words), starts + begin, ends + begin)
        if end == len(text):
            return
        begin = end


def _tokenise(text: str) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    folded = _without_joints(fold(text))
    if folded.text.isascii():
        codes = np.frombuffer(folded.text.encode("ascii"), dtype=np.uint8)
        within = codes >= ord("0")  # of what folding leaves, letters and digits alone
        begins, ends = _runs(within)
        words = folded.text.translate(_TO_SPACE).split()
    else:
        words, begins, ends = _split(folded)
    if folded.origin is not None:
        begins, ends = folded.origin[begins], folded.origin[ends - 1] + 1
    if folded.accents.size:
        ends = _over_accents(ends, folded.accents)
    return words, begins, ends


_TO_SPACE = {ord(char): " " for char in "'-\x02\n\r"}


def _without_joints(folded: Folded) -> Folded:
    """The text without the apostrophes and hyphens that stand within a word."""
    if SOFT_HYPHEN not in folded.text:
        return _without(_APOSTROPHE, _without(_BROKEN, folded))
    # At the end of a line a soft hyphen is a hyphen, anywhere else it is nothing.
    for pattern in (_SOFT_INSIDE, _BROKEN, _SOFT, _APOSTROPHE):
        folded = _without(pattern, folded)
    return folded


def _without(pattern: re.Pattern[str], folded: Folded) -> Folded:
    found = [match.span() for match in pattern.finditer(folded.text)]
    if not found:
        return folded
    kept = np.ones(len(folded.text), dtype=np.bool_)
    parts, end = [], 0
    for first, last in found:
        kept[first:last] = False
        parts.append(folded.text[end:first])
        end = last
    parts.append(folded.text[end:])
    origin = np.flatnonzero(kept) if folded.origin is None else folded.origin[kept]
    return Folded("".join(parts), origin, folded.accents)


def _runs(within: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    bounded = np.zeros(within.size + 2, dtype=np.bool_)
    bounded[1:-1] = within
    edges = np.flatnonzero(bounded[1:] != bounded[:-1])
    return edges[::2], edges[1::2]


def _split(folded: Folded) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    codes = np.frombuffer(folded.text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    within = codes >= ord("0")
    begins, ends = _runs(within)
    spaced = np.where(within, codes, ord(" "))
    if codes.max(initial=0) >= _FIRST_UNSPACED:
        borders = _borders(folded, codes, within)
        begins = np.sort(np.concatenate([begins, borders]))
        ends = np.sort(np.concatenate([ends, borders]))
        spaced = np.insert(spaced, borders, ord(" "))
    text = spaced.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
    # Folding takes letters apart; NFC puts marks in one order and Hangul together again, never over a space.
    return unicodedata.normalize("NFC", text).split(), begins, ends


def _borders(folded: Folded, codes: NDArray[np.uint32], within: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Places inside runs where a word ends and the next begins: around each unspaced character.

    A mark stays with its letter, and what one raw character became stays together.
    """
    unspaced = np.zeros(codes.shape, dtype=np.bool_)
    for first, last in _UNSPACED:
        unspaced |= (codes >= first) & (codes <= last)
    if not unspaced.any():
        return np.zeros(0, dtype=np.int64)
    mark = np.isin(codes, [code for code in np.unique(codes).tolist() if _is_mark(code)])
    unspaced &= ~mark
    base = np.maximum.accumulate(np.where(mark, 0, np.arange(codes.size)))
    border = within & ~mark & (unspaced | np.concatenate([[False], unspaced[base][:-1]]))
    border[1:] &= within[:-1]
    border[:1] = False
    if folded.origin is not None:
        border[1:] &= folded.origin[1:] != folded.origin[:-1]
    return np.flatnonzero(border)


def _is_mark(code: int) -> bool:
    return unicodedata.category(chr(code))[0] == "M"


def _over_accents(ends: NDArray[np.int64], accents: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ends moved over the accents that directly follow, which belong to the last letter."""
    gaps = np.flatnonzero(np.diff(accents, append=accents[-1] + 2) != 1)
    last_of_run = accents[gaps][np.searchsorted(gaps, np.arange(accents.size))]
    at = np.minimum(np.searchsorted(accents, ends), accents.size - 1)
    return np.where(accents[at] == ends, last_of_run[at] + 1, ends)
