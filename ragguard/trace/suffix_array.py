"""Where any run of tokens stands in a corpus: a suffix array, searched for many places at once.

Tokens are kept most significant byte first, so that bytes sort as tokens do. A
window of tokens is then one fixed-width byte string, and a step of binary search
for every place of a query is one comparison of two arrays of byte strings.

References:
    Manber, Myers 1993: suffix arrays. Chang, Lawler 1994: matching statistics, the
    longest match at each place of a query. Mori 2006: divsufsort.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Places: TypeAlias = NDArray[np.int64]

SEPARATOR = 0
"""Stands after each document. No query holds it, so no match crosses a border."""
UNKNOWN = -1
"""A query's token that the corpus does not have: it matches nothing."""
PADDING = 256
"""Separators stored after the last token, so that a window of that width is never cut off."""

_FIRST_WIDTH = 16  # tokens compared at a time at first; most places match fewer
_FIRST_LOOK = 64  # tokens from the end that are looked at first for one that reaches it
_MOST_BYTES = 1 << 24  # for one array of windows
_CHUNK = 1 << 22


def token_type(vocabulary: int) -> np.dtype[Any]:
    """Return the type tokens 1..vocabulary are stored in: 16 bits where they fit, else 32."""
    # The separator, and the largest value (no token, but larger than any), are taken.
    return np.dtype(">u2" if vocabulary < 65_535 else ">u4")


def build(tokens: NDArray[Any]) -> NDArray[Any]:
    """Return the starts of all suffixes of `tokens` in sorted order, in O(n log n).

    Args:
        tokens: shape [n], of `token_type`, without padding.

    Returns:
        Shape [n]; 32-bit where n allows.
    """
    width, packed = _packed(tokens)
    return sorted_suffixes(packed, width)


def sorted_suffixes(content: NDArray[np.uint8], width: int) -> NDArray[Any]:
    """Return the starts of the suffixes of a text of `width` bytes a token, in the order of their bytes."""
    from pydivsufsort import divsufsort

    size = content.size // width
    found = np.empty(size, dtype=np.int32 if size < 2**31 else np.int64)
    if not size:
        return found
    of_bytes = divsufsort(content)
    # Suffixes that begin within a token are sorted in between; dropped a chunk at a time to save memory.
    filled = 0
    for begin in range(0, of_bytes.size, _CHUNK):
        chunk = of_bytes[begin : begin + _CHUNK]
        chunk = chunk[chunk % width == 0] // width
        found[filled : filled + chunk.size] = chunk
        filled += chunk.size
    return found


def _packed(tokens: NDArray[Any]) -> tuple[int, NDArray[np.uint8]]:
    """Bytes of the tokens, most significant first, and how many make one token."""
    width = tokens.dtype.itemsize
    content = np.ascontiguousarray(tokens).view(np.uint8)
    if width == 4 and int(tokens.max(initial=0)) < 1 << 24:  # a quarter of the sort's time and memory saved
        return 3, np.ascontiguousarray(content.reshape(-1, 4)[:, 1:]).reshape(-1)
    return width, content


def padded(tokens: NDArray[Any]) -> NDArray[Any]:
    """Return the tokens with `PADDING` separators behind them."""
    # Not by concatenating, which would give the machine's own byte order.
    result = np.zeros(tokens.size + PADDING, dtype=tokens.dtype)
    result[: tokens.size] = tokens
    return result


class SuffixArray:
    """A corpus of tokens with its suffixes in sorted order; neither is read as a whole.

    Args:
        tokens: shape [n + PADDING], of `token_type`, as `padded` gives.
        suffixes: shape [n], as `build` gives.
    """

    def __init__(self, tokens: NDArray[Any], suffixes: NDArray[Any]) -> None:
        self.tokens = np.asarray(tokens)
        self.suffixes = np.asarray(suffixes)
        self.size = int(self.suffixes.size)
        self._largest = int(np.iinfo(self.tokens.dtype).max)

    def longest(self, query: Places, least: int = 1) -> Places:
        """Return the matching statistics: at each place of the query, how many tokens from there on occur.

        Args:
            query: shape [m], tokens or `UNKNOWN`.
            least: shorter ones are of no interest; a search that gains by it may leave them out. This one does not.

        Returns:
            Shape [m]; 0 where not even the first token occurs.
        """
        length = np.zeros(query.size, dtype=np.int64)
        at = np.flatnonzero(query != UNKNOWN)
        if not self.size or not at.size:
            return length
        text = padded(np.where(query == UNKNOWN, self._largest, query).astype(self.tokens.dtype))
        low, high = np.zeros(at.size, dtype=np.int64), np.full(at.size, self.size, dtype=np.int64)
        depth, width, tails = 0, _FIRST_WIDTH, []
        while at.size:
            pattern = _windows(text, width)[at + depth]
            first = self._lower(low, high, depth, pattern)
            common = np.maximum(
                self._common(np.maximum(first - 1, low), depth, text, at, width),
                self._common(np.minimum(first, high - 1), depth, text, at, width),
            )
            length[at] = depth + np.minimum(common, query.size - at - depth)
            more = (common == width) & (at + depth + width < query.size)
            at, low, high, pattern = at[more], first[more], high[more], pattern[more]
            high = self._end_of_run(low, high, depth, pattern)
            depth += width
            at, low, high, tail = self._without_chains(at, low, high, depth)
            tails.append(tail)
            width = self._wider(width, at.size)
        for tail in reversed(tails):
            _carry_back(length, *tail)
        return length

    def reaching_end(self, query: Places) -> int:
        """Return the first place from which the query occurs to its end; its length where none does."""
        look = _FIRST_LOOK
        while True:
            begin = max(0, query.size - look)
            found = longest_suffix(self.longest(query[begin:]))
            if found > 0 or begin == 0:
                return begin + found
            look *= 4

    def intervals(self, query: Places, starts: Places, ends: Places) -> tuple[Places, Places]:
        """Return for each `query[start:end]` the range [low, high) of `suffixes` that begin with it.

        Args:
            query: shape [m].
            starts, ends: shape [k], places in it.

        Returns:
            Two arrays of shape [k]; equal where it does not occur.
        """
        # One by one: there are few, and for these a search in plain Python is the quicker one.
        width = self.tokens.dtype.itemsize
        content = self.tokens.view(np.uint8).data
        text = np.where(query == UNKNOWN, self._largest, query).astype(self.tokens.dtype)
        low, high = np.zeros(starts.size, dtype=np.int64), np.zeros(starts.size, dtype=np.int64)
        for place, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            length = (end - start) * width

            def run(suffix: Any, length: int = length) -> bytes:
                begin = int(suffix) * width
                return bytes(content[begin : begin + length])

            pattern = text[start:end].tobytes()
            low[place] = bisect_left(self.suffixes, pattern, key=run)
            high[place] = bisect_right(self.suffixes, pattern, lo=int(low[place]), key=run)
        return low, high

    def begins(self, low: int, high: int) -> NDArray[Any]:
        """Return where the suffixes low to high begin."""
        return self.suffixes[low:high]

    def _lower(self, low: Places, high: Places, depth: int, pattern: NDArray[Any]) -> Places:
        """First place in each [low, high) whose suffix, `depth` tokens on, is not below the pattern."""
        return self._search(low, high, depth, pattern, np.less)

    def _end_of_run(self, low: Places, high: Places, depth: int, pattern: NDArray[Any]) -> Places:
        """First place in each [low, high) whose suffix is above the pattern, which the one at `low` equals."""
        width = pattern.dtype.itemsize // self.tokens.dtype.itemsize
        windows = _windows(self.tokens, width)
        following = np.minimum(low + 1, self.size - 1)
        beyond = np.minimum(self.suffixes[following] + depth, windows.size - 1)
        again = np.flatnonzero((low + 1 < high) & (windows[beyond] == pattern))
        end = low + 1
        if again.size:  # most runs stand in a corpus once, and need no search
            end[again] = self._search(low[again] + 1, high[again], depth, pattern[again], np.less_equal)
        return end

    def _search(
        self, low: Places, high: Places, depth: int, pattern: NDArray[Any], passes: np.ufunc
    ) -> Places:
        if not low.size:
            return low
        width = pattern.dtype.itemsize // self.tokens.dtype.itemsize
        windows = _windows(self.tokens, width)
        last = windows.size - 1
        left = high - low
        for _ in range(int(left.max()).bit_length()):
            half = left >> 1
            middle = np.minimum(low + half, self.size - 1)
            beyond = np.minimum(self.suffixes[middle] + depth, last)
            below = passes(windows[beyond], pattern) & (left > 0)
            low = np.where(below, middle + 1, low)
            left = np.where(below, left - half - 1, half)
        return low

    def _common(self, place: Places, depth: int, text: NDArray[Any], at: Places, width: int) -> Places:
        """How many of `width` tokens, `depth` on, a suffix has in common with the query at `at`."""
        theirs = _rows(self.tokens, width)
        beyond = np.minimum(self.suffixes[place] + depth, len(theirs) - 1)
        same = theirs[beyond] == _rows(text, width)[at + depth]
        common: Places = np.where(same.all(axis=1), width, same.argmin(axis=1))
        return common

    def _without_chains(
        self, at: Places, low: Places, high: Places, depth: int
    ) -> tuple[Places, Places, Places, tuple[Places, Places]]:
        """Drop places whose only occurrence runs on into that of a later place: both end together.

        A long copied passage would otherwise be compared once for each of its places.
        """
        alone = high - low == 1
        source = np.where(alone, self.suffixes[low] - at, 0) if at.size else at
        follows = np.zeros(at.size, dtype=np.bool_)
        follows[:-1] = alone[:-1] & alone[1:] & (source[:-1] == source[1:]) & (np.diff(at) <= depth)
        # The place each one ends with: the first at or after it that follows into none.
        last = np.where(follows, at.size, np.arange(at.size))
        last = np.minimum.accumulate(last[::-1])[::-1]
        kept = ~follows
        return at[kept], low[kept], high[kept], (at[follows], at[last[follows]])

    def _wider(self, width: int, places: int) -> int:
        affordable = _MOST_BYTES // (max(places, 1) * self.tokens.dtype.itemsize)
        return int(min(2 * width, PADDING, max(affordable, _FIRST_WIDTH)))


def _carry_back(length: Places, places: Places, lasts: Places) -> None:
    length[places] = lasts + length[lasts] - places


def longest_suffix(longest: Places) -> int:
    """Return the first place from which the text's end is reached; its length where none does."""
    reached = np.flatnonzero(np.arange(longest.size) + longest == longest.size)
    return int(reached[0]) if reached.size else int(longest.size)


def _windows(tokens: NDArray[Any], width: int) -> NDArray[Any]:
    """Every window of `width` tokens as one byte string: a view, nothing is copied."""
    size = tokens.dtype.itemsize
    return np.ndarray((tokens.size - width + 1,), dtype=f"S{width * size}", buffer=tokens, strides=(size,))


def _rows(tokens: NDArray[Any], width: int) -> NDArray[Any]:
    """Every window of `width` tokens as a row of numbers: a view."""
    size = tokens.dtype.itemsize
    shape = (tokens.size - width + 1, width)
    return np.ndarray(shape, dtype=tokens.dtype, buffer=tokens, strides=(size, size))
