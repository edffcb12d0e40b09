"""The leak matrix of RagGuardMiddleware: every surface, every channel, every policy; and what it finds unmuted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelFallbackMiddleware
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables.config import ensure_config
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from langchain_ragguard import muting
from langchain_ragguard.middleware import RagGuardMiddleware
from langchain_ragguard.testing.models import ScriptedChatModel, StreamingChatModel
from langchain_ragguard.testing.surfaces import Recorded, arecord, leaks, record, without
from ragguard import ConsistencyGuard
from ragguard.alignment.lexical import LexicalAligner
from ragguard.errors import GenerationError, RefusalError

SOURCE = "The hardness of nickel is 4 on the scale of Mohs."
TRUE = SOURCE
SECRET = "zyzzyva"
FALSE = f"The {SECRET}s paint bananas purple."
GIVEN = {"messages": [HumanMessage("What is the hardness of nickel?")]}
CALLS = AIMessage("", tool_calls=[{"name": "search", "args": {"query": "hardness of nickel"}, "id": "c1"}])


def noisy(text: str) -> AIMessage:
    """An answer with the secret on every channel beside its text."""
    blocks: list[str | dict[str, Any]] = [
        {"type": "reasoning", "reasoning": f"Why not {SECRET}?"},
        {"type": "text", "text": text},
    ]
    return AIMessage(
        blocks,
        additional_kwargs={"reasoning_content": f"Surely {SECRET}.", "refusal": f"No {SECRET}."},
        response_metadata={
            "finish_reason": "stop",
            "logprobs": {
                "content": [{"token": SECRET, "logprob": -0.1, "top_logprobs": [{"token": SECRET}]}]
            },
            "stop_sequence": SECRET,
        },
    )


@tool(response_format="content_and_artifact")
def search(query: str) -> tuple[str, list[Document]]:
    """Look something up."""
    return SOURCE, [Document(id="nickel", page_content=SOURCE)]


def answering(*answers: str | AIMessage) -> Any:
    """Call the tool first; then these answers, by how often it was told that one was not shown."""

    def said(messages: list[BaseMessage]) -> str | AIMessage:
        if not any(isinstance(m, ToolMessage) for m in messages):
            return CALLS
        asked_again = sum("not shown to the user" in str(m.text) for m in messages)
        return answers[min(asked_again, len(answers) - 1)]

    return said


def agent(script: Any, *, model: type[ScriptedChatModel] = StreamingChatModel, **options: Any) -> Any:
    """With one tool, and n=2 choices of which the other holds the secret."""
    response_format, more = options.pop("response_format", None), options.pop("more", ())
    tools = options.pop("tools", [search])
    guard = ConsistencyGuard(LexicalAligner(), attempts=1)
    return create_agent(
        model(script=script, others=[f"Another {SECRET}."]),
        tools=tools,
        middleware=[RagGuardMiddleware(guard, **options), *more],
        response_format=response_format,
        checkpointer=InMemorySaver(),
    )


def recorded(runnable: Any, way: str, errors: tuple[type[BaseException], ...] = ()) -> Recorded:
    if way == "sync":
        return record(lambda: runnable, GIVEN, errors=errors)
    return asyncio.run(arecord(lambda: runnable, GIVEN, errors=errors))


both_ways = pytest.mark.parametrize("way", ["sync", "async"])


# Channels


@both_ways
@pytest.mark.parametrize("model", [ScriptedChatModel, StreamingChatModel])
def test_a_withheld_answer_is_on_no_channel_of_any_surface(way: str, model: type[ScriptedChatModel]) -> None:
    seen = recorded(agent(answering(noisy(FALSE)), model=model), way)
    assert leaks(seen, SECRET) == []
    assert without(seen, "I can't show an answer") == []


@both_ways
@pytest.mark.parametrize("model", [ScriptedChatModel, StreamingChatModel])
def test_beside_a_released_answer_nothing_unjudged_comes_out(
    way: str, model: type[ScriptedChatModel]
) -> None:
    seen = recorded(agent(answering(noisy(TRUE)), model=model), way)
    assert leaks(seen, SECRET) == []
    assert without(seen, TRUE) == []


@both_ways
def test_beside_a_call_of_a_tool_nothing_unjudged_comes_out(way: str) -> None:
    calling = noisy(FALSE).model_copy(update={"tool_calls": CALLS.tool_calls})
    seen = recorded(agent(lambda m: TRUE if isinstance(m[-1], ToolMessage) else calling), way)
    assert leaks(seen, SECRET) == []
    assert without(seen, TRUE) == []


@both_ways
def test_without_tools_nothing_comes_out_either(way: str) -> None:
    seen = recorded(agent([noisy(FALSE)], tools=[]), way)
    assert leaks(seen, SECRET) == []
    assert without(seen, "I don't know") == []


# Policies


@both_ways
def test_what_is_redacted_is_on_no_surface(way: str) -> None:
    seen = recorded(agent(answering(noisy(f"{TRUE} {FALSE}")), policy="redact"), way)
    assert leaks(seen, SECRET) == []
    assert without(seen, TRUE) == []


@both_ways
def test_a_draft_that_was_written_anew_is_on_no_surface(way: str) -> None:
    seen = recorded(agent(answering(noisy(FALSE), noisy(TRUE)), policy="regenerate"), way)
    assert leaks(seen, SECRET) == []
    assert leaks(seen, "not shown to the user", fragment=20) == []
    assert without(seen, TRUE) == []


@both_ways
def test_an_error_instead_of_an_answer_holds_nothing_of_it(way: str) -> None:
    seen = recorded(agent(answering(noisy(FALSE)), policy="raise"), way, errors=(RefusalError,))
    assert leaks(seen, SECRET) == []
    assert without(seen, "At least one claim") == []


@both_ways
def test_with_review_the_draft_is_where_the_reviewer_looks_and_nowhere_else(way: str) -> None:
    seen = recorded(agent(answering(noisy(FALSE)), policy="interrupt"), way)
    for_the_reviewer = ("interrupt", "review", "draft", "tasks", "writes")
    assert leaks(seen, SECRET)
    assert [at for at in leaks(seen, SECRET) if not any(word in at for word in for_the_reviewer)] == []
    assert not any("messages" in at.split(":", 2)[-1] for at in leaks(seen, SECRET))


# Sentence by sentence


@both_ways
def test_sentences_come_out_one_by_one_and_nothing_of_what_fails(way: str) -> None:
    second = "Nickel is listed with 4 on the scale of Mohs."
    seen = recorded(agent(answering(noisy(f"{TRUE} {second} {FALSE} {TRUE}")), mode="sentence"), way)
    assert leaks(seen, SECRET) == []
    assert without(seen, TRUE) == []
    stream = agent(answering(f"{TRUE} {second}"), mode="sentence").stream(
        GIVEN, {"configurable": {"thread_id": "t"}}, stream_mode="messages"
    )
    pieces = [str(m.text) for m, _ in stream if m.type != "tool" and m.text]
    assert len(pieces) > 1
    assert "".join(pieces) == f"{TRUE} {second}"


@both_ways
def test_a_model_that_stands_in_for_the_one_that_is_heard_is_not_heard(way: str) -> None:
    def fails(messages: list[BaseMessage]) -> AIMessage:
        raise ConnectionError("no model here")

    spare = ModelFallbackMiddleware(StreamingChatModel(script=answering(noisy(FALSE))))
    seen = recorded(agent(fails, more=[spare], mode="sentence"), way)
    assert leaks(seen, SECRET) == []
    assert without(seen, "I can't show an answer") == []


# Structured responses


class Reply(BaseModel):
    answer: str
    confident: bool = True


def reply(text: str) -> AIMessage:
    args = {"answer": text, "confident": True}
    return AIMessage("", tool_calls=[{"name": "Reply", "args": args, "id": "r1"}])


@both_ways
def test_a_withheld_structured_response_is_on_no_surface(way: str) -> None:
    options: dict[str, Any] = {"response_format": ToolStrategy(Reply), "structured_fields": ["answer"]}
    seen = recorded(agent(answering(reply(FALSE)), **options), way)
    assert leaks(seen, SECRET) == []
    assert without(seen, "I can't show an answer") == []


@both_ways
def test_json_in_the_place_of_an_answer_is_withheld_whole(way: str) -> None:
    options: dict[str, Any] = {"response_format": ProviderStrategy(Reply), "structured_fields": ["answer"]}
    seen = recorded(agent(answering(Reply(answer=FALSE).model_dump_json()), **options), way)
    assert leaks(seen, SECRET) == []
    assert without(seen, "I can't show an answer") == []


@both_ways
def test_a_structured_response_that_cannot_be_read_is_in_no_error(way: str) -> None:
    options: dict[str, Any] = {"response_format": ProviderStrategy(Reply), "structured_fields": ["answer"]}
    seen = recorded(agent(answering(FALSE), **options), way, errors=(GenerationError,))
    assert leaks(seen, SECRET) == []
    assert leaks(seen, "could not be read")


@both_ways
def test_a_structured_response_is_mended_unseen(way: str) -> None:
    def said(messages: list[BaseMessage]) -> str | AIMessage:
        if not any(isinstance(m, ToolMessage) for m in messages):
            return CALLS
        wrong = AIMessage("", tool_calls=[{"name": "Reply", "args": {"text": FALSE}, "id": "r0"}])
        return reply(TRUE) if "Error" in str(messages[-1].text) else wrong

    options: dict[str, Any] = {"response_format": ToolStrategy(Reply), "structured_fields": ["answer"]}
    seen = recorded(agent(said, **options), way)
    assert leaks(seen, SECRET) == []
    assert without(seen, TRUE) == []


@both_ways
def test_of_a_malformed_response_beside_a_call_the_call_alone_is_left(way: str) -> None:
    wrong = {"name": "Reply", "args": {"text": FALSE}, "id": "r0"}
    both = AIMessage("", tool_calls=[*CALLS.tool_calls, wrong])

    def said(messages: list[BaseMessage]) -> AIMessage:
        return reply(TRUE) if any(isinstance(m, ToolMessage) for m in messages) else both

    options: dict[str, Any] = {"response_format": ToolStrategy(Reply), "structured_fields": ["answer"]}
    seen = recorded(agent(said, **options), way)
    assert leaks(seen, SECRET) == []
    assert without(seen, TRUE) == []


@both_ways
def test_a_model_that_never_keeps_to_the_schema_ends_in_an_error_without_its_words(way: str) -> None:
    wrong = AIMessage("", tool_calls=[{"name": "Reply", "args": {"text": FALSE}, "id": "r0"}])
    options: dict[str, Any] = {"response_format": ToolStrategy(Reply), "structured_fields": ["answer"]}
    seen = recorded(agent(answering(wrong), **options), way, errors=(GenerationError,))
    assert leaks(seen, SECRET) == []
    assert without(seen, "no usable structured response") == []


# In company


@both_ways
def test_a_model_that_stands_in_for_another_is_muted_too(way: str) -> None:
    def fails(messages: list[BaseMessage]) -> AIMessage:
        raise ConnectionError("no model here")

    spare = ModelFallbackMiddleware(StreamingChatModel(script=answering(noisy(FALSE))))
    seen = recorded(agent(fails, more=[spare]), way)
    assert leaks(seen, SECRET) == []
    assert without(seen, "I can't show an answer") == []


@both_ways
def test_a_guarded_agent_inside_another_leaks_nothing_into_its_stream(way: str) -> None:
    inner = agent(answering(noisy(FALSE)))

    @tool
    def ask(question: str) -> str:
        """Ask the specialist."""
        return str(inner.invoke(GIVEN, {"configurable": {"thread_id": "inner"}})["messages"][-1].text)

    asking = AIMessage("", tool_calls=[{"name": "ask", "args": {"question": "?"}, "id": "a1"}])
    outer = StreamingChatModel(script=lambda m: "Done." if isinstance(m[-1], ToolMessage) else asking)
    seen = recorded(create_agent(outer, tools=[ask], checkpointer=InMemorySaver()), way)
    assert leaks(seen, SECRET) == []
    assert without(seen, "Done.") == []


# The matrix finds what there is to find


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ("sync", {"stream:messages", "stream:all", "stream_events:v3", "stream_events:v3 projections"}),
        (
            "async",
            {
                "astream:messages",
                "astream:all",
                "astream_events:v2",
                "astream_events:v3",
                "astream_events:v3 projections",
            },
        ),
    ],
)
def test_without_the_mute_the_matrix_reports_leaks(
    way: str, expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(muting, "muted_config", ensure_config)
    seen = recorded(agent(answering(noisy(FALSE))), way)
    assert {at.rsplit(": ", 1)[0] for at in leaks(seen, SECRET)} == expected


def test_where_streaming_handlers_cannot_be_known_only_the_events_of_version_2_leak(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(muting, "_HANDLERS", ())
    runnable = agent(answering(noisy(FALSE)))
    assert leaks(recorded(runnable, "sync"), SECRET) == []
    found = {at.rsplit(": ", 1)[0] for at in leaks(recorded(runnable, "async"), SECRET)}
    assert found == {"astream_events:v2"}


def test_without_the_middleware_everything_leaks() -> None:
    bare = create_agent(StreamingChatModel(script=[FALSE]), checkpointer=InMemorySaver())
    for way in ("sync", "async"):
        seen = recorded(bare, way)
        assert {at.rsplit(": ", 1)[0] for at in leaks(seen, SECRET)} == set(seen.surfaces)


def test_a_secret_that_comes_out_in_pieces_is_found() -> None:
    seen = Recorded()
    for letter in SECRET:
        seen.note("stream", {"content": letter})
    assert leaks(seen, SECRET) == ["stream: content"]
