"""Batches of few shapes: every new (rows, length) makes the CPU compile and keep kernels.

With free shapes a long-lived process slows down and grows; these have at most
four row counts a length, and lengths are multiples of 32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_LENGTH_STEP = 32
_SMALL_ROWS = (16, 4, 1)
_MOST_ROWS = 128


def shaped_batches(
    lengths: Sequence[int], *, batch_tokens: int, max_tokens: int
) -> Iterator[tuple[list[int], int, int]]:
    """Yield (positions, rows, length) so that every position occurs in exactly one batch.

    Positions of similar length go together, longest first. `rows` is at least
    the number of positions; the caller fills the rest with anything.

    Args:
        lengths: tokens of each text, special tokens included.
        batch_tokens: about how many tokens (rows x length) a full batch holds.
        max_tokens: the longest text.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    done = 0
    while done < len(order):
        length = padded_length(lengths[order[done]], max_tokens=max_tokens)
        rows = _rows(len(order) - done, _full(batch_tokens, length))
        yield order[done : done + rows], rows, length
        done += rows


def padded_length(length: int, *, max_tokens: int) -> int:
    """Return the length rounded up to a multiple of 32, or `max_tokens` where that is less."""
    return min(max_tokens, max(1, -(-length // _LENGTH_STEP)) * _LENGTH_STEP)


def _full(batch_tokens: int, length: int) -> int:
    rows = max(1, min(_MOST_ROWS, batch_tokens // length))
    return rows if rows < _SMALL_ROWS[0] else rows // _SMALL_ROWS[0] * _SMALL_ROWS[0]


def _rows(left: int, full: int) -> int:
    """The largest allowed count not above `left`; two or three are padded to four."""
    if left >= full:
        return full
    if left in (2, 3) and full >= 4:
        return 4
    return next(count for count in _SMALL_ROWS if count <= left)
