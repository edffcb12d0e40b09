from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core.base.response.schema import AsyncStreamingResponse, Response, StreamingResponse
from llama_index.core.schema import NodeWithScore, TextNode

from llama_index_ragguard import RagGuardQueryEngine
from ragguard import Action, Pipeline, RefusalError, Report, Stage
from ragguard.errors import InvalidValueError
from ragguard.testing import ScriptedGuard

from .conftest import ASKED, FALSE, STRANGE, TRUE, by_words
from .test_query_engine import Answering

REFUSAL = "I can't show an answer to this: At least one claim is not supported by the passages kept."
SUPPORTED = (TRUE, "The colour of nickel is silvery.", "The price of nickel is 9 euros.")
UNSUPPORTED = (FALSE, "Elephants dance on rooftops.", "The colour of nickel is not silvery.")
EVIDENCE = [NodeWithScore(node=TextNode(id_="n", text=" ".join(SUPPORTED)), score=0.9)]


def told(response: Any) -> Report:
    return Report.model_validate(response.metadata["ragguard"])


def over(pieces: Iterator[Any], **options: Any) -> RagGuardQueryEngine:
    inner = Answering(StreamingResponse(pieces, list(EVIDENCE), {"n": {}}))
    return RagGuardQueryEngine(inner, **{"guard": by_words(), **options})


async def aread(response: AsyncStreamingResponse) -> list[str]:
    return [piece async for piece in response.async_response_gen()]


def cut_up(text: str, cuts: list[int]) -> list[str]:
    ends = [*sorted({c % (len(text) + 1) for c in cuts}), len(text)]
    return [text[a:b] for a, b in zip([0, *ends], ends, strict=False)]


# Withheld


async def test_a_released_answer_comes_out_as_one_piece(guarded: Any) -> None:
    engine = guarded(TRUE, engine={"streaming": True})
    response = engine.query(ASKED)
    assert isinstance(response, StreamingResponse)
    assert response.metadata["ragguard"] is None
    assert list(response.response_gen) == [TRUE]
    assert told(response).certificate().status == "valid"  # type: ignore[union-attr]
    awaited = await engine.aquery(ASKED)
    assert isinstance(awaited, AsyncStreamingResponse)
    assert await aread(awaited) == [TRUE]
    assert told(awaited).released


async def test_of_a_refused_answer_nothing_is_streamed(guarded: Any) -> None:
    engine = guarded(f"{TRUE} {FALSE}", engine={"streaming": True})
    response, awaited = engine.query(ASKED), await engine.aquery(ASKED)
    assert list(response.response_gen) == await aread(awaited) == [REFUSAL]
    assert "purple" not in json.dumps([response.metadata, awaited.metadata])


def test_what_else_reads_a_stream_reads_the_same(guarded: Any, capsys: pytest.CaptureFixture[str]) -> None:
    engine = guarded(FALSE, engine={"streaming": True})
    assert str(engine.query(ASKED)) == REFUSAL
    assert str(engine.query(ASKED).get_response()) == REFUSAL
    engine.query(ASKED).print_response_stream()
    assert capsys.readouterr().out == REFUSAL


async def test_regenerating_reads_each_stream_to_its_end(guarded: Any) -> None:
    engine = guarded(FALSE, TRUE, engine={"streaming": True}, policy="regenerate")
    assert list(engine.query(ASKED).response_gen) == [TRUE]
    engine = guarded(FALSE, TRUE, engine={"streaming": True}, policy="regenerate")
    assert await aread(await engine.aquery(ASKED)) == [TRUE]


@pytest.mark.parametrize("mode", ["withhold", "sentence"])
async def test_raise_raises_from_the_stream(guarded: Any, mode: str) -> None:
    engine = guarded(FALSE, engine={"streaming": True}, policy="raise", mode=mode)
    with pytest.raises(RefusalError):
        list(engine.query(ASKED).response_gen)
    with pytest.raises(RefusalError):
        await aread(await engine.aquery(ASKED))


# Sentence by sentence


async def test_sentences_come_out_as_they_are_judged(guarded: Any) -> None:
    engine = guarded(f"{TRUE} {TRUE} {FALSE} {TRUE}", engine={"streaming": True}, mode="sentence")
    response, awaited = engine.query(ASKED), await engine.aquery(ASKED)
    expected = [f"{TRUE} ", f"{TRUE} ", f"\n\n{REFUSAL}"]
    assert list(response.response_gen) == await aread(awaited) == expected
    for one in (response, awaited):
        assert told(one).verdicts[-1].details["stopped"] is True
        assert "purple" not in json.dumps(one.metadata)


def test_the_rest_of_a_failing_answer_is_not_read() -> None:
    read = []

    def pieces() -> Iterator[str]:
        for piece in (f"{TRUE} ", f"{FALSE} ", "More words follow here. ", "Unread. "):
            read.append(piece)
            yield piece

    response = over(pieces(), mode="sentence").query(ASKED)
    assert "".join(response.response_gen) == f"{TRUE} \n\n{REFUSAL}"
    assert "Unread. " not in read


async def test_redacted_sentences_are_left_out_of_a_stream(guarded: Any) -> None:
    text = f"{TRUE} {FALSE} {TRUE}"
    engine = guarded(text, engine={"streaming": True}, mode="sentence", policy="redact")
    for found in (
        "".join(engine.query(ASKED).response_gen),
        "".join(await aread(await engine.aquery(ASKED))),
    ):
        assert "purple" not in found
        assert found.count(TRUE) == 2


@settings(max_examples=30)
@given(
    sentences=st.lists(st.sampled_from(SUPPORTED + UNSUPPORTED), min_size=1, max_size=5),
    cuts=st.lists(st.integers(0, 400), max_size=30),
    mode=st.sampled_from(["withhold", "sentence"]),
)
def test_every_character_emitted_belongs_to_a_claim_judged_releasable(
    sentences: list[str], cuts: list[int], mode: str
) -> None:
    answer = " ".join(sentences)
    pieces = cut_up(answer, cuts)
    response = over(iter(pieces), mode=mode).query(ASKED)
    emitted = "".join(response.response_gen)

    async def again() -> str:
        async def apieces() -> AsyncGenerator[str, None]:
            for piece in pieces:
                yield piece

        inner = Answering(AsyncStreamingResponse(apieces(), list(EVIDENCE), {}))
        awaited = await RagGuardQueryEngine(inner, guard=by_words(), mode=mode).aquery(ASKED)
        return "".join(await aread(awaited))

    assert asyncio.run(again()) == emitted
    failing = next((i for i, s in enumerate(sentences) if s in UNSUPPORTED), None)
    if failing is None:
        assert emitted == answer
        return
    shown, _, message = emitted.partition("I can't show an answer")
    good = " ".join(sentences[:failing])
    assert message
    assert good.startswith(shown.strip())
    assert mode == "sentence" or not shown
    assert not any(bad in json.dumps(response.metadata) for bad in UNSUPPORTED)


# Before the answer


@pytest.mark.parametrize("mode", ["withhold", "sentence"])
async def test_a_turn_that_ends_before_its_answer_reads_none(mode: str) -> None:
    def pieces() -> Iterator[str]:
        raise AssertionError("the answer was read")
        yield ""

    heard = []

    class Observer:
        def on_verdict(self, turn: Any, verdict: Any) -> None: ...

        def on_report(self, report: Report) -> None:
            heard.append(report.reason.value)

    shield = ScriptedGuard(Stage.QUESTION, does=Action.REFUSE, name="shield")
    guard = Pipeline([shield, by_words()], observers=[Observer()])
    response = over(pieces(), guard=guard, mode=mode).query(ASKED)
    assert "".join(response.response_gen).startswith("I can't show")
    awaited = await over(pieces(), guard=guard, mode=mode).aquery(ASKED)
    assert "".join(await aread(awaited)).startswith("I can't show")
    assert heard == ["policy_conflict"] * 2


@pytest.mark.parametrize("mode", ["withhold", "sentence"])
async def test_without_evidence_the_message_is_the_stream(guarded: Any, mode: str) -> None:
    engine = guarded("x", engine={"streaming": True}, mode=mode)
    response, awaited = engine.query(STRANGE), await engine.aquery(STRANGE)
    assert "".join(response.response_gen).startswith("I don't know")
    assert "".join(await aread(awaited)).startswith("I don't know")
    assert response.source_nodes == awaited.source_nodes == []


def test_sources_that_a_guard_drops_are_never_shown_beside_a_stream() -> None:
    def without_any(turn: Any, stage: Stage) -> Any:
        return turn.replace(passages=(turn.passages or ())[1:])

    dropping = ScriptedGuard(Stage.PASSAGES, does=without_any, name="dropping")
    other = NodeWithScore(node=TextNode(id_="m", text=TRUE), score=0.1)
    inner = Answering(StreamingResponse(iter([TRUE]), [*EVIDENCE, other], {}))
    response = RagGuardQueryEngine(inner, guard=[dropping, by_words()]).query(ASKED)
    for _ in range(2):
        assert [n.node.node_id for n in response.source_nodes] == ["m"]
        assert "n" not in response.metadata
        list(response.response_gen)


# Breaking off


@pytest.mark.parametrize("mode", ["withhold", "sentence"])
async def test_a_model_that_breaks_off_leaves_no_unjudged_text(mode: str) -> None:
    def pieces() -> Iterator[str]:
        yield f"{FALSE[:20]}"
        raise RuntimeError("connection lost")

    response = over(pieces(), mode=mode).query(ASKED)
    with pytest.raises(RuntimeError, match="connection lost"):
        list(response.response_gen)
    assert response.metadata["ragguard"] is None
    awaited = await over(pieces(), mode=mode).aquery(ASKED)
    with pytest.raises(RuntimeError, match="connection lost"):
        await aread(awaited)


def test_a_stream_given_up_closes_the_engines_own() -> None:
    closed = []

    def pieces() -> Iterator[str]:
        try:
            for _ in range(100):
                yield f"{TRUE} "
        finally:
            closed.append(True)

    response = over(pieces(), mode="sentence").query(ASKED)
    assert next(response.response_gen) == f"{TRUE} "
    response.response_gen.close()
    assert closed == [True]
    assert response.metadata["ragguard"] is None


async def test_a_cancelled_stream_closes_the_engines_own_and_shows_nothing() -> None:
    closed, waiting = asyncio.Event(), asyncio.Event()

    async def pieces() -> AsyncGenerator[str, None]:
        try:
            yield FALSE
            waiting.set()
            await asyncio.sleep(3600)
        finally:
            closed.set()

    inner = Answering(AsyncStreamingResponse(pieces(), list(EVIDENCE), {}))
    response = await RagGuardQueryEngine(inner, guard=by_words()).aquery(ASKED)
    seen: list[str] = []

    async def read() -> None:
        async for piece in response.response_gen:
            seen.append(piece)

    reading = asyncio.create_task(read())
    await waiting.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await asyncio.wait_for(closed.wait(), 5)
    assert seen == []
    assert response.metadata["ragguard"] is None


async def test_a_stream_of_something_else_than_text_is_an_error() -> None:
    with pytest.raises(InvalidValueError, match="int"):
        list(over(iter([1, 2])).query(ASKED).response_gen)
    with pytest.raises(InvalidValueError, match="int"):
        await aread(await over(iter([1, 2])).aquery(ASKED))


# Kinds


async def test_awaited_an_engine_always_streams_asynchronously() -> None:
    response = await over(iter(cut_up(TRUE, [3, 9])), mode="sentence").aquery(ASKED)
    assert isinstance(response, AsyncStreamingResponse)
    assert "".join(await aread(response)) == TRUE


async def test_an_asynchronous_stream_from_a_synchronous_query_stays_one() -> None:
    async def pieces() -> AsyncGenerator[str, None]:
        yield TRUE

    inner = Answering(AsyncStreamingResponse(pieces(), list(EVIDENCE), {}))
    response = RagGuardQueryEngine(inner, guard=by_words()).query(ASKED)
    assert await aread(response) == [TRUE]


def test_a_stream_that_somebody_has_read_is_judged_by_its_text() -> None:
    read = StreamingResponse(iter(()), list(EVIDENCE), {}, response_txt=FALSE)
    assert str(RagGuardQueryEngine(Answering(read), guard=by_words()).query(ASKED)) == REFUSAL
    assert isinstance(
        RagGuardQueryEngine(Answering(Response(TRUE, list(EVIDENCE))), guard=by_words()).query(ASKED),
        Response,
    )
