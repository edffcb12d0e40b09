"""Judging nodes with drafts, guards and states that nobody expects: what is withheld is in no stream."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Annotated, Any, TypedDict, get_args

import pytest
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, StreamMode

from langchain_ragguard.graph import Keys, human_review_node, verify_node
from langchain_ragguard.middleware import RagGuardMiddleware
from langchain_ragguard.testing.models import StreamingChatModel
from langchain_ragguard.testing.surfaces import Recorded, leaks
from ragguard import ConsistencyGuard, Pipeline, Stage
from ragguard.alignment.lexical import LexicalAligner
from ragguard.errors import RagGuardError
from ragguard.types import Turn, Verdict

QUESTION = "How heavy is the lamp?"
WEIGHT = "The lamp weighs 4 kilograms."
SECRET = "zyzzyva"
FALSE = f"The lamp is a purple {SECRET}."
EVERY_MODE = list(get_args(StreamMode))


class State(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    documents: list[Document]
    ragguard: dict[str, Any]
    ragguard_review: Any


GIVEN: Any = {"messages": [HumanMessage(QUESTION)], "documents": [Document(id="w", page_content=WEIGHT)]}
CHAT = Keys(messages="messages")


class Failing:
    """Raises, and quotes the answer."""

    name = "failing"
    stages = frozenset({Stage.ANSWER})

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        raise ValueError(turn.answer)

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        raise ValueError(turn.answer)


def noisy() -> AIMessage:
    blocks: list[str | dict[str, Any]] = [
        {"type": "reasoning", "reasoning": FALSE},
        {"type": "text", "text": FALSE},
    ]
    return AIMessage(
        blocks, additional_kwargs={"refusal": FALSE}, response_metadata={"logprobs": [{"token": SECRET}]}
    )


MODEL = StreamingChatModel(script=[noisy()], others=[FALSE])
CHAIN: Any = RunnableLambda(lambda state: QUESTION) | MODEL
DRAFTS: dict[str, Any] = {
    "streamed": lambda state: "".join(str(piece.text) for piece in MODEL.stream(QUESTION)),
    "in a batch": lambda state: MODEL.batch([QUESTION, QUESTION])[0],
    "side by side": RunnableParallel(one=CHAIN, other=CHAIN) | RunnableLambda(lambda both: both["one"]),
    "retried": CHAIN.with_retry(),
    "half a character": lambda state: f"{FALSE}\ud800",
    "no text at all": lambda state: {"answer": FALSE},
    "that speaks of a guard": lambda state: AIMessage(
        FALSE, response_metadata={"ragguard": {"judged": True}}
    ),
    "beside a call": lambda state: noisy().model_copy(
        update={"tool_calls": [{"name": "search", "args": {}, "id": "1"}]}
    ),
}
GUARDS: dict[str, Callable[[], Any]] = {
    "by words": lambda: ConsistencyGuard(LexicalAligner()),
    "that fails": lambda: [Failing()],
    "out of time": lambda: Pipeline([ConsistencyGuard(LexicalAligner())], deadline=1e-9),
}


def judging(draft: Any, guard: str = "by words", **options: Any) -> Any:
    built = StateGraph(State)
    built.add_node("verify", verify_node(GUARDS[guard](), draft=draft, keys=CHAT, **options))
    built.add_edge(START, "verify")
    return built.compile(checkpointer=InMemorySaver())


async def seen_of(graph: Any) -> Recorded:
    seen = Recorded()
    configs: list[Any] = [{"configurable": {"thread_id": str(i)}} for i in range(2)]
    try:
        for piece in graph.stream(GIVEN, configs[0], stream_mode=EVERY_MODE, subgraphs=True):
            seen.note("stream", piece)
        async for event in graph.astream_events(GIVEN, configs[1], version="v2"):
            seen.note("events", event)
    except RagGuardError as error:
        seen.note("error", [error, "".join(traceback.format_exception(error))])
    for config in configs:
        seen.note("history", list(graph.get_state_history(config)))
        seen.note("checkpoints", list(graph.checkpointer.list(config)))
    return seen


@pytest.mark.parametrize("policy", ["refuse", "redact", "regenerate", "raise"])
@pytest.mark.parametrize("draft", list(DRAFTS))
async def test_however_it_is_drafted_nothing_withheld_comes_out(draft: str, policy: Any) -> None:
    assert leaks(await seen_of(judging(DRAFTS[draft], policy=policy)), SECRET) == []


@pytest.mark.parametrize("guard", ["that fails", "out of time"])
async def test_a_guard_that_fails_refuses(guard: str) -> None:
    graph = judging(DRAFTS["streamed"], guard)
    assert leaks(await seen_of(graph), SECRET) == []
    released = graph.get_state({"configurable": {"thread_id": "0"}}).values["messages"][-1]
    assert released.response_metadata["ragguard"]["released"] is False


async def test_a_guarded_agent_as_a_node_of_a_graph_shows_nothing_of_itself() -> None:
    guard = RagGuardMiddleware(ConsistencyGuard(LexicalAligner()))
    built = StateGraph(State)
    built.add_node("agent", create_agent(MODEL, middleware=[guard]))
    built.add_edge(START, "agent")
    assert leaks(await seen_of(built.compile(checkpointer=InMemorySaver())), SECRET) == []


def test_after_a_person_has_rejected_it_the_draft_is_in_no_state_that_is_asked_for() -> None:
    built = StateGraph(State)
    built.add_node(
        "verify",
        verify_node(
            GUARDS["by words"](),
            draft=DRAFTS["streamed"],
            keys=CHAT,
            policy="interrupt",
            fail="review",
        ),
    )
    built.add_node("review", human_review_node(keys=CHAT))
    built.add_edge(START, "verify")
    graph: Any = built.compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    graph.invoke(GIVEN, config)
    worse = {"type": "edit", "text": f"It weighs as a {SECRET}."}
    again = graph.invoke(Command(resume=worse), config)
    assert "__interrupt__" in again
    assert SECRET not in str(again["messages"][-1])
    rejected = graph.invoke(Command(resume="reject"), config)
    assert SECRET not in repr(rejected)
