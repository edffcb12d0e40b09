"""What is remembered of calls in flight: the gateway shows evidence before the answer, not with it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from ragguard.errors import InvalidValueError
from ragguard.server.given import Given
from ragguard.stream import StreamGate
from ragguard.types import Turn

Call = tuple[str, str]


@dataclass
class _Entry:
    given: Given
    until: float
    gates: dict[int, tuple[Turn, StreamGate]] = field(default_factory=dict)

    @property
    def characters(self) -> int:
        return len(self.given.question) + sum(len(p.text) for p in self.given.passages)


class Calls:
    """Keeps a bounded number of calls for a bounded time, in this process alone.

    A call that is forgotten is one without evidence; what that means is the app's
    `no_evidence`. Safe to share between threads.

    Args:
        most: calls kept; the one that came first goes first.
        seconds: that a call is kept after it was last heard of.
        characters: of all evidence kept together.
        clock: in seconds.

    Raises:
        InvalidValueError: one of them is not more than 0.
    """

    def __init__(
        self,
        *,
        most: int = 1024,
        seconds: float = 600.0,
        characters: int = 32_000_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if most <= 0 or seconds <= 0 or characters <= 0:
            raise InvalidValueError("calls, seconds and characters must be more than 0")
        self._most, self._seconds, self._room, self._clock = most, seconds, characters, clock
        self._entries: OrderedDict[Call, _Entry] = OrderedDict()
        self._characters = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def remember(self, call: Call | None, given: Given) -> None:
        """Keep what a call brought; what was kept under its name before is forgotten."""
        if call is None:
            return
        entry = _Entry(given, self._clock() + self._seconds)
        with self._lock:
            self._forget(call)
            self._entries[call] = entry
            self._characters += entry.characters
            while self._characters > self._room or len(self._entries) > self._most or self._oldest_is_over():
                self._forget(next(iter(self._entries)))

    def recall(self, call: Call | None) -> Given | None:
        """Return what the call brought before, or None."""
        with self._lock:
            entry = self._alive(call)
            return None if entry is None else entry.given

    def take_gate(self, call: Call | None, place: int, turn: Turn) -> StreamGate | None:
        """Hand out the gate of a stream's choice for use by one; None where it was for another turn."""
        with self._lock:
            entry = self._alive(call)
            of, gate = (None, None) if entry is None else entry.gates.pop(place, (None, None))
            return gate if of == turn else None

    def put_gate(self, call: Call | None, place: int, turn: Turn, gate: StreamGate) -> None:
        """Keep a gate for the stream's next piece, as long as its call is kept."""
        with self._lock:
            entry = self._alive(call)
            if entry is not None:
                entry.gates[place] = (turn, gate)

    def _alive(self, call: Call | None) -> _Entry | None:
        entry = None if call is None else self._entries.get(call)
        if entry is None or entry.until < self._clock():
            return None
        entry.until = self._clock() + self._seconds
        return entry

    def _oldest_is_over(self) -> bool:
        return bool(self._entries) and next(iter(self._entries.values())).until < self._clock()

    def _forget(self, call: Call) -> None:
        entry = self._entries.pop(call, None)
        if entry is not None:
            self._characters -= entry.characters
