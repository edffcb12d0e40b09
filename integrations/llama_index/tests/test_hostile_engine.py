"""Responses, guards and listeners that nobody expects: what is withheld stays withheld."""

from __future__ import annotations

import traceback
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    PydanticResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.chat_engine import CondenseQuestionChatEngine
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.query import QueryEndEvent
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.tools import QueryEngineTool
from pydantic import BaseModel

from llama_index_ragguard import RagGuardQueryEngine
from llama_index_ragguard.testing import ScriptedLLM
from ragguard import Pipeline, RefusalError, Stage
from ragguard.types import Turn, Verdict

from .conftest import ASKED, TRUE, by_words
from .test_query_engine import Answering

SECRET = "zyzzyva"
FALSE = f"The {SECRET}s paint bananas purple."
MODES = ("withhold", "sentence")


class Told(BaseModel):
    text: str
    number: int = 3


class Failing:
    """Raises, and quotes the answer."""

    name = "failing"
    stages = frozenset({Stage.ANSWER})

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        raise ValueError(turn.answer)

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        raise ValueError(turn.answer)


def sources() -> list[NodeWithScore]:
    return [NodeWithScore(node=TextNode(id_="n", text=TRUE), score=0.9)]


def response(kind: str, text: str) -> Any:
    """An engine's, with the answer once more in its metadata."""
    rest: tuple[Any, Any] = (sources(), {"n": {}, "raw": text, "sql_query": SECRET})
    if kind == "structured":
        return PydanticResponse(Told(text=text), *rest)
    if kind == "stream":
        return StreamingResponse(iter(text), *rest)
    if kind == "stream that was read":
        return StreamingResponse(iter(""), *rest, response_txt=text)
    if kind == "asynchronous stream":

        async def letters() -> AsyncGenerator[str, None]:
            for letter in text:
                yield letter

        return AsyncStreamingResponse(letters(), *rest)
    return Response(text, *rest)


KINDS = ("text", "structured", "stream", "stream that was read")
ODD = {
    "false": FALSE,
    "false at the end": f"{TRUE} {FALSE} And more.",
    "half a character": f"{FALSE}\ud800 More.",
}
GUARDS: dict[str, Any] = {
    "by words": by_words,
    "that fails": Failing,
    "out of time": lambda: Pipeline([by_words()], deadline=1e-9),
}


def engine(kind: str, text: str, *, guard: str = "by words", **options: Any) -> RagGuardQueryEngine:
    return RagGuardQueryEngine(Answering(response(kind, text)), GUARDS[guard](), **options)


def everything(found: Any) -> str:
    parts = [str(found), repr(found), found.get_formatted_sources(10_000), repr(vars(found))]
    return " ".join([*parts, *(repr(node) for node in found.source_nodes)])


async def seen(asked: RagGuardQueryEngine, *, awaited: bool) -> str:
    """All that a caller sees of a response, or of the error instead."""
    text = ""
    try:
        found: Any = await asked.aquery(ASKED) if awaited else asked.query(ASKED)
        if isinstance(found, AsyncStreamingResponse):
            text = "".join([piece async for piece in found.async_response_gen()])
            return text + repr(await found.get_response()) + repr(vars(found))
        if isinstance(found, StreamingResponse):
            text = "".join(found.response_gen)
            found = found.get_response()
        return text + everything(found)
    except RefusalError as error:
        return f"{text} {error!r} {vars(error)} {''.join(traceback.format_exception(error))}"


@pytest.mark.parametrize("policy", ["refuse", "redact", "raise"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("text", list(ODD))
async def test_of_no_kind_of_response_anything_comes_out(text: str, mode: Any, policy: Any) -> None:
    for kind in KINDS:
        made = engine(kind, ODD[text], mode=mode, policy=policy)
        assert SECRET not in await seen(made, awaited=False)
    for kind in (*KINDS, "asynchronous stream"):
        made = engine(kind, ODD[text], mode=mode, policy=policy)
        assert SECRET not in await seen(made, awaited=True)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("guard", list(GUARDS))
async def test_whatever_a_guard_does_it_fails_closed(guard: str, mode: Any) -> None:
    for kind in KINDS:
        shown = await seen(engine(kind, FALSE, guard=guard, mode=mode), awaited=False)
        assert SECRET not in shown
        assert "I can't show an answer" in shown


@pytest.mark.parametrize("mode", MODES)
def test_a_stream_that_is_given_up_has_shown_nothing(mode: Any) -> None:
    found: Any = engine("stream", f"{TRUE} {FALSE} {TRUE}", mode=mode).query(ASKED)
    first = next(found.response_gen)
    found.response_gen.close()
    assert SECRET not in f"{first} {found.metadata} {found.source_nodes} {found!r}"


@pytest.mark.parametrize("text", ["", " ", "\u200b", "Empty Response"])
async def test_an_answer_without_a_word_is_refused(text: str) -> None:
    for mode in MODES:
        for kind in ("text", "stream"):
            shown = await seen(engine(kind, text, mode=mode), awaited=False)
            assert "I can't show an answer" in shown


def test_the_events_of_the_guarded_engine_hold_nothing_of_it(guarded: Any) -> None:
    class Listener(BaseEventHandler):
        ends: list[str] = []  # noqa: RUF012 - pydantic copies it

        @classmethod
        def class_name(cls) -> str:
            return "Listener"

        def handle(self, event: Any, **kwargs: Any) -> None:
            if isinstance(event, QueryEndEvent):
                self.ends.append(repr(event))

    listener, root = Listener(), get_dispatcher()
    root.add_event_handler(listener)
    try:
        guarded(FALSE).query(ASKED)
    finally:
        root.event_handlers.remove(listener)
    inner, outer = listener.ends
    assert SECRET in inner, "the user's own engine is seen as it is"
    assert SECRET not in outer


@pytest.mark.parametrize("mode", MODES)
def test_a_conversation_or_a_tool_over_it_holds_nothing_of_it(guarded: Any, mode: Any) -> None:
    chat = CondenseQuestionChatEngine.from_defaults(
        query_engine=guarded(FALSE, engine={"streaming": True}, mode=mode), llm=ScriptedLLM(answers=[ASKED])
    )
    streamed = chat.stream_chat(ASKED)
    text = "".join(streamed.response_gen)
    sources = [repr(vars(tool.raw_output)) for tool in streamed.sources]
    assert SECRET not in f"{text} {streamed} {streamed.sources} {sources} {chat.chat_history}"
    tool = QueryEngineTool.from_defaults(guarded(FALSE)).call(ASKED)
    assert SECRET not in f"{tool} {tool!r} {vars(tool.raw_output)}"
