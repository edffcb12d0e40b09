"""Fifty at once with a slow scorer: the event loop stays free, and nobody gets another's evidence."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from langchain_ragguard import RagGuardVerifier
from ragguard import ConsistencyGuard, Evidence
from ragguard.alignment.lexical import LexicalAligner

COUNT = 50
MODES: Any = pytest.mark.parametrize("mode", ["withhold", "sentence"])


class Slow(LexicalAligner):
    """Takes its time for every pass, on whatever thread it is called, and notes which."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.threads: set[int] = set()

    def align(self, claims: Any, passages: Any, /, *, question: str = "") -> list[Evidence]:
        self.threads.add(threading.get_ident())
        time.sleep(self.seconds)
        return super().align(claims, passages, question=question)


def given(number: int) -> dict[str, Any]:
    """Every third answer is wrong; each has a context of its own."""
    stated = number if number % 3 else number + 1000
    return {
        "question": f"How many trams has depot {number}?",
        "context": [f"Depot {number} has {number} trams."],
        "answer": f"Depot {number} has {stated} trams.",
    }


def assert_own(number: int, found: dict[str, Any]) -> None:
    assert found["released"] is bool(number % 3)
    turn = found["ragguard"]["turn"]
    assert turn["question"] == f"How many trams has depot {number}?"
    assert [p["text"] for p in turn["passages"]] == [f"Depot {number} has {number} trams."]
    (evidence,) = next(v["evidence"] for v in found["ragguard"]["verdicts"] if v["guard"] == "consistency")
    assert evidence["passage_id"] in (None, turn["passages"][0]["id"])
    if number % 3:
        assert found["answer"] == f"Depot {number} has {number} trams."


async def streamed(verifier: RagGuardVerifier, number: int) -> dict[str, Any]:
    chunks = [chunk async for chunk in verifier.astream(given(number))]
    return {**chunks[-1], "answer": "".join(c["answer"] for c in chunks)}


@MODES
async def test_fifty_at_once_get_their_own_evidence_in_order_off_the_loops_thread(mode: Any) -> None:
    aligner = Slow(0.004)
    verifier = RagGuardVerifier(guard=ConsistencyGuard(aligner), mode=mode)
    for found in (
        await asyncio.gather(*(verifier.ainvoke(given(n)) for n in range(COUNT))),
        await asyncio.gather(*(streamed(verifier, n) for n in range(COUNT))),
        await verifier.abatch([given(n) for n in range(COUNT)]),
    ):
        for number, one in enumerate(found):
            assert_own(number, one)
    assert aligner.threads
    assert threading.get_ident() not in aligner.threads


async def test_guards_of_many_turns_share_a_bounded_number_of_threads() -> None:
    aligner = Slow(0.004)
    verifier = RagGuardVerifier(guard=ConsistencyGuard(aligner))
    await asyncio.gather(*(verifier.ainvoke(given(n)) for n in range(COUNT)))
    assert len(aligner.threads) <= 4


async def worst_stall(work: Any) -> float:
    """The longest that the loop went without a turn while the work was awaited, in seconds."""
    worst, last = 0.0, time.perf_counter()

    async def beat() -> None:
        nonlocal worst, last
        while True:
            await asyncio.sleep(0.002)
            now = time.perf_counter()
            worst, last = max(worst, now - last), now

    beating = asyncio.create_task(beat())
    await work
    beating.cancel()
    return worst


@pytest.mark.slow
async def test_the_loop_is_never_held_up_for_a_quarter_of_one_scorer_call() -> None:
    """Compared with an idle loop on the same machine; the best of three, as others compute here too."""
    seconds = 0.4
    verifier = RagGuardVerifier(guard=ConsistencyGuard(Slow(seconds)))
    await verifier.ainvoke(given(1))
    excess = []
    for _ in range(3):
        idle = await worst_stall(asyncio.sleep(2.0))
        busy = await worst_stall(asyncio.gather(*(verifier.ainvoke(given(n)) for n in range(COUNT))))
        excess.append(busy - idle)
        if excess[-1] < seconds / 4:
            return
    assert min(excess) < seconds / 4
