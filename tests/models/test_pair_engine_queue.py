"""The queue alone, around a function that scores with arithmetic: gathering, failing and giving up."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

import numpy as np
import pytest

from ragguard.errors import ScoringError
from ragguard.models.pair_engine_buckets import BucketedPair, bucketed, most_rows, row_count
from ragguard.models.pair_engine_cache import ScoreCache
from ragguard.models.pair_engine_queue import PairQueue
from ragguard.models.pair_logits import LOGITS
from ragguard.models.pair_tokens import EncodedPair
from ragguard.protocols import FloatArray


def pair(number: int, tokens: int = 10) -> BucketedPair:
    return bucketed(EncodedPair((number,) * tokens, (0,) * tokens, 0), max_tokens=512)


def expected(pairs: Sequence[BucketedPair]) -> FloatArray:
    return np.array([[each.ids[0] + i for i in range(LOGITS)] for each in pairs], dtype=np.float32)


class Scoring:
    """Adds up ids, remembers its batches, and can be held back or made to fail."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.fault: Callable[[Sequence[BucketedPair]], None] = lambda pairs: None

    def __call__(self, pairs: Sequence[BucketedPair]) -> FloatArray:
        self.entered.set()
        assert self.gate.wait(10)
        self.batches.append([int(each.ids[0]) for each in pairs])
        self.fault(pairs)
        return expected(pairs)


class Asking:
    """A queue around a `Scoring`, and what is asked of it."""

    def __init__(self, *, capacity: int = 100, cache_size: int = 100, rows: int = 8) -> None:
        self.scoring = Scoring()
        self.queue = PairQueue(
            self.scoring, most_rows=lambda length: rows, capacity=capacity, cache_size=cache_size
        )

    def __call__(self, *numbers: int, tokens: int = 10) -> Future[FloatArray]:
        future: Future[FloatArray] = Future()
        self.queue.put([pair(number, tokens) for number in numbers], future)
        return future

    def hold(self, number: int = 999) -> Future[FloatArray]:
        """Occupy the thread with one pair; what is asked for now gathers until `release`."""
        self.scoring.gate.clear()
        self.scoring.entered.clear()
        future = self(number)
        assert self.scoring.entered.wait(10)
        return future

    def release(self) -> None:
        self.scoring.gate.set()


@pytest.fixture
def ask() -> Iterator[Asking]:
    asking = Asking()
    yield asking
    asking.release()


def rows(*numbers: int) -> FloatArray:
    return expected([pair(number) for number in numbers])


def test_gives_rows_in_the_order_asked(ask: Asking) -> None:
    np.testing.assert_array_equal(ask(3, 1, 2, 1).result(5), rows(3, 1, 2, 1))
    assert ask().result(5).shape == (0, LOGITS)


def test_pairs_of_concurrent_calls_share_a_batch(ask: Asking) -> None:
    first = ask.hold()
    calls = [ask(i, i + 100) for i in range(4)]
    ask.release()
    for i, call in enumerate(calls):
        np.testing.assert_array_equal(call.result(5), rows(i, i + 100))
    first.result(5)
    assert ask.scoring.batches == [[999], [0, 100, 1, 101, 2, 102, 3, 103]]


def test_a_batch_holds_one_padded_length_and_the_oldest_pair_goes_first(ask: Asking) -> None:
    ask.hold()
    calls = [ask(1, tokens=40), ask(2, tokens=10), ask(3, tokens=60)]
    ask.release()
    for call in calls:
        call.result(5)
    assert ask.scoring.batches[1:] == [[1, 3], [2]]


def test_rows_are_powers_of_two_and_none_is_filler(ask: Asking) -> None:
    ask.hold()
    call = ask(*range(23))
    ask.release()
    np.testing.assert_array_equal(call.result(5), rows(*range(23)))
    assert [len(batch) for batch in ask.scoring.batches[1:]] == [8, 8, 4, 2, 1]
    assert (ask.queue.counts.scored, ask.queue.counts.tokens) == (24, 24 * 32)


def test_equal_pairs_are_scored_once_within_across_and_after_calls(ask: Asking) -> None:
    ask.hold()
    calls = [ask(1, 1, 2), ask(2, 1), ask(999)]
    ask.release()
    for call in calls:
        call.result(5)
    np.testing.assert_array_equal(ask(2, 1).result(5), rows(2, 1))
    assert sorted(number for batch in ask.scoring.batches for number in batch) == [1, 2, 999]
    counts = ask.queue.counts
    assert (counts.pairs, counts.unique, counts.joined, counts.cached) == (9, 8, 3, 2)


def test_pairs_that_differ_in_segments_or_length_alone_are_different() -> None:
    one = bucketed(EncodedPair((5, 6), (0, 0), 0), max_tokens=64)
    other = bucketed(EncodedPair((5, 6), (0, 1), 0), max_tokens=64)
    longer = bucketed(EncodedPair((5, 6, 0), (0, 0, 0), 0), max_tokens=64)
    assert len({one.key, other.key, longer.key}) == 3
    assert one.key == bucketed(EncodedPair((5, 6), (0, 0), 7), max_tokens=64).key


def test_a_cancelled_call_is_not_scored_and_its_neighbours_are(ask: Asking) -> None:
    ask.hold()
    given_up, other = ask(1, 2), ask(2, 3)
    given_up.cancel()
    ask.release()
    np.testing.assert_array_equal(other.result(5), rows(2, 3))
    assert ask.scoring.batches[1:] == [[2, 3]]
    np.testing.assert_array_equal(ask(1).result(5), rows(1))
    with pytest.raises(CancelledError):
        given_up.result(0)


def test_calls_beyond_the_capacity_wait_outside_and_enter_in_order() -> None:
    ask = Asking(capacity=4)
    ask.hold()
    calls = [ask(1, 2, 3), ask(4, 5), ask(6), ask(*range(10, 20))]
    given_up = ask(7)
    given_up.cancel()
    assert len(ask.queue._entries) == 4
    ask.release()
    for call, numbers in zip(calls, [(1, 2, 3), (4, 5), (6,), tuple(range(10, 20))], strict=True):
        np.testing.assert_array_equal(call.result(5), rows(*numbers))
    assert 7 not in [number for batch in ask.scoring.batches for number in batch]


def test_nan_fails_the_calls_that_asked_for_it_and_no_other(ask: Asking) -> None:
    class Spoilt(Scoring):
        def __call__(self, pairs: Sequence[BucketedPair]) -> FloatArray:
            logits = super().__call__(pairs)
            logits[logits[:, 0] == 13, 4] = np.nan
            logits[logits[:, 0] == 14, 1] = -np.inf
            return logits

    ask.scoring = ask.queue._score = Spoilt()
    ask.hold()
    spoilt, fine, infinite = ask(1, 13), ask(2, 1), ask(14)
    ask.release()
    for call in (spoilt, infinite):
        with pytest.raises(ScoringError, match="NaN or infinity"):
            call.result(5)
    np.testing.assert_array_equal(fine.result(5), rows(2, 1))
    with pytest.raises(ScoringError):
        ask(13).result(5)


def test_a_dead_back_end_fails_every_waiting_call_and_later_ones_recover(ask: Asking) -> None:
    def dead(pairs: Sequence[BucketedPair]) -> None:
        raise ScoringError("the back end failed (OSError)")

    held = ask.hold()
    calls = [ask(1, 2), ask(2, 3), ask(4, tokens=50)]
    ask.scoring.fault = dead
    ask.release()
    errors = [call.exception(5) for call in (held, *calls)]
    assert all(isinstance(error, ScoringError) for error in errors)
    assert len({id(error) for error in errors}) == len(errors)
    ask.scoring.fault = lambda pairs: None
    np.testing.assert_array_equal(ask(1, 2, 3).result(5), rows(1, 2, 3))


def test_one_calls_fatal_pair_does_not_fail_the_calls_it_was_batched_with(ask: Asking) -> None:
    def chokes(pairs: Sequence[BucketedPair]) -> None:
        if any(each.ids[0] == 13 for each in pairs):
            raise ScoringError("the back end failed (IndexError)")

    ask.scoring.fault = chokes
    ask.hold()
    bad, *good = ask(13, 1), ask(1, 2), ask(3)
    ask.release()
    np.testing.assert_array_equal(good[0].result(5), rows(1, 2))
    np.testing.assert_array_equal(good[1].result(5), rows(3))
    with pytest.raises(ScoringError, match="IndexError"):
        bad.result(5)


def test_no_call_waits_for_ever_when_the_scoring_thread_itself_ends(ask: Asking) -> None:
    def ends(pairs: Sequence[BucketedPair]) -> None:
        raise SystemExit

    held = ask.hold()
    waiting = [ask(1), ask(2, tokens=99)]
    ask.scoring.fault = ends
    ask.release()
    for call in (held, *waiting):
        with pytest.raises(ScoringError):
            call.result(5)
    ask.scoring.fault = lambda pairs: None
    np.testing.assert_array_equal(ask(1).result(5), rows(1))


def test_many_threads_get_their_own_rows_though_others_give_up() -> None:
    ask = Asking(capacity=7, cache_size=5)

    def work(seed: int) -> bool:
        rng = np.random.default_rng(seed)
        right = True
        for _ in range(40):
            numbers = [int(each) for each in rng.integers(0, 30, rng.integers(1, 9))]
            call = ask(*numbers, tokens=int(rng.integers(1, 90)))
            if rng.random() < 0.2 and call.cancel():
                continue
            right = right and np.array_equal(call.result(10), rows(*numbers))
        return right

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
    assert ask(1).result(5).shape == (1, LOGITS)
    assert ask.queue._entries == {}


def test_a_call_outside_enters_when_everything_inside_was_given_up() -> None:
    ask = Asking(capacity=2)
    ask.hold()
    given_up, outside = ask(1), ask(2, 3)
    given_up.cancel()
    ask.release()
    np.testing.assert_array_equal(outside.result(5), rows(2, 3))


def test_the_cache_forgets_what_was_unasked_for_longest() -> None:
    cache = ScoreCache(2)
    row = np.zeros(LOGITS, dtype=np.float32)
    for key in (b"a", b"b"):
        cache.put(key, row)
    assert cache.get(b"a") is not None
    cache.put(b"c", row)
    assert (cache.get(b"a") is None, cache.get(b"b") is None, len(cache)) == (False, True, 2)
    nothing = ScoreCache(0)
    nothing.put(b"a", row)
    assert (nothing.get(b"a"), len(nothing)) == (None, 0)


def test_a_kept_row_is_not_a_view_of_its_batch() -> None:
    cache = ScoreCache(1)
    batch = np.zeros((64, LOGITS), dtype=np.float32)
    cache.put(b"a", batch[0])
    kept = cache.get(b"a")
    assert kept is not None
    assert kept.base is None


def test_batches_come_in_few_shapes() -> None:
    lengths = range(32, 513, 32)
    shapes = {
        (row_count(left, most_rows(length, batch_tokens=2048)), length)
        for length in lengths
        for left in range(1, 200)
    }
    assert len(shapes) <= 4.5 * len(lengths)
    assert all(count * length <= 2048 for count, length in shapes)
    assert most_rows(512, batch_tokens=1) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forking is for servers on POSIX")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_server_answers_with_a_thread_of_its_own(ask: Asking) -> None:
    ask.hold()
    ask(1)
    child = os.fork()
    if child == 0:
        try:
            ask.queue.reset()
            ask.release()
            os._exit(7 if np.array_equal(ask(1, 5).result(5), rows(1, 5)) else 2)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
