"""muted(model): in a node of a graph its words come out in no stream, and its tracers hear them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages

from langchain_ragguard.muting import MutedModel, acall_muted, call_muted, muted, muted_config
from langchain_ragguard.testing.models import ScriptedChatModel, StreamingChatModel
from langchain_ragguard.testing.surfaces import arecord, leaks, record

SECRET = "zyzzyva"
SAID = f"The {SECRET}s sing."
GIVEN = {"messages": [HumanMessage("Who sings?")]}


class State(TypedDict):
    messages: Annotated[list[BaseMessage], add_messages]


@tool
def look_up(query: str) -> str:
    """Look something up."""
    return ""


def graph(model: Runnable[Any, Any], ask: str = "invoke") -> Any:
    """A node that asks the model and keeps what it said to itself."""

    def node(state: State) -> dict[str, Any]:
        said = model.invoke(state["messages"]) if ask == "invoke" else list(model.stream(state["messages"]))
        assert SECRET in (said.text if isinstance(said, AIMessage) else "".join(str(s.text) for s in said))
        return {"messages": [AIMessage("Judged.")]}

    async def anode(state: State) -> dict[str, Any]:
        if ask == "invoke":
            said = [await model.ainvoke(state["messages"])]
        else:
            said = [piece async for piece in model.astream(state["messages"])]
        assert SECRET in "".join(str(piece.text) for piece in said)
        return {"messages": [AIMessage("Judged.")]}

    built = StateGraph(State)
    built.add_node("ask", RunnableLambda(node, afunc=anode))
    built.add_edge(START, "ask")
    return built.compile()


MODELS: dict[str, Callable[[ScriptedChatModel], Any]] = {
    "alone": muted,
    "twice": lambda model: muted(muted(model)),
    "tools bound before": lambda model: muted(model.bind_tools([look_up])),
    "tools bound after": lambda model: muted(model).bind_tools([look_up]),
    "configured": lambda model: muted(model).with_config(tags=["mine"]),
    "with a fallback": lambda model: muted(model.with_fallbacks([model])),
    "in a chain": lambda model: muted(RunnableLambda(lambda x: x) | model),
}


@pytest.mark.parametrize("made", list(MODELS))
@pytest.mark.parametrize("ask", ["invoke", "stream"])
@pytest.mark.parametrize("model", [ScriptedChatModel, StreamingChatModel])
def test_a_muted_model_is_on_no_surface(made: str, ask: str, model: type[ScriptedChatModel]) -> None:
    runnable = graph(MODELS[made](model(script=[SAID])), ask)
    assert leaks(record(lambda: runnable, GIVEN), SECRET) == []
    assert leaks(asyncio.run(arecord(lambda: runnable, GIVEN)), SECRET) == []


def test_one_that_is_not_muted_is() -> None:
    runnable = graph(StreamingChatModel(script=[SAID]))
    assert {at.split(": ")[0] for at in leaks(record(lambda: runnable, GIVEN), SECRET)} >= {"stream:messages"}


def test_a_chain_around_it_is_seen_and_wants_muting_itself() -> None:
    chain = muted(StreamingChatModel(script=[SAID])) | StrOutputParser()
    seen = asyncio.run(arecord(lambda: graph(chain | RunnableLambda(AIMessage)), GIVEN))
    assert {at.split(": ")[0] for at in leaks(seen, SECRET)} == {"astream_events:v2"}


@pytest.mark.parametrize("way", ["sync", "async"])
def test_its_callbacks_hear_it_and_the_config_is_left_as_it_was(way: str) -> None:
    heard: list[str] = []

    class Tracer(BaseCallbackHandler):
        def on_llm_end(self, response: Any, **kwargs: Any) -> None:
            heard.append(response.generations[0][0].text)

    config: RunnableConfig = {"callbacks": [Tracer()], "tags": ["mine"]}
    model = muted(StreamingChatModel(script=[SAID]))
    if way == "sync":
        model.invoke("Who sings?", config)
    else:
        asyncio.run(model.ainvoke("Who sings?", config))
    assert heard == [SAID]
    assert config["tags"] == ["mine"]


def test_it_is_the_model_otherwise() -> None:
    model = ScriptedChatModel(script=[SAID])
    assert muted(model).script == [SAID]
    assert isinstance(muted(model).bind_tools([look_up]), MutedModel)
    assert model.tools == [look_up]
    with pytest.raises(AttributeError):
        _ = muted(model).no_such_thing


def test_a_stream_that_is_given_up_is_closed() -> None:
    pieces = muted(StreamingChatModel(script=[SAID])).stream("Who sings?")
    assert str(next(pieces).text) == "The"
    pieces.close()  # type: ignore[attr-defined]


async def test_a_cancelled_call_is_cancelled_inside() -> None:
    ended: list[str] = []

    async def waiting() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    task = asyncio.create_task(acall_muted(waiting))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["cancelled"]


def test_outside_of_any_run_there_is_nothing_to_mute() -> None:
    assert call_muted(lambda text: text.upper(), "a") == "A"
    assert muted_config({"tags": ["nostream"]})["tags"] == ["nostream"]
