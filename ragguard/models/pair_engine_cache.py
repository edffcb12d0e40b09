"""The most recent scores, by pair."""

from __future__ import annotations

from collections import OrderedDict

from ragguard.protocols import FloatArray


class ScoreCache:
    """Logits of the pairs that were asked for last; for one thread at a time.

    Args:
        size: pairs kept, at about 300 bytes each; 0 keeps none.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._rows: OrderedDict[bytes, FloatArray] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: bytes) -> FloatArray | None:
        """Return the logits, now the most recent, or None."""
        row = self._rows.get(key)
        if row is not None:
            self._rows.move_to_end(key)
        return row

    def put(self, key: bytes, row: FloatArray) -> None:
        """Keep a copy, and forget the pair unasked for longest where there are too many."""
        self._rows[key] = row.copy()  # a view would keep the whole batch alive
        self._rows.move_to_end(key)
        while len(self._rows) > self._size:
            self._rows.popitem(last=False)
