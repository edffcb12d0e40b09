"""A text with all that does not change its reading taken away, character by character.

Each raw character is folded by itself: case-folded, decomposed by compatibility
(NFKD), without accents, and with what only looks like a Latin letter or a digit
replaced by that. What cannot be seen (zero-width characters, controls of writing
direction, tags, variation selectors) is folded to nothing. Since no character
looks at its neighbours, where each folded character came from is always known.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragguard.trace.confusables import look_alikes

APOSTROPHE, HYPHEN, SOFT_HYPHEN, BREAK, RETURN, GAP = "'", "-", "\x02", "\n", "\r", " "
_APOSTROPHES = "'`\u00b4\u2018\u2019\u201b\u02b9\u02bb\u02bc\u02bd\u02be\u02bf\u02c8\u2032\uff07\u05f3\u0374"
_HYPHENS = "-\u2010\u2011\ufe63\uff0d"
_BREAKS = "\n\x0b\x0c\x85\u2028\u2029"
# Drawn as nothing, although Unicode counts them as letters or marks: fillers and joiners.
_INVISIBLE = frozenset(map(chr, (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0, 0x180F)))
# Accents of Latin, Greek and Cyrillic; the vowel signs of other scripts are letters in all but name.
_ACCENTS = (
    (0x0300, 0x036F),
    (0x0483, 0x0489),
    (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF),
    (0x20D0, 0x20FF),
    (0xFE20, 0xFE2F),
)
_SELECTORS = ((0x180B, 0x180D), (0xFE00, 0xFE0F), (0xE0000, 0xE0FFF))


@dataclass(frozen=True)
class Folded:
    """A folded text.

    Attributes:
        text: the folded characters; separators are spaces, line breaks, or one of the signs named above.
        origin: index of the raw character that each folded one came from; None where it is its own index.
        accents: indices of raw characters that were an accent and left nothing, in order.
    """

    text: str
    origin: NDArray[np.int64] | None
    accents: NDArray[np.int64]


_NONE = np.zeros(0, dtype=np.int64)


def _ascii_table() -> bytes:
    table = bytearray(b" " * 128)
    for code in range(128):
        char = chr(code).lower()
        if char.isalnum() or char in "-\n\r":
            table[code] = ord(char)
        elif char in _APOSTROPHES:
            table[code] = ord(APOSTROPHE)
        elif char in _BREAKS:
            table[code] = ord(BREAK)
        elif not char.isspace() and unicodedata.category(char) == "Cc":
            table[code] = 0  # nothing: see `fold`
    return bytes(table) + b" " * 128


_ASCII = _ascii_table()


def fold(text: str) -> Folded:
    """Return the text folded, with the raw place of every character.

    Args:
        text: any Unicode, unpaired surrogates included.
    """
    if text.isascii():
        folded = text.encode("ascii").translate(_ASCII)
        if 0 not in folded:
            return Folded(folded.decode("ascii"), None, _NONE)
    return _fold_any(text)


def _fold_any(text: str) -> Folded:
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    lengths, firsts = _TABLE.look_up(codes)
    if lengths.min(initial=1) == lengths.max(initial=1) == 1:
        return Folded(_decode(_TABLE.pool[firsts]), None, _NONE)
    origin = np.repeat(np.arange(codes.size, dtype=np.int64), lengths)
    within = np.arange(origin.size) - np.repeat(np.cumsum(lengths, dtype=np.int64) - lengths, lengths)
    folded = _decode(_TABLE.pool[firsts[origin] + within])
    nothing = np.flatnonzero(lengths == 0)
    accents = nothing[_in_ranges(codes[nothing])] if nothing.size else _NONE
    return Folded(folded, origin, accents.astype(np.int64))


def _decode(codes: NDArray[np.uint32]) -> str:
    return codes.astype("<u4", copy=False).tobytes().decode("utf-32-le", "surrogatepass")


def _in_ranges(codes: NDArray[np.uint32]) -> NDArray[np.bool_]:
    found = np.zeros(codes.shape, dtype=np.bool_)
    for first, last in _ACCENTS:
        found |= (codes >= first) & (codes <= last)
    return found


class _FoldTable:
    """How many characters each code point becomes, and where in `pool` they stand.

    Filled in as characters are met: a whole table would take a second to work out,
    and a text uses a few hundred of them. The arrays are untouched memory until then.
    """

    def __init__(self) -> None:
        self._lengths = np.zeros(0x110000, dtype=np.uint8)
        self._firsts = np.zeros(0x110000, dtype=np.int32)
        self._known = np.zeros(0x110000, dtype=np.bool_)
        self._lock = threading.Lock()
        self._alike = look_alikes()
        self._filled = 0
        self.pool = np.zeros(1024, dtype=np.uint32)

    def look_up(self, codes: NDArray[np.uint32]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        known = self._known[codes]
        if not known.all():
            self._learn(np.unique(codes[~known]).tolist())
        return self._lengths[codes], self._firsts[codes]

    def _learn(self, codes: Iterable[int]) -> None:
        with self._lock:
            new: list[int] = []
            for code in codes:
                became = _fold_character(chr(code), self._alike)
                self._lengths[code] = len(became)
                self._firsts[code] = self._filled + len(new)
                new.extend(map(ord, became))
            end = self._filled + len(new)
            if end > self.pool.size:  # doubled, so that characters met one by one do not cost a copy each
                self.pool = np.concatenate([self.pool, np.zeros(max(end, self.pool.size), dtype=np.uint32)])
            self.pool[self._filled : end] = new
            self._filled = end
            # Last: a reader beside us takes a character for known only when its place is filled.
            self._known[list(codes)] = True


def _fold_character(char: str, alike: Mapping[str, str]) -> str:
    if char in _APOSTROPHES:
        return APOSTROPHE
    if char in _HYPHENS:
        return HYPHEN
    if char == "\u00ad":
        return SOFT_HYPHEN
    if char in _BREAKS:
        return BREAK
    if char == "\r" or char.isspace():
        return RETURN if char == "\r" else GAP
    if _is_nothing(char):
        return ""
    # Look-alikes first, since NFKD turns some into what they do not look like; accents before
    # case, since an iota below would become a letter; and twice, since a compatibility form of a
    # capital (a circled letter, a ligature) is a capital again.
    folded = alike.get(char.casefold(), char)
    for _ in range(2):
        plain = (part for part in unicodedata.normalize("NFKD", folded) if not _is_accent(part))
        folded = "".join(alike.get(part, part) for part in "".join(plain).casefold())
    parts = map(_digit, folded)
    return "".join(part for part in parts if _is_word(part)) or GAP


def _digit(part: str) -> str:
    value = unicodedata.decimal(part, None) if len(part) == 1 else None
    return part if value is None else str(value)


def _is_word(part: str) -> bool:
    return part not in _APOSTROPHES and (part.isalnum() or unicodedata.category(part)[0] == "M")


def _is_accent(char: str) -> bool:
    return any(first <= ord(char) <= last for first, last in _ACCENTS)


def _is_nothing(char: str) -> bool:
    """Whether a character cannot be seen by itself: it joins what stands around it."""
    if char in _INVISIBLE or any(first <= ord(char) <= last for first, last in _SELECTORS):
        return True
    if _is_accent(char):
        return True
    return unicodedata.category(char) in ("Cf", "Cc")


_TABLE = _FoldTable()
