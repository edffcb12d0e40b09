"""What RagGuardMiddleware does with evidence, answers, policies and settings; leaks have a file of their own."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
import time
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import create_retriever_tool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from langchain_ragguard import GuardedRetriever, ScoredVectorStoreRetriever
from langchain_ragguard.middleware import RagGuardContext, RagGuardMiddleware
from langchain_ragguard.testing.models import ScriptedChatModel
from langchain_ragguard.tools import guarded_retriever_tool
from ragguard import ConsistencyGuard, Pipeline, Report
from ragguard.alignment.lexical import LexicalAligner
from ragguard.errors import (
    ConfigurationError,
    DuplicateIdError,
    InvalidScoreError,
    InvalidValueError,
    RefusalError,
)
from ragguard.types import Stage, Turn, Verdict
from ragguard.worker import run_on_worker

QUESTION = "What is the hardness of nickel?"
SOURCE = "The hardness of nickel is 4 on the scale of Mohs."
TRUE = SOURCE
FALSE = "Purple bananas outweigh every elephant."
GUARD = ConsistencyGuard(LexicalAligner())


def calls(query: str = QUESTION, tool: str = "search", name: str = "c1") -> AIMessage:
    return AIMessage("", tool_calls=[{"name": tool, "args": {"query": query}, "id": name}])


def after_tools(*answers: str | AIMessage, first: AIMessage | None = None) -> Any:
    """Call a tool, then give these answers, one a call of the model."""
    return [first or calls(), *answers]


@tool(response_format="content_and_artifact")
def search(query: str) -> tuple[str, list[Document]]:
    """Look something up."""
    return SOURCE, [Document(id="nickel", page_content=SOURCE)]


@tool
def plain(query: str) -> str:
    """Look something up; text alone comes back."""
    return SOURCE


def agent(script: Any, *tools: Any, guard: Any = GUARD, agent_options: Any = None, **options: Any) -> Any:
    return create_agent(
        script if isinstance(script, ScriptedChatModel) else ScriptedChatModel(script=script),
        tools=list(tools),
        middleware=[RagGuardMiddleware(guard, **options)],
        checkpointer=InMemorySaver(),
        **(agent_options or {}),
    )


def asked(runnable: Any, question: str = QUESTION, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = runnable.invoke({"messages": [HumanMessage(question)]}, thread(), **more)
    return found


def thread() -> Any:
    return {"configurable": {"thread_id": "t"}}


def last(found: dict[str, Any]) -> AIMessage:
    message = found["messages"][-1]
    assert isinstance(message, AIMessage)
    return message


def facts(found: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = last(found).response_metadata["ragguard"]
    return said


# Judging


def test_an_answer_that_the_evidence_supports_is_shown() -> None:
    found = asked(agent(after_tools(TRUE), search))
    assert last(found).content == TRUE
    assert facts(found)["released"]
    assert Report.model_validate(found["ragguard"]).turn.answer == TRUE


def test_another_is_replaced_and_the_report_says_why_without_its_text() -> None:
    found = asked(agent(after_tools(FALSE), search))
    assert str(last(found).content).startswith("I can't show an answer")
    assert (facts(found)["reason"], found["ragguard"]["reason"]) == ("unsupported_answer",) * 2
    assert "bananas" not in json.dumps(found["ragguard"])


def test_an_abstention_of_the_model_is_an_abstention() -> None:
    found = asked(agent(after_tools("I'm sorry, the passages do not mention it."), search))
    assert facts(found)["reason"] == "model_abstained"
    assert str(last(found).content).startswith("I don't know")


def test_an_abstention_that_asserts_something_is_judged() -> None:
    found = asked(agent(after_tools(f"I don't know, but {FALSE.lower()}"), search))
    assert facts(found)["reason"] == "unsupported_answer"


def test_the_answer_is_judged_against_every_result_since_the_question() -> None:
    @tool
    def weigh(query: str) -> str:
        """Weigh something."""
        return "The lamp weighs six kilograms."

    script = [calls(), calls(tool="weigh", name="c2"), f"{TRUE} The lamp weighs six kilograms."]
    found = asked(agent(script, search, weigh))
    assert last(found).content == script[-1]
    assert facts(found)["passages"] == ["nickel", "weigh:c2"]


def test_only_results_since_the_last_question_count_unless_the_whole_thread_does() -> None:
    for reach, released in (("turn", False), ("thread", True)):
        runnable = agent(after_tools(TRUE, TRUE), search, reach=reach)
        asked(runnable)
        assert facts(asked(runnable, "And once more?"))["released"] is released


def test_results_of_other_tools_count_only_where_no_tools_are_named() -> None:
    first = calls(tool="plain")
    assert facts(asked(agent(after_tools(TRUE, first=first), plain)))["released"]
    named = agent(after_tools(TRUE, first=first), plain, retrieval_tools=["search"])
    assert facts(asked(named))["reason"] == "no_evidence"


def test_the_error_of_a_tool_is_no_evidence() -> None:
    class Failing(AgentMiddleware[Any, Any, Any]):
        def wrap_tool_call(self, request: Any, handler: Any) -> ToolMessage:
            return ToolMessage(SOURCE, tool_call_id=request.tool_call["id"], name="search", status="error")

    model = ScriptedChatModel(script=after_tools(TRUE))
    runnable = create_agent(model, tools=[search], middleware=[RagGuardMiddleware(GUARD), Failing()])
    found = asked(runnable)
    assert facts(found)["reason"] == "no_evidence"
    assert found["messages"][2].content == SOURCE


def test_two_texts_under_one_name_are_both_evidence() -> None:
    @tool(response_format="content_and_artifact")
    def pages(query: str) -> tuple[str, list[Document]]:
        """Two pages of one file."""
        return "", [Document(id="f", page_content=SOURCE), Document(id="f", page_content="Lamps are red.")]

    found = asked(agent(after_tools(f"{TRUE} Lamps are red.", first=calls(tool="pages")), pages))
    assert facts(found)["released"]
    assert facts(found)["passages"] == ["f", "f (2)"]


# Without evidence


def test_without_evidence_nothing_is_shown_unless_that_is_allowed() -> None:
    assert facts(asked(agent(["Hello!"])))["reason"] == "no_evidence"
    found = asked(agent(["Hello!"], require_evidence=False))
    assert last(found).content == "Hello!"
    assert facts(found)["judged"] is False


@pytest.mark.parametrize("said", [{"judged": False}, {"judged": True}, {}, "yes", True, {"judged": 1}])
def test_a_message_that_only_speaks_of_a_guard_is_judged(said: Any) -> None:
    claimed = AIMessage(content=FALSE, response_metadata={"ragguard": said})
    found = asked(agent(after_tools(claimed), search))
    assert facts(found)["reason"] == "unsupported_answer"
    assert FALSE not in str(found["messages"][-1])


def test_a_retrieval_that_found_nothing_is_no_small_talk(guarded: GuardedRetriever) -> None:
    look_up = guarded_retriever_tool(guarded, "search", "Search.")
    script = after_tools(FALSE, first=calls("Who painted the ceiling?"))
    found = asked(agent(script, look_up, guard=guarded.guard, require_evidence=False))
    assert facts(found)["reason"] == "no_evidence"
    assert "No passage of the knowledge base" in str(last(found).content)


# The promise of a retrieval


def certificate(found: dict[str, Any]) -> str | None:
    held = Report.model_validate(found["ragguard"]).certificate()
    return None if held is None else held.status


def test_the_promise_of_a_guarded_retrieval_stays_with_the_answer(guarded: GuardedRetriever) -> None:
    look_up = guarded_retriever_tool(guarded, "search", "Search.")
    answer = guarded.report(QUESTION).passages[0].text
    found = asked(agent(after_tools(answer), look_up, guard=guarded.guard))
    assert last(found).content == answer
    assert (certificate(found), facts(found)["certificates"]) == ("valid", {"retrieval": "valid"})


def test_of_two_retrievals_together_nothing_is_promised(guarded: GuardedRetriever) -> None:
    look_up = guarded_retriever_tool(guarded, "search", "Search.")
    second = calls("What is the colour of cobalt?", name="c2")
    answer = guarded.report("What is the colour of cobalt?").passages[0].text
    found = asked(agent([calls(), second, answer], look_up, guard=guarded.guard))
    assert last(found).content == answer
    assert certificate(found) == "none"


@pytest.mark.parametrize("way", ["sync", "async"])
def test_scored_documents_of_another_tool_are_cut_here(guarded: GuardedRetriever, way: str) -> None:
    assert isinstance(guarded.base, ScoredVectorStoreRetriever)
    look_up = create_retriever_tool(guarded.base, "search", "Search.", response_format="content_and_artifact")
    kept = guarded.report(QUESTION).passages
    runnable = agent(after_tools(kept[0].text), look_up, guard=guarded.guard)
    if way == "sync":
        found = asked(runnable)
    else:
        found = asyncio.run(runnable.ainvoke({"messages": [HumanMessage(QUESTION)]}, thread()))
    message = found["messages"][2]
    assert message.content == "\n\n".join(p.text for p in kept)
    assert [d.id for d in message.artifact] == [p.id for p in kept]
    assert message.tool_call_id == "c1"
    assert certificate(found) == "valid"


def test_a_retrieval_that_is_cut_to_nothing_is_told_to_the_model(guarded: GuardedRetriever) -> None:
    assert isinstance(guarded.base, ScoredVectorStoreRetriever)
    look_up = create_retriever_tool(guarded.base, "search", "Search.", response_format="content_and_artifact")
    script = after_tools(FALSE, first=calls("Who painted the ceiling?"))
    found = asked(agent(script, look_up, guard=guarded.guard))
    assert "No passage of the knowledge base" in found["messages"][2].content
    assert found["messages"][2].artifact == []
    assert facts(found)["reason"] == "no_evidence"


def scored(*scores: float | None) -> Any:
    @tool("search", response_format="content_and_artifact")
    def look_up(query: str) -> tuple[str, list[Document]]:
        """Look something up."""
        found = [
            Document(id=f"d{i}", page_content=SOURCE, metadata={} if s is None else {"near": s})
            for i, s in enumerate(scores)
        ]
        return SOURCE, found

    return look_up


def test_a_missing_score_at_the_key_given_is_an_error(guarded: GuardedRetriever) -> None:
    runnable = agent(after_tools(TRUE), scored(0.9, None), guard=guarded.guard, score_key="near")
    with pytest.raises(InvalidScoreError, match="d1"):
        asked(runnable)


def test_documents_without_any_score_are_passages_of_which_nothing_is_promised(
    guarded: GuardedRetriever,
) -> None:
    found = asked(agent(after_tools(TRUE), scored(None, None), guard=guarded.guard))
    assert last(found).content == TRUE
    assert certificate(found) == "none"


def test_two_texts_under_one_name_cannot_be_cut(guarded: GuardedRetriever) -> None:
    @tool("search", response_format="content_and_artifact")
    def look_up(query: str) -> tuple[str, list[Document]]:
        """Look something up."""
        return "", [Document(id="a", page_content="one"), Document(id="a", page_content="two")]

    with pytest.raises(DuplicateIdError):
        asked(agent(after_tools(TRUE), look_up, guard=guarded.guard))


# Policies


def test_redacting_leaves_what_is_supported() -> None:
    found = asked(agent(after_tools(f"{TRUE} {FALSE}"), search, policy="redact"))
    assert str(last(found).content).strip() == TRUE
    assert facts(found)["action"] == "revise"


def test_annotating_shows_all_with_citations_as_data() -> None:
    found = asked(agent(after_tools(f"{TRUE} {FALSE}"), search, policy="annotate"))
    assert last(found).content == f"{TRUE} {FALSE}"
    assert facts(found)["citations"]


def test_regenerating_asks_again_and_leaves_no_trace_of_the_draft() -> None:
    model = ScriptedChatModel(script=after_tools(FALSE, TRUE))
    found = asked(agent(model, search, policy="regenerate"))
    assert last(found).content == TRUE
    assert [m.type for m in found["messages"]] == ["human", "ai", "tool", "ai"]
    draft, told = model.prompts[-1][-2:]
    assert draft.content == FALSE
    assert f'"{FALSE}"' in str(told.content)


@pytest.mark.parametrize(("retries", "generated"), [(0, 1), (1, 2), (3, 4)])
def test_regenerating_ends(retries: int, generated: int) -> None:
    model = ScriptedChatModel(script=after_tools(FALSE))
    found = asked(agent(model, search, policy="regenerate", max_retries=retries))
    assert not facts(found)["released"]
    assert len(model.prompts) == 1 + generated


def test_a_tool_call_in_between_does_not_buy_more_attempts() -> None:
    def said(messages: list[BaseMessage]) -> str | AIMessage:
        told = "not shown to the user" in str(messages[-1].text)
        return calls(name=f"c{len(messages)}") if told or isinstance(messages[-1], HumanMessage) else FALSE

    model = ScriptedChatModel(script=said)
    found = asked(agent(model, search, policy="regenerate", max_retries=2))
    assert not facts(found)["released"]
    assert sum(isinstance(m, ToolMessage) for m in found["messages"]) == 3


def test_raising_raises_and_writes_nothing() -> None:
    runnable = agent(after_tools(FALSE), search, policy="raise")
    with pytest.raises(RefusalError, match="refuse"):
        asked(runnable)
    assert [m.type for m in runnable.get_state(thread()).values["messages"]] == ["human", "ai", "tool"]


def test_a_person_may_approve_edit_or_reject() -> None:
    replies: list[tuple[Any, str, bool]] = [
        ({"type": "approve"}, FALSE, True),
        ({"type": "edit", "text": "Better this."}, "Better this.", True),
        ({"type": "reject"}, "I can't show an answer", False),
        ({"type": "reject", "message": "Ask the laboratory."}, "Ask the laboratory.", False),
        ("approve", FALSE, True),
    ]
    for reply, shown, released in replies:
        model = ScriptedChatModel(script=after_tools(FALSE))
        runnable = agent(model, search, policy="interrupt")
        waiting = asked(runnable)
        (request,) = waiting["__interrupt__"]
        assert (request.value["draft"], request.value["question"]) == (FALSE, QUESTION)
        assert json.loads(json.dumps(request.value)) == request.value
        before = last(waiting)
        found = runnable.invoke(Command(resume=reply), thread())
        assert str(last(found).content).startswith(shown)
        assert (last(found).id, facts(found)["released"]) == (before.id, released)
        assert len(model.prompts) == 2, "nothing was generated anew"


async def test_a_person_decides_in_an_asynchronous_run_too() -> None:
    runnable = agent(after_tools(FALSE), search, policy="interrupt")
    waiting = await runnable.ainvoke({"messages": [HumanMessage(QUESTION)]}, thread())
    assert waiting["__interrupt__"][0].value["draft"] == FALSE
    found = await runnable.ainvoke(Command(resume={"type": "approve"}), thread())
    assert last(found).content == FALSE


def test_a_reply_that_is_no_decision_shows_nothing_and_can_be_given_again() -> None:
    runnable = agent(after_tools(FALSE), search, policy="interrupt")
    asked(runnable)
    for reply in ({"type": "shrug"}, "yes", {"type": "edit", "text": " "}):
        (again,) = runnable.invoke(Command(resume=reply), thread())["__interrupt__"]
        assert (again.value["draft"], "no decision" in again.value["problem"]) == (FALSE, True)
        assert FALSE not in [m.content for m in runnable.get_state(thread()).values["messages"]]
    assert last(runnable.invoke(Command(resume="approve"), thread())).content == FALSE


def test_a_new_question_forgets_the_one_that_waits_for_a_person() -> None:
    runnable = agent([calls(), FALSE, calls(name="c2"), TRUE], search, policy="interrupt")
    asked(runnable)
    found = asked(runnable, "Once more?")
    assert "__interrupt__" not in found
    assert last(found).content == TRUE


def test_without_a_policy_the_guards_own_holds() -> None:
    own = ConsistencyGuard(LexicalAligner(), policy="annotate")
    assert last(asked(agent(after_tools(FALSE), search, guard=own))).content == FALSE


# Settings of a request


@dataclasses.dataclass
class Mine:
    ragguard: Any = None


@pytest.mark.parametrize(
    "context", [RagGuardContext(policy="raise"), Mine(RagGuardContext("raise")), Mine({"policy": "raise"})]
)
def test_a_request_may_bring_its_own_policy(context: Any) -> None:
    runnable = agent(after_tools(FALSE), search, agent_options={"context_schema": type(context)})
    with pytest.raises(RefusalError):
        asked(runnable, context=context)


def test_a_request_may_do_without_evidence() -> None:
    runnable = agent(["Hello!"], agent_options={"context_schema": RagGuardContext})
    assert last(asked(runnable, context=RagGuardContext(require_evidence=False))).content == "Hello!"
    assert facts(asked(runnable, context=RagGuardContext()))["reason"] == "no_evidence"


@pytest.mark.parametrize("context", [Mine({"polici": "raise"}), Mine(3)])
def test_settings_of_another_kind_are_an_error(context: Any) -> None:
    runnable = agent(after_tools(TRUE), search, agent_options={"context_schema": Mine})
    with pytest.raises(InvalidValueError, match="settings"):
        asked(runnable, context=context)


# Structured responses


class Reply(BaseModel):
    answer: str
    sources: list[str] = []


def reply(text: str) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": "Reply", "args": {"answer": text}, "id": "r1"}])


def test_a_response_format_needs_a_word_on_what_is_judged() -> None:
    runnable = agent(after_tools(reply(TRUE)), search, agent_options={"response_format": ToolStrategy(Reply)})
    with pytest.raises(ConfigurationError, match="structured_fields"):
        asked(runnable)


@pytest.mark.parametrize("strategy", ["tool", "provider"])
def test_the_fields_named_are_judged(strategy: str) -> None:
    how: Any = ToolStrategy(Reply) if strategy == "tool" else ProviderStrategy(Reply)
    for text, released in ((TRUE, True), (FALSE, False)):
        said = reply(text) if strategy == "tool" else Reply(answer=text).model_dump_json()
        options: dict[str, Any] = {"structured_fields": ["answer"], "agent_options": {"response_format": how}}
        found = asked(agent(after_tools(said), search, **options))
        assert found.get("structured_response") == (Reply(answer=text) if released else None)
        assert found["ragguard"]["action"] == ("pass" if released else "refuse")
        assert (FALSE in repr(found)) is False


def test_with_no_fields_a_structured_response_passes_unjudged() -> None:
    options: dict[str, Any] = {
        "structured_fields": (),
        "agent_options": {"response_format": ToolStrategy(Reply)},
    }
    found = asked(agent(after_tools(reply(FALSE)), search, **options))
    assert found["structured_response"] == Reply(answer=FALSE)


def test_a_field_that_is_not_there_is_an_error_that_names_it() -> None:
    options: dict[str, Any] = {
        "structured_fields": ["reply.text"],
        "agent_options": {"response_format": ToolStrategy(Reply)},
    }
    with pytest.raises(ConfigurationError, match=r"reply\.text"):
        asked(agent(after_tools(reply(TRUE)), search, **options))


# Channels


def test_channels_are_passed_on_when_asked_for_but_never_of_a_withheld_answer() -> None:
    def said(text: str) -> AIMessage:
        blocks: list[str | dict[str, Any]] = [
            {"type": "reasoning", "reasoning": "Hm."},
            {"type": "text", "text": text},
        ]
        told = {"logprobs": {"content": []}, "model_name": "m"}
        return AIMessage(blocks, response_metadata=told, additional_kwargs={"note": "n"})

    every: Any = ("reasoning", "logprobs", "extras")
    message = last(asked(agent(after_tools(said(TRUE)), search, unjudged=every)))
    assert message.content == said(TRUE).content
    assert (message.response_metadata["logprobs"], message.additional_kwargs) == (
        {"content": []},
        {"note": "n"},
    )
    message = last(asked(agent(after_tools(said(FALSE)), search, unjudged=every)))
    assert isinstance(message.content, str)
    assert message.additional_kwargs == {}
    assert set(message.response_metadata) == {"model_name", "ragguard"}


def test_what_a_provider_wants_back_with_a_tools_result_stays_wordless() -> None:
    thinking = {"type": "thinking", "thinking": "Where is it?", "signature": "c2ln"}
    use = {"type": "tool_use", "id": "c1", "name": "search", "input": {"query": QUESTION}}
    first = calls().model_copy(update={"content": ["Let me see.", thinking, use]})
    found = asked(agent(after_tools(TRUE, first=first), search))
    assert found["messages"][1].content == [{**thinking, "thinking": ""}, use]


# Sentence by sentence


def test_sentence_by_sentence_the_small_report_is_in_the_state() -> None:
    found = asked(agent(after_tools(TRUE), search, mode="sentence"))
    assert last(found).content == TRUE
    assert found["ragguard"]["released"]
    assert asked(agent(["Hello!"], mode="sentence"))["ragguard"]["reason"] == "no_evidence"
    found = asked(agent(["Hello!"], mode="sentence", require_evidence=False))
    assert last(found).content == "Hello!"


def test_what_needs_the_whole_answer_cannot_go_sentence_by_sentence() -> None:
    with pytest.raises(ConfigurationError, match="regenerate"):
        RagGuardMiddleware(GUARD, policy="regenerate", mode="sentence")
    options: Any = {"context_schema": RagGuardContext}
    with pytest.raises(ConfigurationError, match="interrupt"):
        asked(
            agent(after_tools(TRUE), search, mode="sentence", agent_options=options),
            context=RagGuardContext("interrupt"),
        )
    options = {"response_format": ToolStrategy(Reply)}
    runnable = agent([reply(TRUE)], mode="sentence", structured_fields=["answer"], agent_options=options)
    with pytest.raises(ConfigurationError, match="sentence"):
        asked(runnable)
    with pytest.raises(InvalidValueError, match="mode"):
        RagGuardMiddleware(GUARD, mode="letter")  # type: ignore[arg-type]


# Construction


@pytest.mark.parametrize("guards", [[], Pipeline([]), "a/folder", 3])
def test_guards_that_judge_no_answer_are_refused(guards: Any) -> None:
    with pytest.raises(ConfigurationError):
        RagGuardMiddleware(guards)


@pytest.mark.parametrize(
    "wrong", [{"policy": "shrug"}, {"max_retries": -1}, {"unjudged": ["thoughts"]}, {"unjudged": "reasoning"}]
)
def test_a_setting_that_cannot_be_used_is_an_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError):
        RagGuardMiddleware(GUARD, **wrong)


def test_two_of_different_names_go_together() -> None:
    model = ScriptedChatModel(script=after_tools(FALSE))
    guards = [RagGuardMiddleware(GUARD), RagGuardMiddleware(GUARD, name="again")]
    found = asked(create_agent(model, tools=[search], middleware=guards))
    assert str(last(found).content).startswith("I can't show an answer")


class Slow:
    """A guard that takes its time, and notes its threads."""

    name, stages = "slow", frozenset({Stage.ANSWER})

    def __init__(self, seconds: float) -> None:
        self.threads: set[int] = set()
        self.began = threading.Event()
        self._seconds = seconds

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        self.threads.add(threading.get_ident())
        self.began.set()
        time.sleep(self._seconds)
        return GUARD.check(turn, stage)

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        return await run_on_worker(self.check, turn, stage)


async def test_each_of_fifty_answers_at_once_rests_on_its_own_evidence() -> None:
    @tool("search")
    def look_up(query: str) -> str:
        """Look something up."""
        return f"Tram {query} leaves platform {query}{query}."

    def said(messages: list[BaseMessage]) -> str | AIMessage:
        number = str(messages[0].text)
        return str(messages[-1].text) if isinstance(messages[-1], ToolMessage) else calls(number)

    slow = Slow(0.01)
    runnable = agent(said, look_up, guard=slow)
    found = await asyncio.gather(
        *(
            runnable.ainvoke({"messages": [HumanMessage(str(i))]}, {"configurable": {"thread_id": str(i)}})
            for i in range(50)
        )
    )
    assert [last(f).content for f in found] == [f"Tram {i} leaves platform {i}{i}." for i in range(50)]
    assert all(facts(f)["released"] for f in found)
    passages = [Report.model_validate(f["ragguard"]).passages for f in found]
    assert [p[0].text for p in passages] == [last(f).content for f in found]
    assert threading.get_ident() not in slow.threads


async def test_a_run_that_is_cancelled_while_it_is_judged_writes_no_answer() -> None:
    slow = Slow(0.2)
    runnable = agent(after_tools(TRUE), search, guard=slow)
    task = asyncio.create_task(runnable.ainvoke({"messages": [HumanMessage(QUESTION)]}, thread()))
    assert await asyncio.to_thread(slow.began.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert runnable.get_state(thread()).values["messages"][-1].type == "tool"


def test_a_middleware_further_in_may_interrupt_around_the_model() -> None:
    class Asking(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            return handler(request) if interrupt("Go on?") == "yes" else AIMessage("Stopped.")

    model = ScriptedChatModel(script=[TRUE])
    runnable = create_agent(
        model, middleware=[RagGuardMiddleware(GUARD), Asking()], checkpointer=InMemorySaver()
    )
    assert asked(runnable)["__interrupt__"][0].value == "Go on?"
    assert model.prompts == []
    found = runnable.invoke(Command(resume="yes"), thread())
    assert facts(found)["reason"] == "no_evidence"


def test_documents_read_back_from_a_checkpoint_are_documents_still() -> None:
    @tool("search", response_format="content_and_artifact")
    def look_up(query: str) -> tuple[str, list[Document]]:
        """Look something up."""
        return "Found.", [Document(id="nickel", page_content=SOURCE)]

    runnable = agent(after_tools(FALSE, TRUE), look_up, reach="thread")
    asked(runnable)
    found = asked(runnable, "And once more?")
    assert facts(found)["passages"] == ["nickel"]
    assert last(found).content == TRUE


def test_threads_share_one_middleware() -> None:
    runnable = agent(lambda m: TRUE if isinstance(m[-1], ToolMessage) else calls(), search)
    found: list[Any] = []

    def run(place: int) -> None:
        config = {"configurable": {"thread_id": str(place)}}
        found.append(runnable.invoke({"messages": [HumanMessage(QUESTION)]}, config))

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [last(f).content for f in found] == [TRUE] * 4
