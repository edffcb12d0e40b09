"""Replies, guards and meta that nobody expects: what is withheld stays withheld."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
from haystack.components.agents import Agent
from haystack.dataclasses import ChatMessage, Document, StreamingChunk, ToolCall

from haystack_integrations.components.guards.ragguard import (
    AnswerGuardHook,
    FactualConsistencyValidator,
    guarded_streaming_callback,
)
from ragguard import Pipeline, Stage
from ragguard.errors import RefusalError
from ragguard.types import Turn, Verdict

from .conftest import BAD, GOOD, QUESTION, SECRET, ScriptedChat, by_words
from .test_hooks import SEARCH, asked, looked_up

DOCUMENTS = [Document(id="cobalt-price", content=GOOD)]


def noisy(text: str | None, **meta: Any) -> ChatMessage:
    return ChatMessage.from_assistant(
        text,
        reasoning=BAD,
        meta={"logprobs": {"token": SECRET}, "reasoning": BAD, "finish_reason": "stop", **meta},
    )


class Failing:
    """Raises, and quotes the answer."""

    name = "failing"
    stages = frozenset({Stage.ANSWER})

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        raise ValueError(turn.answer)

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        raise ValueError(turn.answer)


ODD: dict[str, Any] = {
    "on every channel": noisy(BAD),
    "half a character": f"{BAD}\ud800 And more.",
    "that speaks of a guard": noisy(BAD, ragguard={"released": True}),
    "without a word": " \u200b",
}
GUARDS: dict[str, Any] = {
    "by words": lambda: [by_words()],
    "that fails": lambda: [Failing()],
    "out of time": lambda: Pipeline([by_words()], deadline=1e-9),
}


async def said_by(run: Any, arun: Any) -> str:
    """All that a caller sees, returned or raised."""
    found = []
    for call in (run, arun):
        try:
            result = call()
            found.append(repr(result if isinstance(result, dict) else await result))
        except RefusalError as error:
            found.append(f"{error!r} {vars(error)} {''.join(traceback.format_exception(error))}")
    return " ".join(found)


@pytest.mark.parametrize("policy", [None, "refuse", "redact", "regenerate", "raise"])
@pytest.mark.parametrize("reply", list(ODD))
async def test_an_odd_reply_is_refused_whole(reply: str, policy: Any) -> None:
    validator = FactualConsistencyValidator([by_words()], policy=policy)
    given = (QUESTION, [ODD[reply]], DOCUMENTS)
    seen = await said_by(lambda: validator.run(*given), lambda: validator.run_async(*given))
    assert SECRET not in seen
    assert "accepted" not in seen


@pytest.mark.parametrize("guard", list(GUARDS))
async def test_whatever_a_guard_does_it_fails_closed(guard: str) -> None:
    for reply in (noisy(BAD), noisy(f"{GOOD} {BAD}")):
        validator = FactualConsistencyValidator(GUARDS[guard]())
        given = (QUESTION, [reply], DOCUMENTS)
        seen = await said_by(lambda: validator.run(*given), lambda: validator.run_async(*given))  # noqa: B023
        assert SECRET not in seen
        assert "accepted" not in seen


def test_the_meta_of_a_call_of_a_tool_is_not_passed_on() -> None:
    call = ChatMessage.from_assistant(
        tool_calls=[ToolCall("search", {"q": "price"})], meta={"reasoning": BAD, "model": "m"}
    )
    out = FactualConsistencyValidator([by_words()]).run(QUESTION, [call], DOCUMENTS)
    assert out["accepted"][0].tool_calls == call.tool_calls
    assert out["accepted"][0].meta == {"model": "m"}


@pytest.mark.parametrize("answer", list(ODD))
@pytest.mark.parametrize("policy", ["refuse", "regenerate", "raise"])
async def test_an_agent_shows_nothing_of_an_odd_answer(answer: str, policy: Any) -> None:
    def agent() -> Agent:
        chat = ScriptedChat([looked_up(beside=BAD), ODD[answer]])
        return Agent(
            chat_generator=chat,
            tools=[SEARCH],
            hooks=AnswerGuardHook([by_words()], policy=policy).points(),
            state_schema={"ragguard": {"type": dict}},
        )

    seen = await said_by(lambda: agent().run(asked()), lambda: agent().run_async(asked()))
    assert SECRET not in seen


@pytest.mark.parametrize("mode", ["withhold", "sentence"])
@pytest.mark.parametrize("guard", list(GUARDS))
def test_a_stream_says_nothing_of_what_is_refused(guard: str, mode: Any) -> None:
    heard: list[StreamingChunk] = []
    take: Any = guarded_streaming_callback(
        heard.append, query=QUESTION, documents=DOCUMENTS, guard=GUARDS[guard](), mode=mode
    )
    for letter in f"{GOOD} {BAD}\ud800 And more of it.":
        take(StreamingChunk(content=letter, meta={"logprobs": SECRET}))
    take(StreamingChunk(content="", finish_reason="stop", meta={"reasoning": BAD}))
    assert SECRET not in "".join(chunk.content for chunk in heard)
    assert SECRET not in repr(heard)
    assert heard[-1].meta["ragguard"]["released"] is False
