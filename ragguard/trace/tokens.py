"""A text as comparable words, each with its place in the raw text."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Tokens:
    """Words in order; word i was written as `text[starts[i]:ends[i]]`."""

    words: tuple[str, ...]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


def tokenise(text: str) -> Tokens:
    """Return the folded words of a text with raw, half-open offsets."""
    chars: list[str] = []
    origin: list[int] = []
    for place, char in enumerate(text):
        if unicodedata.category(char) == "Cf":
            continue
        for part in unicodedata.normalize("NFKC", char).casefold():
            chars.append(part)
            origin.append(place)
    found = list(_WORD.finditer("".join(chars)))
    starts = np.array([origin[m.start()] for m in found], dtype=np.int64)
    ends = np.array([origin[m.end() - 1] + 1 for m in found], dtype=np.int64)
    return Tokens(words=tuple(m[0] for m in found), starts=starts, ends=ends)
