from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from haystack import Pipeline
from haystack.components.agents import Agent
from haystack.components.agents.state import State
from haystack.components.generators.chat import MockChatGenerator
from haystack.dataclasses import ChatMessage, Document, ToolCall
from haystack.tools import Tool

from haystack_integrations.components.guards.ragguard import AnswerGuardHook
from ragguard import ConsistencyGuard
from ragguard.errors import ConfigurationError, InvalidValueError, RefusalError

from .conftest import BAD, GOOD, LEXICAL, METALS, QUESTION, SECRET, NotedAligner, ScriptedChat, by_words


def search(q: str) -> str:
    """Return what the table says of a metal, or fail for one that is not in it."""
    if q not in METALS:
        raise KeyError(q)
    return f"The price of {q} is listed in table {q} price."


SEARCH = Tool(
    name="search",
    description="Look up a metal.",
    parameters={"type": "object", "properties": {"q": {"type": "string"}}},
    function=search,
)


def looked_up(metal: str = "cobalt", beside: str | None = None) -> ChatMessage:
    return ChatMessage.from_assistant(
        beside, tool_calls=[ToolCall(tool_name="search", arguments={"q": metal}, id="1")]
    )


def agent(answers: list[Any], hook: AnswerGuardHook, **options: Any) -> Agent:
    return Agent(chat_generator=ScriptedChat(answers), tools=[SEARCH], hooks=hook.points(), **options)


def asked(question: str = QUESTION) -> list[ChatMessage]:
    return [ChatMessage.from_user(question)]


async def test_an_answer_that_the_tool_supports_is_left_as_it_is() -> None:
    for out in (
        agent([looked_up(), GOOD], AnswerGuardHook(LEXICAL)).run(asked()),
        await agent([looked_up(), GOOD], AnswerGuardHook(LEXICAL)).run_async(asked()),
    ):
        assert out["last_message"].text == GOOD
        assert out["last_message"].meta["ragguard"]["released"] is True
        assert len(out["messages"]) == 4


async def test_nothing_of_an_unsupported_answer_is_left_in_what_the_agent_returns() -> None:
    for out in (
        agent([looked_up(), BAD], AnswerGuardHook(LEXICAL)).run(asked()),
        await agent([looked_up(), BAD], AnswerGuardHook(LEXICAL)).run_async(asked()),
    ):
        assert out["last_message"].text.startswith("I can't show an answer")
        assert SECRET not in repr(out)
        assert [m.role.value for m in out["messages"]] == ["user", "assistant", "tool", "assistant"]


def test_what_the_model_says_beside_a_tool_call_is_taken_out() -> None:
    out = agent([looked_up(beside=BAD), GOOD], AnswerGuardHook(LEXICAL)).run(asked())
    assert out["last_message"].text == GOOD
    assert out["messages"][1].tool_calls
    assert SECRET not in repr(out)


def test_evidence_is_the_documents_in_the_state() -> None:
    schema = {"documents": {"type": list[Document]}, "ragguard": {"type": dict}}
    hook = AnswerGuardHook(LEXICAL)
    judging = agent([GOOD], hook, state_schema=schema)
    out = judging.run(asked(), documents=[Document(id="cobalt-price", content=GOOD)])
    assert out["last_message"].text == GOOD
    assert out["ragguard"]["turn"]["passages"][0]["id"] == "cobalt-price"
    json.dumps(out["ragguard"])
    assert agent([GOOD], hook, state_schema=schema).run(asked())["ragguard"]["reason"] == "unsupported_answer"


def test_a_tools_error_is_no_evidence() -> None:
    out = agent([looked_up("zinc"), "Error: the metal zinc is unknown here."], AnswerGuardHook(LEXICAL)).run(
        asked()
    )
    assert out["messages"][2].tool_call_result.error is True
    assert out["last_message"].meta["ragguard"]["reason"] == "unsupported_answer"
    assert out["last_message"].meta["ragguard"]["passages"] == []


def test_evidence_of_earlier_questions_does_not_count() -> None:
    hook = AnswerGuardHook(LEXICAL)
    earlier = agent([looked_up(), GOOD], hook).run(asked())["messages"]
    out = agent([GOOD], hook).run([*earlier, *asked("And now?")])
    assert out["last_message"].meta["ragguard"]["reason"] == "unsupported_answer"
    assert out["messages"][3].text == GOOD


def test_regenerate_sends_the_agent_back_and_leaves_no_draft_and_no_critique() -> None:
    hook = AnswerGuardHook(LEXICAL, policy="regenerate")
    judging = agent([looked_up(), BAD, GOOD], hook)
    out = judging.run(asked())
    assert out["last_message"].text == GOOD
    assert [m.role.value for m in out["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert SECRET not in repr(out)
    told = judging.chat_generator.seen[2]
    assert "do not say" in told[-1].text
    assert SECRET not in repr(told)


def test_regenerate_gives_up_after_its_attempts() -> None:
    judging = agent([looked_up(), BAD], AnswerGuardHook(LEXICAL, policy="regenerate"))
    out = judging.run(asked())
    assert len(judging.chat_generator.seen) == 4
    assert out["last_message"].text.startswith("I can't show an answer")
    assert [m.role.value for m in out["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert SECRET not in repr(out)


def test_a_run_that_ends_before_another_answer_ends_with_the_refusal() -> None:
    hook = AnswerGuardHook(LEXICAL, policy="regenerate")
    out = agent([looked_up(), BAD], hook, max_agent_steps=2).run(asked())
    assert out["step_count"] == 2
    assert out["last_message"].text.startswith("I can't show an answer")
    assert SECRET not in repr(out)


def test_a_run_that_ends_with_a_tool_is_left_without_unjudged_words() -> None:
    out = agent([looked_up(beside=BAD)], AnswerGuardHook(LEXICAL), max_agent_steps=1).run(asked())
    assert out["last_message"].tool_call_result is not None
    assert SECRET not in repr(out)


async def test_raise_raises_without_quoting() -> None:
    hook = AnswerGuardHook(LEXICAL, policy="raise")
    with pytest.raises(RefusalError) as caught:
        agent([looked_up(), BAD], hook).run(asked())
    assert SECRET not in str(caught.value)
    with pytest.raises(RefusalError):
        await agent([looked_up(), BAD], hook).run_async(asked())


def test_redact_leaves_out_the_claims_at_fault() -> None:
    hook = AnswerGuardHook(LEXICAL, policy="redact")
    out = agent([looked_up(), f"{GOOD} {BAD}"], hook).run(asked())
    assert out["last_message"].text == GOOD
    assert SECRET not in repr(out)


def test_an_own_refusal_is_not_judged_again() -> None:
    aligner = NotedAligner()
    hook = AnswerGuardHook(ConsistencyGuard(aligner))
    agent([looked_up(), BAD], hook).run(asked())
    assert len(aligner.seen) == 1


def test_a_state_without_messages_is_left_alone() -> None:
    state = State(schema={"documents": {"type": list[Document]}})
    AnswerGuardHook(LEXICAL).run(state)
    assert state.data["messages"] == []


async def test_concurrent_agents_keep_their_own_evidence_off_the_loops_thread() -> None:
    aligner = NotedAligner()
    hook = AnswerGuardHook(ConsistencyGuard(aligner))
    await hook.warm_up_async()

    async def one(metal: str) -> str:
        answer = f"The price of {metal} is listed in table {metal} price."
        out = await agent([looked_up(metal), answer], hook).run_async(asked(f"What of {metal}?"))
        return str(out["last_message"].text)

    found = await asyncio.gather(*(one(metal) for metal in METALS))
    assert found == [f"The price of {metal} is listed in table {metal} price." for metal in METALS]
    assert threading.get_ident() not in aligner.threads


def test_a_hook_comes_back_from_yaml_without_being_allowed() -> None:
    hook = AnswerGuardHook(LEXICAL, policy="regenerate", documents_key="found", id_key="name")
    pipeline = Pipeline()
    pipeline.add_component("agent", Agent(chat_generator=MockChatGenerator(GOOD), hooks=hook.points()))
    again = Pipeline.loads(pipeline.dumps())
    assert again.dumps() == pipeline.dumps()
    back = again.get_component("agent").hooks["on_exit"][0]
    assert (back.guard, back.policy, back.documents_key, back.id_key) == (
        LEXICAL,
        "regenerate",
        "found",
        "name",
    )
    with pytest.raises(ConfigurationError, match="cannot be written"):
        AnswerGuardHook(by_words()).to_dict()


def test_it_belongs_where_answers_are_final() -> None:
    with pytest.raises(ValueError, match="before_llm"):
        Agent(chat_generator=MockChatGenerator(GOOD), hooks={"before_llm": [AnswerGuardHook(LEXICAL)]})
    with pytest.raises(InvalidValueError, match="policy must be one of"):
        AnswerGuardHook(policy="interrupt")  # type: ignore[arg-type]
