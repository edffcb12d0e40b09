"""Ways around `muted` that a graph may take without meaning to: other runnables made of the model, graphs inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import ConfigurableField, Runnable, RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt

from langchain_ragguard import muting
from langchain_ragguard.graph import muted, verify_node
from langchain_ragguard.testing.models import StreamingChatModel
from langchain_ragguard.testing.surfaces import Recorded, arecord, leaks, record
from ragguard import ConsistencyGuard
from ragguard.alignment.lexical import LexicalAligner

SECRET = "zyzzyva"
SAID = f"The {SECRET}s sing."
SOURCE = "The lamp weighs 4 kilograms."
REFUSAL = "I can't show an answer to this: At least one claim is not supported by the passages kept."
ASKED = {"messages": [HumanMessage("Who sings?")]}
GIVEN = {"question": "How heavy is the lamp?", "documents": [Document(id="weight", page_content=SOURCE)]}
EVERY_MODE = ["messages", "updates", "values", "custom", "tasks", "checkpoints", "debug"]


# Runnables made of a muted model


class Talk(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


MADE: dict[str, Callable[[Any], Runnable[Any, Any]]] = {
    "fields": lambda m: m.configurable_fields(others=ConfigurableField(id="others")),
    "alternatives": lambda m: m.configurable_alternatives(ConfigurableField(id="which"), other=m),
    "copied": lambda m: m.model_copy(update={"others": ["another"]}),
    "retried": lambda m: m.with_retry(),
    "falling back": lambda m: m.with_fallbacks([m]),
    "heard by a listener": lambda m: m.with_listeners(on_end=lambda run: None),
    "for lists": lambda m: m.map(),
}


@pytest.mark.parametrize("made", list(MADE))
async def test_what_is_made_of_a_muted_model_is_muted(made: str) -> None:
    model = MADE[made](muted(StreamingChatModel(script=[SAID])))

    def node(state: Talk) -> dict[str, Any]:
        asked: Any = [state["messages"]] if made == "for lists" else state["messages"]
        assert SECRET in str(model.invoke(asked))
        return {"messages": [AIMessage("Judged.")]}

    built = StateGraph(Talk)
    built.add_node("ask", node)
    built.add_edge(START, "ask")
    graph, seen = built.compile(), Recorded()
    for piece in graph.stream(ASKED, stream_mode=EVERY_MODE, subgraphs=True):  # type: ignore[arg-type]
        seen.note("stream", piece)
    async for event in graph.astream_events(ASKED, version="v2"):
        seen.note("events", event)
    assert leaks(seen, SECRET) == []


def test_what_is_no_runnable_comes_back_as_it_is() -> None:
    model = StreamingChatModel(script=[SAID])
    assert muted(model).get_num_tokens_from_messages.__name__ == "get_num_tokens_from_messages"
    assert muted(model).model_dump()["script"] == [SAID]


# Graphs inside a muted call


class Inner(TypedDict, total=False):
    question: str
    documents: list[Document]
    out: str
    allowed: str


class Outer(TypedDict, total=False):
    question: str
    documents: list[Document]
    answer: str
    ragguard: dict[str, Any]


def drafting_in_a_graph(*, keeps: Any = False, asks: bool = False) -> Any:
    """A judging node whose draft is made by a graph, the draft being in that graph's state."""
    model = StreamingChatModel(script=[SAID])
    drafting = StateGraph(Inner)
    drafting.add_node("generate", lambda state: {"out": model.invoke(state["question"]).text})
    drafting.add_edge(START, "generate")
    if asks:
        drafting.add_node("ask", lambda state: {"allowed": interrupt("May I?")})
        drafting.add_edge("generate", "ask")
    draft = drafting.compile(checkpointer=keeps) | RunnableLambda(lambda state: state["out"])
    built = StateGraph(Outer)
    built.add_node("verify", verify_node(ConsistencyGuard(LexicalAligner()), draft=draft))
    built.add_edge(START, "verify")
    return built.compile(checkpointer=InMemorySaver())


async def test_the_state_of_a_graph_that_drafts_is_in_no_stream() -> None:
    assert leaks(record(drafting_in_a_graph, GIVEN), SECRET) == []
    assert leaks(await arecord(drafting_in_a_graph, GIVEN), SECRET) == []


def test_one_that_keeps_checkpoints_shows_them_to_nobody_who_asks_the_graph() -> None:
    graph, seen = drafting_in_a_graph(keeps=None, asks=True), Recorded()
    config: Any = {"configurable": {"thread_id": "1"}}
    for given in (GIVEN, Command(resume="yes")):
        seen.note("stream", list(graph.stream(given, config, stream_mode=EVERY_MODE, subgraphs=True)))
        seen.note("state", graph.get_state(config, subgraphs=True))
    seen.note("history", list(graph.get_state_history(config)))
    assert leaks(seen, SECRET) == []
    assert graph.get_state(config).values["answer"] == REFUSAL


def test_with_that_channel_left_in_place_the_matrix_reports_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(muting, "_SUBGRAPHS", "another key")
    found = {at.split(": ")[0] for at in leaks(record(drafting_in_a_graph, GIVEN), SECRET)}
    assert {"stream:updates", "stream:values", "stream:tasks", "stream:debug"} <= found
