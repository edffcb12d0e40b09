from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard.alignment.aligner import AlignmentAligner
from ragguard.alignment.lexical import LexicalAligner
from ragguard.errors import ConfigurationError, ScoringError
from ragguard.server import Limits, create_alignscore_app
from ragguard.server.together import Together
from tests.server.served import FALSE, RETURNS, TRUE, serving

PATHS = ("/alignscore_base", "/alignscore_large")


@asynccontextmanager
async def client(aligner: Any = None, **options: Any) -> Any:
    app = create_alignscore_app(aligner or LexicalAligner(), **options)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://guard") as http:
        yield http


async def scored(evidence: Any, claim: Any, aligner: Any = None, **options: Any) -> httpx.Response:
    async with client(aligner, **options) as http:
        reply: httpx.Response = await http.post(PATHS[0], json={"evidence": evidence, "claim": claim})
    return reply


@pytest.mark.parametrize("path", PATHS)
def test_a_real_server_answers_in_the_rails_own_shape(path: str) -> None:
    with serving(create_alignscore_app(LexicalAligner())) as address:
        good = httpx.post(address + path, json={"evidence": RETURNS, "claim": TRUE}).json()
        bad = httpx.post(address + path, json={"evidence": RETURNS, "claim": FALSE}).json()
    assert set(good) == {"alignscore"}
    assert good["alignscore"] > 0.5 > bad["alignscore"]


async def test_evidence_may_be_one_text_or_a_list() -> None:
    parts = RETURNS.split(". ")
    assert (await scored(parts, TRUE)).json()["alignscore"] > 0.5


async def test_an_answer_has_the_score_of_its_least_supported_claim() -> None:
    alone = (await scored(RETURNS, FALSE)).json()["alignscore"]
    assert (await scored(RETURNS, f"{TRUE} {FALSE}")).json()["alignscore"] == alone


@pytest.mark.parametrize("evidence", ["", " \n", [], [""]])
async def test_nothing_to_hold_it_against_scores_nothing(evidence: Any) -> None:
    assert (await scored(evidence, TRUE)).json()["alignscore"] == 0.0


async def test_an_abstention_passes_and_what_claims_nothing_does_not() -> None:
    assert (await scored(RETURNS, "I don't know.")).json()["alignscore"] == 1.0
    assert (await scored("", "I don't know.")).json()["alignscore"] == 1.0
    assert (await scored(RETURNS, "?!")).json()["alignscore"] == 0.0
    assert (await scored(RETURNS, "I don't know, but returns take 90 days.")).json()["alignscore"] < 0.5


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 0.95])
async def test_the_aligners_threshold_lies_at_one_half(threshold: float) -> None:
    aligner = LexicalAligner(supported_above=threshold)
    claims = [
        TRUE,
        FALSE,
        "Goods never arrive.",
        "Goods may be sold within 30 days.",
        "Refunds are paid by mail.",
    ]
    for claim in claims:
        centred = (await scored(RETURNS, claim, aligner)).json()["alignscore"]
        raw = (await scored(RETURNS, claim, aligner, scale="raw")).json()["alignscore"]
        assert (centred >= 0.5) == (raw > threshold)
        assert 0 <= centred <= 1


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"evidence": 1, "claim": "x"}', b'{"evidence": "x"}', b"x" * 300]
)
async def test_what_cannot_be_scored_scores_nothing_since_the_rail_passes_other_statuses(body: bytes) -> None:
    async with client(limits=Limits(body_bytes=200)) as http:
        reply = await http.post(PATHS[0], content=body)
    assert reply.status_code == 200
    assert reply.json()["alignscore"] == 0.0
    assert set(reply.json()["error"]) == {"code", "message"}


async def test_clients_that_look_at_the_status_can_have_it() -> None:
    async with client(limits=Limits(body_bytes=200), on_failure="status") as http:
        statuses = [
            (await http.post(PATHS[0], content=body)).status_code for body in (b"{", b"{}", b"x" * 300)
        ]
        good = await http.post(PATHS[0], json={"evidence": TRUE, "claim": TRUE})
    assert statuses == [400, 422, 413]
    assert good.json()["alignscore"] > 0.5


async def test_a_key_can_be_asked_for() -> None:
    async with client(api_key="k", on_failure="status") as http:
        body = {"evidence": TRUE, "claim": TRUE}
        assert (await http.post(PATHS[0], json=body)).status_code == 401
        assert (await http.post(PATHS[0], json=body, headers={"x-api-key": "k"})).status_code == 200


class Fails(LexicalAligner):
    def align(self, claims: Any, passages: Any, /, *, question: str = "") -> Any:
        if "poison" in passages[0].text:
            raise ScoringError("the back end failed")
        return super().align(claims, passages, question=question)


async def test_a_failing_aligner_scores_nothing_and_fails_nobody_else() -> None:
    async with client(Fails()) as http:
        bodies = [
            {"evidence": f"{RETURNS} {'poison' if i % 5 == 0 else ''}", "claim": TRUE} for i in range(20)
        ]
        replies = await asyncio.gather(*(http.post(PATHS[0], json=body) for body in bodies))
    found = [reply.json() for reply in replies]
    assert [one["alignscore"] > 0.5 for one in found] == [i % 5 != 0 for i in range(20)]
    assert found[0]["error"] == {"code": "scoring", "message": "the request could not be judged"}


@settings(max_examples=12, deadline=None)
@given(evidence=st.text() | st.lists(st.text(), max_size=3) | st.integers(), claim=st.text() | st.none())
def test_any_text_has_a_number_between_nothing_and_one(evidence: Any, claim: Any) -> None:
    found = asyncio.run(scored(evidence, claim)).json()
    assert 0.0 <= found["alignscore"] <= 1.0


@pytest.mark.parametrize("options", [{"scale": "log"}, {"on_failure": "pass"}])
def test_unknown_options_are_refused(options: Any) -> None:
    with pytest.raises(ConfigurationError):
        create_alignscore_app(LexicalAligner(), **options)


async def test_what_comes_while_the_scorer_is_busy_is_scored_as_one_batch() -> None:
    begun, go = threading.Event(), threading.Event()
    batches: list[int] = []
    threads: set[int] = set()

    def score(items: Sequence[int]) -> list[int]:
        threads.add(threading.get_ident())
        batches.append(len(items))
        begun.set()
        go.wait(20)
        return [item * item for item in items]

    together = Together(score)
    first = asyncio.create_task(together.score(0))
    assert await asyncio.to_thread(begun.wait, 20)
    others = [asyncio.create_task(together.score(item)) for item in range(1, 50)]
    await asyncio.sleep(0)
    others[3].cancel()
    await asyncio.sleep(0)
    go.set()
    assert await first == 0
    results = await asyncio.gather(*others, return_exceptions=True)
    assert [r for i, r in enumerate(results) if i != 3] == [i * i for i in range(1, 50) if i != 4]
    assert batches == [1, 48]
    assert threading.get_ident() not in threads


async def test_a_scorer_that_forgets_an_item_fails_instead_of_hanging() -> None:
    with pytest.raises(ScoringError):
        await Together(lambda items: []).score(1)


@pytest.mark.slow
async def test_the_trained_aligner_scores_all_that_waits_in_one_reading() -> None:
    class Counting(AlignmentAligner):
        read_together: list[int] = []  # noqa: RUF012

        def read_many(self, answers: Any, /) -> Any:
            self.read_together.append(len(answers))
            return super().read_many(answers)

    async with client(Counting()) as http:
        bodies = [{"evidence": RETURNS, "claim": TRUE if i % 2 else FALSE} for i in range(12)]
        replies = await asyncio.gather(*(http.post(PATHS[1], json=body) for body in bodies))
    assert [r.json()["alignscore"] >= 0.5 for r in replies] == [bool(i % 2) for i in range(12)]
    assert sum(Counting.read_together) == 12
    assert len(Counting.read_together) <= 3
