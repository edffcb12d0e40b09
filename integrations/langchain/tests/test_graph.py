from __future__ import annotations

import json
import threading
from typing import Annotated, Any, NotRequired, TypedDict

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt

from langchain_ragguard import GuardedRetriever
from langchain_ragguard.graph import FEEDBACK, Keys, human_review_node, retrieval_gate_node, verify_node
from ragguard import ConsistencyGuard, Stage
from ragguard.alignment.lexical import LexicalAligner
from ragguard.errors import ConfigurationError, InvalidScoreError, InvalidValueError, RefusalError
from ragguard.testing import ScriptedGuard

from .provider import ScriptedProvider

QUESTION = "How heavy is the lamp?"
WEIGHT = "The lamp weighs 4 kilograms."
FALSE = "The lamp is a purple zyzzyva."
SECRET = "zyzzyva"
DOCUMENTS = [Document(id="weight", page_content=WEIGHT)]
REFUSAL = "I can't show an answer to this: At least one claim is not supported by the passages kept."
NOTHING = "I don't know: No passage of the knowledge base is close enough to count as evidence."
THREAD: Any = {"configurable": {"thread_id": "1"}}


class State(TypedDict):
    question: str
    documents: NotRequired[list[Any]]
    answer: NotRequired[str]
    ragguard: NotRequired[dict[str, Any]]
    ragguard_review: NotRequired[dict[str, Any] | None]


class Chat(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    documents: NotRequired[list[Any]]
    ragguard: NotRequired[dict[str, Any]]
    ragguard_review: NotRequired[dict[str, Any] | None]


CHAT = Keys(messages="messages")


def consistency() -> ConsistencyGuard:
    return ConsistencyGuard(LexicalAligner())


def graph(state: Any, *, checkpointer: Any = None, start: str, **nodes: Any) -> Any:
    built = StateGraph(state)
    for name, node in nodes.items():
        built.add_node(name, node)
    built.add_edge(START, start)
    return built.compile(checkpointer=checkpointer)


async def both(made: Any, given: Any, config: Any = None) -> list[dict[str, Any]]:
    return [made.invoke(given, config), await made.ainvoke(given, config)]


# The gate


def found(store: Any, question: str) -> list[Document]:
    from langchain_ragguard import ScoredVectorStoreRetriever

    return ScoredVectorStoreRetriever(vectorstore=store, higher_is_better=True, k=10).invoke(question)


async def test_the_gate_keeps_what_the_retriever_would_have_kept(
    guarded: GuardedRetriever, store: Any
) -> None:
    question = "What is the hardness of nickel?"
    made = graph(
        State, start="gate", gate=retrieval_gate_node(guarded.guard, ok="generate"), generate=lambda _: {}
    )
    for state in await both(made, {"question": question, "documents": found(store, question)}):
        assert [d.id for d in state["documents"]] == [d.id for d in guarded.invoke(question)]
        facts = state["documents"][0].metadata["ragguard"]
        assert facts["kept"] is True
        assert facts["certificate"]["status"] == "valid"
        assert state["ragguard"]["action"] == "pass"
        assert "answer" not in state


async def test_with_nothing_kept_the_gate_goes_elsewhere_with_the_guards_message(
    guarded: GuardedRetriever, store: Any
) -> None:
    question = "Who painted the ceiling?"
    went: list[str] = []
    made = graph(
        State,
        start="gate",
        gate=retrieval_gate_node(guarded.guard, ok="generate", empty="refuse"),
        generate=lambda _: went.append("generate"),
        refuse=lambda _: went.append("refuse"),
    )
    for state in await both(made, {"question": question, "documents": found(store, question)}):
        assert state["documents"] == []
        assert state["answer"] == NOTHING
        assert state["ragguard"]["reason"] == "no_evidence"
    for state in await both(made, {"question": question, "documents": []}):
        assert state["answer"] == NOTHING
    assert set(went) == {"refuse"}


def test_documents_may_be_json_and_stay_so(guarded: GuardedRetriever, store: Any) -> None:
    question = "What is the hardness of nickel?"
    documents = [d.model_dump(include={"id", "page_content", "metadata"}) for d in found(store, question)]
    made = graph(State, start="gate", gate=retrieval_gate_node(guarded.guard, ok=END))
    state = made.invoke({"question": question, "documents": documents})
    assert [d["id"] for d in state["documents"]] == [d.id for d in guarded.invoke(question)]
    assert json.loads(json.dumps(state)) == state


def test_a_missing_score_is_an_error_where_a_key_is_named(guarded: GuardedRetriever) -> None:
    made = graph(State, start="gate", gate=retrieval_gate_node(guarded.guard, ok=END, score_key="score"))
    with pytest.raises(InvalidScoreError):
        made.invoke({"question": QUESTION, "documents": DOCUMENTS})


def test_documents_cut_before_are_not_cut_again(guarded: GuardedRetriever) -> None:
    question = "What is the hardness of nickel?"
    kept = guarded.invoke(question)
    made = graph(State, start="gate", gate=retrieval_gate_node(guarded.guard, ok=END))
    state = made.invoke({"question": question, "documents": kept})
    assert [d.id for d in state["documents"]] == [d.id for d in kept]
    assert state["ragguard"]["certificates"][0]["status"] == "none"


def test_a_gate_needs_a_guard_of_passages() -> None:
    with pytest.raises(ConfigurationError):
        retrieval_gate_node(consistency())


async def test_the_promise_of_the_gate_stays_with_the_answer(guarded: GuardedRetriever, store: Any) -> None:
    question = "What is the hardness of nickel?"
    answer = "The hardness of nickel is listed in table nickel hardness."
    made = graph(
        State,
        start="gate",
        gate=retrieval_gate_node(guarded.guard, ok="verify"),
        verify=verify_node(guarded.guard, draft=lambda _: answer),
    )
    for state in await both(made, {"question": question, "documents": found(store, question)}):
        assert state["answer"] == answer
        assert {c["scope"]: c["status"] for c in state["ragguard"]["certificates"]} == {"retrieval": "valid"}


# The judge


async def test_an_answer_is_judged_by_the_documents_of_the_state() -> None:
    made = graph(State, start="verify", verify=verify_node(consistency()))
    for text, shown in ((WEIGHT, WEIGHT), (FALSE, REFUSAL)):
        for state in await both(made, {"question": QUESTION, "documents": DOCUMENTS, "answer": text}):
            assert state["answer"] == shown
            assert SECRET not in json.dumps(state, default=str)
            json.dumps(state["ragguard"])


async def test_a_draft_is_made_and_judged_in_the_node() -> None:
    async def drafted(state: State) -> AIMessage:
        return AIMessage(FALSE)

    for draft in (lambda _: FALSE, lambda _: AIMessage(WEIGHT)):
        made = graph(State, start="verify", verify=verify_node(consistency(), draft=draft))
        for state in await both(made, {"question": QUESTION, "documents": DOCUMENTS}):
            assert state["answer"] in (REFUSAL, WEIGHT)
    made = graph(State, start="verify", verify=verify_node(consistency(), draft=drafted))
    assert (await made.ainvoke({"question": QUESTION, "documents": DOCUMENTS}))["answer"] == REFUSAL


async def test_a_message_is_replaced_under_its_own_id() -> None:
    made = graph(Chat, start="verify", verify=verify_node(consistency(), keys=CHAT))
    given = {"messages": [HumanMessage(QUESTION, id="h"), AIMessage(FALSE, id="a")], "documents": DOCUMENTS}
    for state in await both(made, given):
        assert [m.id for m in state["messages"]] == ["h", "a"]
        assert state["messages"][1].content == REFUSAL
        assert state["messages"][1].response_metadata["ragguard"]["released"] is False


async def test_a_message_that_calls_tools_goes_on_without_its_words() -> None:
    call = AIMessage(FALSE, id="a", tool_calls=[{"name": "search", "args": {"query": "lamp"}, "id": "c1"}])

    def answer(state: Chat) -> Any:
        return {"messages": [ToolMessage(WEIGHT, tool_call_id="c1", name="search")]}

    def drafted(state: Chat) -> AIMessage:
        return AIMessage(WEIGHT) if isinstance(state["messages"][-1], ToolMessage) else call

    made = StateGraph(Chat)
    made.add_node("verify", verify_node(consistency(), draft=drafted, calls="tools", keys=CHAT))
    made.add_node("tools", answer)
    made.add_edge(START, "verify")
    made.add_edge("tools", "verify")
    for state in await both(made.compile(), {"messages": [HumanMessage(QUESTION)]}):
        assert [m.text for m in state["messages"]] == [QUESTION, "", WEIGHT, WEIGHT]
        assert state["messages"][1].tool_calls[0]["args"] == {"query": "lamp"}


async def test_without_evidence_nothing_is_shown_unless_none_is_required() -> None:
    given = {"messages": [HumanMessage(QUESTION), AIMessage(WEIGHT)]}
    strict = graph(Chat, start="verify", verify=verify_node(consistency(), keys=CHAT))
    for state in await both(strict, given):
        assert state["messages"][-1].text == NOTHING
    free = graph(Chat, start="verify", verify=verify_node(consistency(), keys=CHAT, require_evidence=False))
    for state in await both(free, given):
        assert state["messages"][-1].text == WEIGHT
        assert state["ragguard"] == {"judged": False}


async def test_a_refusal_goes_where_failures_go_and_can_be_raised() -> None:
    went: list[str] = []
    made = graph(
        State,
        start="verify",
        verify=verify_node(consistency(), draft=lambda _: FALSE, ok="good", fail="bad"),
        good=lambda _: went.append("good"),
        bad=lambda _: went.append("bad"),
    )
    await both(made, {"question": QUESTION, "documents": DOCUMENTS})
    assert set(went) == {"bad"}
    raising = graph(
        State, start="verify", verify=verify_node(consistency(), draft=lambda _: FALSE, policy="raise")
    )
    with pytest.raises(RefusalError):
        raising.invoke({"question": QUESTION, "documents": DOCUMENTS})


async def test_a_draft_is_asked_for_anew_with_what_stood_against_it() -> None:
    critiques: list[str | None] = []

    def drafted(state: Any) -> str:
        critiques.append(state.get(FEEDBACK))
        return WEIGHT if state.get(FEEDBACK) else FALSE

    made = graph(State, start="verify", verify=verify_node(consistency(), draft=drafted, policy="regenerate"))
    for state in await both(made, {"question": QUESTION, "documents": DOCUMENTS}):
        assert state["answer"] == WEIGHT
        assert FEEDBACK not in state
    assert critiques[0] is None
    assert SECRET in str(critiques[1])
    stubborn: list[Any] = []
    node = verify_node(
        consistency(), draft=lambda s: stubborn.append(s) or FALSE, policy="regenerate", max_retries=2
    )
    state = graph(State, start="verify", verify=node).invoke({"question": QUESTION, "documents": DOCUMENTS})
    assert (state["answer"], len(stubborn)) == (REFUSAL, 3)
    with pytest.raises(ConfigurationError):
        verify_node(consistency(), policy="regenerate")


async def test_no_guard_of_a_node_runs_on_the_event_loops_thread() -> None:
    guard = ScriptedGuard(Stage.ANSWER, Stage.PASSAGES)
    made = graph(
        State,
        start="gate",
        gate=retrieval_gate_node(guard, ok="verify"),
        verify=verify_node(guard, draft=lambda _: WEIGHT),
    )
    await made.ainvoke({"question": QUESTION, "documents": DOCUMENTS})
    assert len(guard.seen) >= 2
    assert threading.get_ident() not in guard.threads


@pytest.mark.parametrize(
    "state", [{"question": ""}, {"question": QUESTION, "documents": "text"}, {"question": QUESTION}]
)
def test_a_state_without_its_parts_is_an_error_that_names_the_key(state: Any) -> None:
    with pytest.raises(InvalidValueError, match=r"question|documents|answer"):
        graph(State, start="verify", verify=verify_node(consistency())).invoke(state)


def test_the_edges_are_drawn() -> None:
    made = graph(
        State,
        start="gate",
        gate=retrieval_gate_node(ScriptedGuard(Stage.PASSAGES), ok="verify"),
        verify=verify_node(consistency(), fail="review"),
        review=human_review_node(),
    )
    edges = {(e.source, e.target) for e in made.get_graph().edges}
    assert {
        ("gate", "verify"),
        ("gate", END),
        ("verify", "review"),
        ("verify", END),
        ("review", "verify"),
    } <= edges


def test_an_interrupt_in_a_draft_passes_through() -> None:
    def drafted(state: State) -> str:
        return str(interrupt("which lamp?"))

    made = graph(
        State, start="verify", verify=verify_node(consistency(), draft=drafted), checkpointer=InMemorySaver()
    )
    state = made.invoke({"question": QUESTION, "documents": DOCUMENTS}, THREAD)
    assert state["__interrupt__"][0].value == "which lamp?"
    assert made.invoke(Command(resume=WEIGHT), THREAD)["answer"] == WEIGHT


# The person


def with_review(guard: Any, texts: list[str], keys: Keys | None = None, **review: Any) -> Any:
    model = ScriptedProvider(answers=texts)
    return graph(
        State if keys is None else Chat,
        start="verify",
        checkpointer=InMemorySaver(),
        verify=verify_node(
            guard, draft=lambda _: model.invoke(QUESTION), policy="interrupt", fail="review", keys=keys
        ),
        review=human_review_node(keys=keys, **review),
    )


def counted() -> tuple[Any, list[str]]:
    """A guard, and the answers that it was asked about."""
    asked: list[str] = []
    inner = consistency()

    class Counting:
        name, stages = "counting", inner.stages

        def check(self, turn: Any, stage: Any, /) -> Any:
            asked.append(turn.answer)
            return inner.check(turn, stage)

        async def acheck(self, turn: Any, stage: Any, /) -> Any:
            return self.check(turn, stage)

    return Counting(), asked


GIVEN: Any = {"question": QUESTION, "documents": DOCUMENTS}
GIVEN_CHAT: Any = {"messages": [HumanMessage(QUESTION)], "documents": DOCUMENTS}


def test_a_person_sees_the_draft_and_the_verifier_does_not_run_again() -> None:
    guard, asked = counted()
    made = with_review(guard, [FALSE])
    state = made.invoke(GIVEN, THREAD)
    assert state["answer"] == REFUSAL
    (waiting,) = state["__interrupt__"]
    assert waiting.value["draft"] == FALSE
    assert waiting.value["question"] == QUESTION
    assert waiting.value["ragguard"]["reason"] == "unsupported_answer"
    assert waiting.value["allowed_decisions"] == ["approve", "edit", "reject", "respond"]
    assert json.loads(json.dumps(waiting.value)) == waiting.value
    assert made.invoke(Command(resume={"type": "approve"}), THREAD)["answer"] == FALSE
    assert asked == [FALSE]


@pytest.mark.parametrize(
    ("reply", "shown", "kind"),
    [
        ({"type": "approve"}, FALSE, "approve"),
        ("approve", FALSE, "approve"),
        ({"type": "reject"}, REFUSAL, "reject"),
        ({"type": "reject", "message": "Ask the shop."}, "Ask the shop.", "reject"),
        ({"type": "respond", "message": "It is heavy."}, "It is heavy.", "respond"),
        ({"type": "edit", "text": WEIGHT}, WEIGHT, "edit"),
    ],
)
@pytest.mark.parametrize("keys", [None, CHAT], ids=["answer", "messages"])
@pytest.mark.parametrize("where", ["sync", "async"])
async def test_what_a_person_decides_is_shown(
    reply: Any, shown: str, kind: str, keys: Any, where: str
) -> None:
    made = with_review(consistency(), [FALSE], keys)
    given = GIVEN if keys is None else GIVEN_CHAT
    if where == "sync":
        before, state = made.invoke(given, THREAD), made.invoke(Command(resume=reply), THREAD)
    else:
        before, state = await made.ainvoke(given, THREAD), await made.ainvoke(Command(resume=reply), THREAD)
    if keys is None:
        assert state["answer"] == shown
    else:
        assert [m.text for m in state["messages"]] == [QUESTION, shown]
        assert [m.id for m in state["messages"]] == [m.id for m in before["messages"]]
        assert state["messages"][1].response_metadata["ragguard"]["released"] is (kind != "reject")
    assert state["ragguard_review"] is None
    assert state["ragguard"]["reviewed"] == kind


def test_an_edited_answer_is_judged_again() -> None:
    guard, asked = counted()
    made = with_review(guard, [FALSE])
    made.invoke(GIVEN, THREAD)
    worse = "The lamp costs 90 euros."
    state = made.invoke(Command(resume={"type": "edit", "text": worse}), THREAD)
    assert state["answer"] == REFUSAL
    assert state["__interrupt__"][0].value["draft"] == worse
    assert made.invoke(Command(resume={"type": "edit", "text": WEIGHT}), THREAD)["answer"] == WEIGHT
    assert asked == [FALSE, worse, WEIGHT]


def test_an_answer_that_is_released_waits_for_nobody() -> None:
    state = with_review(consistency(), [WEIGHT]).invoke(GIVEN, THREAD)
    assert state["answer"] == WEIGHT
    assert "__interrupt__" not in state


@pytest.mark.parametrize(
    "reply", ["yes", {"type": "edit"}, {"type": "respond", "message": " "}, {"type": "approve"}, 3]
)
def test_what_is_no_decision_that_is_allowed_shows_nothing_and_can_be_given_again(reply: Any) -> None:
    made = with_review(consistency(), [FALSE], allowed=["edit", "respond", "reject"])
    made.invoke(GIVEN, THREAD)
    (again,) = made.invoke(Command(resume=reply), THREAD)["__interrupt__"]
    assert SECRET not in again.value["problem"]
    assert made.get_state(THREAD).values["answer"] == REFUSAL
    told = {"type": "reject", "message": "Ask the shop."}
    assert made.invoke(Command(resume=told), THREAD)["answer"] == "Ask the shop."
    with pytest.raises(InvalidValueError):
        human_review_node(allowed=["agree"])  # type: ignore[list-item]


def test_the_state_goes_through_a_checkpointer_and_json() -> None:
    saver = InMemorySaver()
    built = StateGraph(State)
    built.add_node(
        "verify", verify_node(consistency(), draft=lambda _: FALSE, policy="interrupt", fail="review")
    )
    built.add_node("review", human_review_node())
    built.add_edge(START, "verify")
    documents = [{"id": "weight", "page_content": WEIGHT, "metadata": {}}]
    built.compile(checkpointer=saver).invoke({"question": QUESTION, "documents": documents}, THREAD)
    again = built.compile(checkpointer=saver)
    values = again.get_state(THREAD).values
    assert json.loads(json.dumps(values)) == values
    assert again.invoke(Command(resume="approve"), THREAD)["answer"] == FALSE
