"""Of what a guarded chat model withholds nothing comes out on any surface; without its means, something does."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import CallbackManager
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages

from langchain_ragguard import chat_apart, chat_models, chat_stream
from langchain_ragguard.chat_models import GuardedChatModel
from langchain_ragguard.testing.surfaces import Recorded, arecord, leaks, record, without
from ragguard import ConsistencyGuard
from ragguard.alignment.lexical import LexicalAligner

from .provider import ScriptedProvider

QUESTION = "How heavy is the lamp?"
WEIGHT = "The lamp weighs 4 kilograms."
FALSE = "The lamp is a purple zyzzyva."
SECRET = "zyzzyva"
REFUSAL = "I can't show an answer to this: At least one claim is not supported by the passages kept."
PASSAGES = [Document(id="weight", page_content=WEIGHT)]
GIVEN = {"configurable": {"ragguard_passages": PASSAGES}}
ASKED = {"messages": [HumanMessage(QUESTION)]}
CALL = AIMessage("", tool_calls=[{"name": "search", "args": {"query": "lamp"}, "id": "c1"}])


@tool(response_format="content_and_artifact")
def search(query: str) -> tuple[str, list[Document]]:
    """Search the handbook."""
    return WEIGHT, PASSAGES


def loud() -> AIMessage:
    """A true sentence and a false one, the false one in every channel there is."""
    return AIMessage(
        content=[
            {"type": "reasoning", "reasoning": FALSE},
            {
                "type": "text",
                "text": f"{WEIGHT} {FALSE}",
                "annotations": [{"type": "citation", "cited_text": FALSE}],
            },
            {"type": "non_standard", "value": {"said": FALSE}},
        ],
        additional_kwargs={"reasoning_content": FALSE, "refusal": FALSE},
        response_metadata={"logprobs": {"content": [{"token": FALSE}]}},
        invalid_tool_calls=[
            {
                "type": "invalid_tool_call",
                "id": "i1",
                "name": "answer",
                "args": f'{{"text": "{FALSE}',
                "error": FALSE,
            }
        ],
    )


def model(*answers: Any, mode: str = "sentence", **options: Any) -> GuardedChatModel:
    inner = ScriptedProvider(answers=answers, others=[AIMessage(FALSE)])
    return GuardedChatModel(inner=inner, guard=ConsistencyGuard(LexicalAligner()), mode=mode, **options)


def agent(mode: str = "sentence") -> Runnable[Any, Any]:
    return create_agent(model(loud(), mode=mode), checkpointer=InMemorySaver())


def agent_with_tools(mode: str = "sentence") -> Runnable[Any, Any]:
    return create_agent(model(CALL, loud(), mode=mode), [search], checkpointer=InMemorySaver())


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


def graph(mode: str = "sentence", *, tools: bool = False) -> Runnable[Any, Any]:
    inside: Any = model(loud(), mode=mode)
    if tools:
        inside = inside.bind_tools([search])

    def answer(state: State) -> State:
        return {"messages": [inside.invoke(state["messages"])]}

    built = StateGraph(State)
    built.add_node("answer", answer)
    built.add_edge(START, "answer")
    return built.compile(checkpointer=InMemorySaver())


def graph_async(mode: str = "sentence") -> Runnable[Any, Any]:
    inside = model(loud(), mode=mode)

    async def answer(state: State) -> State:
        return {"messages": [await inside.ainvoke(state["messages"])]}

    built = StateGraph(State)
    built.add_node("answer", answer)
    built.add_edge(START, "answer")
    return built.compile(checkpointer=InMemorySaver())


def graph_with_tools(mode: str = "sentence") -> Runnable[Any, Any]:
    return graph(mode, tools=True)


def chain(mode: str = "sentence") -> Runnable[Any, Any]:
    return ChatPromptTemplate.from_messages([("user", "{question}")]) | model(loud(), mode=mode)


def chain_to_text(mode: str = "sentence") -> Runnable[Any, Any]:
    return chain(mode) | StrOutputParser()


def alone(mode: str = "sentence") -> Runnable[Any, Any]:
    return model(loud(), mode=mode)


MAKERS: list[tuple[Callable[..., Runnable[Any, Any]], Any]] = [
    (agent, ASKED),
    (agent_with_tools, ASKED),
    (graph, ASKED),
    (graph_with_tools, ASKED),
    (chain, {"question": QUESTION}),
    (chain_to_text, {"question": QUESTION}),
    (alone, QUESTION),
]
named = pytest.mark.parametrize(("make", "asked"), MAKERS, ids=[m.__name__ for m, _ in MAKERS])
modes = pytest.mark.parametrize("mode", ["withhold", "sentence"])


def config(make: Callable[..., Any]) -> Any:
    """The agent with a tool finds its passages; to the others they are given."""
    return None if make is agent_with_tools else GIVEN


def require_clean(recorded: Recorded, mode: str) -> None:
    assert leaks(recorded, SECRET) == []
    assert len(recorded.surfaces) >= 3
    silent = without(recorded, REFUSAL)
    assert all("custom" in surface or "checkpoint" in surface for surface in silent), silent
    before = set(recorded.surfaces) - set(without(recorded, f"{WEIGHT} {REFUSAL}"))
    assert bool(before) is (mode == "sentence")


@modes
@named
def test_nothing_withheld_is_on_any_surface(make: Any, asked: Any, mode: str) -> None:
    require_clean(record(lambda: make(mode), asked, config=config(make)), mode)


@modes
@named
async def test_nothing_withheld_is_on_any_asynchronous_surface(make: Any, asked: Any, mode: str) -> None:
    make = graph_async if make is graph else make
    require_clean(await arecord(lambda: make(mode), asked, config=config(make)), mode)


def test_what_is_released_comes_out_sentence_by_sentence_in_an_agents_stream() -> None:
    runs = agent_with_tools().stream(ASKED, {"configurable": {"thread_id": "1"}}, stream_mode="messages")
    texts = [message.text for message, _ in runs if message.type == "AIMessageChunk" and message.text]
    assert texts == [f"{WEIGHT} ", REFUSAL]


# Mutations: each means of keeping things in is needed.


def every_handler(callbacks: Any, own: Any = None, *, run: Any = None, **_: Any) -> CallbackManager:
    manager = CallbackManager.configure(callbacks, own)
    manager.parent_run_id = run
    return manager


def surfaces(found: list[str]) -> set[str]:
    return {leak.split(": ")[0] for leak in found}


async def test_without_a_fresh_context_the_matrix_reports_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_apart, "fresh_context", contextvars.copy_context)
    found = surfaces(leaks(record(agent_with_tools, ASKED), SECRET))
    assert {"stream:messages", "stream_events:v3"} <= found
    found = surfaces(leaks(await arecord(agent_with_tools, ASKED), SECRET))
    assert {"astream:messages", "astream_events:v2", "astream_events:v3"} <= found


async def test_with_every_handler_attached_the_matrix_reports_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_models, "tracers_of", every_handler)
    assert "stream:messages" in surfaces(leaks(record(graph, ASKED, config=GIVEN), SECRET))
    for make, asked in ((graph_async, ASKED), (chain, {"question": QUESTION}), (alone, QUESTION)):
        found = surfaces(leaks(await arecord(make, asked, config=GIVEN), SECRET))
        assert "astream_events:v2" in found


def test_with_the_models_own_chunks_the_matrix_reports_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_stream, "_plain", lambda _: True)
    monkeypatch.setattr(chat_stream, "_COPIED", {"logprobs"})
    assert {"invoke", "stream"} <= surfaces(leaks(record(alone, QUESTION, config=GIVEN), SECRET))


async def test_the_model_without_its_guard_leaks_on_every_surface() -> None:
    def bare() -> Runnable[Any, Any]:
        return ScriptedProvider(answers=[loud()])

    recorded = await arecord(bare, QUESTION)
    assert surfaces(leaks(recorded, SECRET)) == set(recorded.surfaces)
