"""Of what a judging node withholds nothing comes out on any surface; unmuted, or judged too late, it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NotRequired, TypedDict

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command

from langchain_ragguard import graph_verify
from langchain_ragguard.graph import Keys, human_review_node, muted, verify_node
from langchain_ragguard.testing.surfaces import arecord, leaks, record, without
from ragguard import ConsistencyGuard
from ragguard.alignment.lexical import LexicalAligner

from .provider import ScriptedProvider

QUESTION = "How heavy is the lamp?"
WEIGHT = "The lamp weighs 4 kilograms."
FALSE = "The lamp is a purple zyzzyva."
SECRET = "zyzzyva"
REFUSAL = "I can't show an answer to this: At least one claim is not supported by the passages kept."
DOCUMENTS = [Document(id="weight", page_content=WEIGHT)]
CHAT = Keys(messages="messages")
CALL = AIMessage("", tool_calls=[{"name": "search", "args": {"query": "lamp"}, "id": "c1"}])


class State(TypedDict):
    question: str
    documents: list[Document]
    answer: NotRequired[str]
    ragguard: NotRequired[dict[str, Any]]
    ragguard_review: NotRequired[dict[str, Any] | None]


class Chat(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    ragguard: NotRequired[dict[str, Any]]


GIVEN = {"question": QUESTION, "documents": DOCUMENTS}
ASKED = {"messages": [HumanMessage(QUESTION)]}


@tool
def search(query: str) -> str:
    """Search the handbook."""
    return WEIGHT


def loud() -> AIMessage:
    return AIMessage(
        content=[
            {"type": "reasoning", "reasoning": FALSE},
            {"type": "text", "text": f"{WEIGHT} {FALSE}"},
            {"type": "non_standard", "value": {"said": FALSE}},
        ],
        additional_kwargs={"reasoning_content": FALSE, "refusal": FALSE},
        response_metadata={"logprobs": {"content": [{"token": FALSE}]}},
    )


def consistency() -> ConsistencyGuard:
    return ConsistencyGuard(LexicalAligner())


class Draft:
    """A node's own function, which calls a model as nodes do, by `invoke` or by `stream`."""

    def __init__(self, model: Any, *, streams: bool = False) -> None:
        self._model, self._streams = model, streams

    def __call__(self, state: Any) -> Any:
        asked = state.get("messages") or state["question"]
        if not self._streams:
            return self._model.invoke(asked)
        whole = None
        for chunk in self._model.stream(asked):
            whole = chunk if whole is None else whole + chunk
        return whole


def drafting(*, streams: bool = False) -> Any:
    """The draft is made where it is judged."""
    model = ScriptedProvider(answers=[loud()], others=[loud()])
    built = StateGraph(State)
    built.add_node("verify", verify_node(consistency(), draft=Draft(model, streams=streams)))
    built.add_edge(START, "verify")
    return built.compile(checkpointer=InMemorySaver())


def streaming() -> Any:
    return drafting(streams=True)


def regenerating() -> Any:
    model = ScriptedProvider(answers=[loud()])
    built = StateGraph(State)
    built.add_node("verify", verify_node(consistency(), draft=Draft(model), policy="regenerate"))
    built.add_edge(START, "verify")
    return built.compile(checkpointer=InMemorySaver())


def rejecting() -> Any:
    """A draft that no person is asked about: the review's key stays empty."""
    built = StateGraph(State)
    built.add_node("verify", verify_node(consistency(), draft=lambda _: FALSE, fail="refused"))
    built.add_node("refused", lambda _: {})
    built.add_edge(START, "verify")
    return built.compile(checkpointer=InMemorySaver())


def with_tools() -> Any:
    """An agent made by hand: model with tools, tools, model."""
    model = ScriptedProvider(answers=[CALL, loud()]).bind_tools([search])

    def look_up(state: Chat) -> Any:
        (call,) = state["messages"][-1].tool_calls  # type: ignore[union-attr]
        return {
            "messages": [ToolMessage(search.invoke(call["args"]), tool_call_id=call["id"], name="search")]
        }

    built = StateGraph(Chat)
    built.add_node("verify", verify_node(consistency(), draft=Draft(model), calls="tools", keys=CHAT))
    built.add_node("tools", look_up)
    built.add_edge(START, "verify")
    built.add_edge("tools", "verify")
    return built.compile(checkpointer=InMemorySaver())


def with_the_model_as_draft() -> Any:
    """The model itself, behind a prompt made from the state."""
    built = StateGraph(Chat)
    model = (lambda state: state["messages"]) | ScriptedProvider(answers=[loud()]).with_retry()
    built.add_node("verify", verify_node(consistency(), draft=model, keys=CHAT))
    built.add_edge(START, "verify")
    return built.compile(checkpointer=InMemorySaver())


MAKERS: list[tuple[Callable[[], Any], Any]] = [
    (drafting, GIVEN),
    (streaming, GIVEN),
    (regenerating, GIVEN),
    (rejecting, GIVEN),
    (with_tools, ASKED),
    (with_the_model_as_draft, ASKED),
]
named = pytest.mark.parametrize(("make", "given"), MAKERS, ids=[m.__name__ for m, _ in MAKERS])


def surfaces(found: list[str]) -> set[str]:
    return {leak.split(": ")[0] for leak in found}


def require_shown(recorded: Any) -> None:
    """That nothing leaks would be easy if nothing came out."""
    silent = set(without(recorded, "I can't show an answer")) & set(without(recorded, "I don't know: "))
    assert "stream:values" not in silent
    assert "astream:values" not in silent


@named
def test_nothing_withheld_is_on_any_surface(make: Any, given: Any) -> None:
    recorded = record(make, given)
    assert leaks(recorded, SECRET) == []
    require_shown(recorded)


@named
async def test_nothing_withheld_is_on_any_asynchronous_surface(make: Any, given: Any) -> None:
    recorded = await arecord(make, given)
    assert leaks(recorded, SECRET) == []
    require_shown(recorded)


# The draft in the state: what muting can do, and what it cannot.


def in_two_nodes(mute: Callable[[Any], Any] = muted, *, tools: bool = False) -> Any:
    """A node drafts into the key `answer`, the next judges it."""
    model: Any = mute(ScriptedProvider(answers=[loud()]))
    if tools:
        model = model.bind_tools([search])
    built = StateGraph(State)
    built.add_node("generate", lambda state: {"answer": model.invoke(state["question"]).text})
    built.add_node("verify", verify_node(consistency()))
    built.add_edge(START, "generate")
    built.add_edge("generate", "verify")
    return built.compile()


TOKENS = {"stream:messages", "astream:messages"}
"""Surfaces of what models say, not of what the state is."""


@pytest.mark.parametrize("tools", [False, True])
async def test_a_muted_models_tokens_are_in_no_stream_also_with_tools(tools: bool) -> None:
    found = surfaces(leaks(record(lambda: in_two_nodes(tools=tools), GIVEN), SECRET))
    found |= surfaces(leaks(await arecord(lambda: in_two_nodes(tools=tools), GIVEN), SECRET))
    assert not found & {*TOKENS, "invoke", "ainvoke"}
    assert {"stream:updates", "stream:values"} <= found, "the state itself is no secret: hence draft=..."


async def test_a_draft_that_a_person_is_to_see_is_in_the_state_until_they_decide() -> None:
    def waiting() -> Any:
        model = ScriptedProvider(answers=[FALSE])
        built = StateGraph(State)
        built.add_node(
            "verify", verify_node(consistency(), draft=Draft(model), policy="interrupt", fail="review")
        )
        built.add_node("review", human_review_node())
        built.add_edge(START, "verify")
        return built.compile(checkpointer=InMemorySaver())

    recorded = record(waiting, GIVEN, Command(resume="reject"))
    found = surfaces(leaks(recorded, SECRET))
    assert "stream:messages" not in found
    assert "stream:updates" in found
    state = waiting()
    config: Any = {"configurable": {"thread_id": "1"}}
    state.invoke(GIVEN, config)
    assert SECRET not in str(state.invoke(Command(resume="reject"), config))


# Mutations


async def test_with_a_model_that_is_not_muted_the_matrix_reports_leaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(graph_verify, "muted", lambda model: model)
    for make, given in ((drafting, GIVEN), (with_tools, ASKED), (with_the_model_as_draft, ASKED)):
        assert {"stream:messages", "stream_events:v3"} <= surfaces(leaks(record(make, given), SECRET))
        found = surfaces(leaks(await arecord(make, given), SECRET))
        assert {"astream:messages", "astream_events:v2", "astream_events:v3"} <= found
    assert "stream:messages" in surfaces(leaks(record(lambda: in_two_nodes(lambda m: m), GIVEN), SECRET))
