"""Where checks run, how long they may take, and that no thread waits for ever."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from concurrent.futures import Future

import pytest

from ragguard.errors import DeadlineExceededError
from ragguard.worker import check_deadline, deadline, remaining, run_on_worker, submit


def test_work_runs_on_another_thread_with_the_callers_deadline() -> None:
    with deadline(60):
        thread, left = submit(lambda: (threading.get_ident(), remaining())).result(5)
    assert thread != threading.get_ident()
    assert left is not None
    assert 0 < left <= 60


async def test_the_event_loop_goes_on_while_a_worker_works() -> None:
    beats = 0
    work = asyncio.ensure_future(run_on_worker(time.sleep, 0.2))
    while not work.done():
        beats += 1
        await asyncio.sleep(0.01)
    assert beats >= 5


def test_without_a_deadline_there_is_no_end() -> None:
    assert remaining() is None
    check_deadline()
    with deadline(None):
        assert remaining() is None


def test_the_deadline_ends_with_its_block() -> None:
    with deadline(0):
        with pytest.raises(DeadlineExceededError):
            check_deadline()
    check_deadline()


def test_a_part_cannot_outlast_its_turn() -> None:
    with deadline(0), deadline(60), deadline(None):
        with pytest.raises(DeadlineExceededError):
            check_deadline()


def test_a_part_may_end_before_its_turn() -> None:
    with deadline(60):
        with deadline(0), pytest.raises(DeadlineExceededError):
            check_deadline()
        check_deadline()


def test_work_inside_work_does_not_wait_for_a_free_worker() -> None:
    at_once = threading.Barrier(2)

    def outer(number: int) -> int:
        at_once.wait(5)  # every other worker is taken by now
        return submit(lambda: number).result(5)

    futures: list[Future[int]] = []
    for pair in range(4):
        futures += [submit(outer, pair), submit(outer, pair)]
    assert [f.result(10) for f in futures] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_work_inside_work_passes_its_error_on() -> None:
    def fails() -> None:
        raise KeyError("inner")

    assert isinstance(submit(lambda: submit(fails).exception()).result(5), KeyError)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forking is for servers on POSIX")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_server_gets_workers_of_its_own() -> None:
    submit(int).result(5)
    child = os.fork()
    if child == 0:
        try:
            os._exit(submit(lambda: 7).result(5))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
