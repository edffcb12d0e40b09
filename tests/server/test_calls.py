from __future__ import annotations

import pytest

from ragguard.errors import InvalidValueError
from ragguard.server.calls import Calls
from ragguard.server.given import Given
from ragguard.stream import StreamGate
from ragguard.types import Passage, Turn
from tests.server.served import by_words


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def given_of(size: int = 1) -> Given:
    return Given("", (Passage(id="a", text="x" * size),))


def test_a_call_is_recalled_until_its_time_is_over() -> None:
    clock = Clock()
    calls = Calls(seconds=10, clock=clock)
    calls.remember(("k", "a"), given_of())
    clock.now = 9
    assert calls.recall(("k", "a")) == given_of()
    clock.now = 18  # heard of at 9
    assert calls.recall(("k", "a")) == given_of()
    clock.now = 29
    assert calls.recall(("k", "a")) is None


def test_a_call_without_an_id_is_not_remembered() -> None:
    calls = Calls()
    calls.remember(None, given_of())
    assert len(calls) == 0
    assert calls.recall(None) is None


def test_the_oldest_calls_go_first_by_number_and_by_size() -> None:
    few = Calls(most=2)
    for name in "abc":
        few.remember(("k", name), given_of())
    assert [few.recall(("k", name)) is None for name in "abc"] == [True, False, False]
    small = Calls(characters=100)
    small.remember(("k", "a"), given_of(60))
    small.remember(("k", "b"), given_of(60))
    assert [small.recall(("k", name)) is None for name in "ab"] == [True, False]
    small.remember(("k", "c"), given_of(101))
    assert len(small) == 0


def test_replacing_a_call_gives_its_room_back() -> None:
    calls = Calls(characters=100)
    for _ in range(5):
        calls.remember(("k", "a"), given_of(90))
    assert calls.recall(("k", "a")) == given_of(90)


def test_a_gate_is_handed_out_once_and_only_for_its_own_turn() -> None:
    calls, turn = Calls(), Turn(question="Q?", passages=())
    gate = StreamGate([by_words()], turn)
    calls.put_gate(("k", "a"), 0, turn, gate)
    assert calls.take_gate(("k", "a"), 0, turn) is None  # its call is not kept
    calls.remember(("k", "a"), given_of())
    calls.put_gate(("k", "a"), 0, turn, gate)
    assert calls.take_gate(("k", "a"), 1, turn) is None
    assert calls.take_gate(("k", "a"), 0, turn) is gate
    assert calls.take_gate(("k", "a"), 0, turn) is None
    calls.put_gate(("k", "a"), 0, turn, gate)
    assert calls.take_gate(("k", "a"), 0, Turn(question="Other?")) is None
    calls.put_gate(("k", "a"), 0, turn, gate)
    calls.remember(("k", "a"), given_of())
    assert calls.take_gate(("k", "a"), 0, turn) is None  # begun anew


@pytest.mark.parametrize("bad", [{"most": 0}, {"seconds": 0}, {"characters": -1}])
def test_a_memory_of_nothing_is_refused(bad: dict[str, int]) -> None:
    with pytest.raises(InvalidValueError):
        Calls(**bad)  # type: ignore[arg-type]
