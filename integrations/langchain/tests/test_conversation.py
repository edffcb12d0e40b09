"""Follow-ups: what is retrieved with, calibrated and judged is the rewritten question."""

from __future__ import annotations

import asyncio
import json
import threading
from operator import itemgetter
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda, RunnablePassthrough
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_ragguard import GuardedRetriever, RagGuardVerifier, StandaloneQuestion
from langchain_ragguard.conversation import as_history
from ragguard import ConsistencyGuard, Guard, Message
from ragguard.alignment.lexical import LexicalAligner
from ragguard.errors import ConfigurationError, InvalidValueError
from ragguard.models.rewriters import JoiningRewriter

FOLLOW_UP = "And its hardness?"
ASKED = "What is the hardness of nickel?"
HISTORY = [("user", "Tell me about nickel."), ("assistant", "Nickel is a metal.")]
GIVEN = {"question": FOLLOW_UP, "history": HISTORY}


class Scripted:
    """A model's `invoke`, which notes the prompts."""

    def __init__(self, reply: Any) -> None:
        self.reply = reply
        self.prompts: list[str] = []

    def __call__(self, prompt: str) -> Any:
        self.prompts.append(str(prompt))
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply


def writing(reply: Any, **options: Any) -> StandaloneQuestion:
    return StandaloneQuestion(model=Scripted(reply), model_name="scripted", **options)


class Events(BaseCallbackHandler):
    def __init__(self) -> None:
        self.became: list[str] = []
        self.names: list[str] = []

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        assert name == "ragguard.rewrite"
        self.became.append(data["question"])

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.names.append(kwargs["name"])


async def became(one: StandaloneQuestion, given: dict[str, Any]) -> tuple[str, str]:
    """The question, and what the event says of it; the same both ways."""
    events = Events()
    config: RunnableConfig = {"callbacks": [events]}
    found = one.invoke(given, config)
    assert await one.ainvoke(given, config) == found
    assert events.became[0] == events.became[1]
    assert events.names[0] == "StandaloneQuestion"
    return found, events.became[0]


# What it writes


@pytest.mark.parametrize("history", [None, [], (), [("user", FOLLOW_UP)], [("assistant", " ")]])
async def test_without_a_history_the_question_passes_and_no_model_is_asked(history: Any) -> None:
    one = writing("never")
    given = {"question": FOLLOW_UP} if history is None else {"question": FOLLOW_UP, "history": history}
    assert await became(one, given) == (FOLLOW_UP, "no_history")
    assert one.model.prompts == []


@pytest.mark.parametrize(
    "reply",
    [ASKED, f'"{ASKED}"\nBecause ...', AIMessage(ASKED), AIMessage([{"type": "text", "text": ASKED}])],
)
async def test_a_follow_up_is_rewritten(reply: Any) -> None:
    one = writing(reply)
    assert await became(one, GIVEN) == (ASKED, "rewritten")
    assert "Tell me about nickel." in one.model.prompts[0]
    assert one.model.prompts[0].endswith(FOLLOW_UP)


@pytest.mark.parametrize("reply", ["", " \n", "x" * 501, None, 3, AIMessage("")])
async def test_a_broken_reply_keeps_the_users_own_words_and_says_so(reply: Any) -> None:
    assert await became(writing(reply), GIVEN) == (FOLLOW_UP, "unchanged")


async def test_a_model_that_fails_raises_unless_told_to_keep_the_users_own_words() -> None:
    with pytest.raises(ConnectionError):
        writing(ConnectionError("down")).invoke(GIVEN)
    with pytest.raises(ConnectionError):
        await writing(ConnectionError("down")).ainvoke(GIVEN)
    lenient = writing(ConnectionError("down"), on_error="question")
    assert await became(lenient, GIVEN) == (FOLLOW_UP, "failed")


async def test_a_chat_model_writes_and_is_seen_in_no_stream() -> None:
    one = StandaloneQuestion(model=FakeListChatModel(responses=[ASKED]), model_name="fake")
    events = [event async for event in one.astream_events(dict(GIVEN), version="v2")]
    assert not [e for e in events if "chat_model" in e["event"]]
    assert next(e for e in events if e["event"] == "on_chain_end")["data"]["output"] == ASKED


async def test_a_function_runs_off_the_event_loop() -> None:
    threads: list[int] = []

    def model(prompt: str) -> str:
        threads.append(threading.get_ident())
        return ASKED

    one = StandaloneQuestion(model=model, model_name="function")
    assert await asyncio.gather(*(one.ainvoke(GIVEN) for _ in range(5))) == [ASKED] * 5
    assert threading.get_ident() not in threads


def test_only_the_latest_messages_are_shown_to_the_model() -> None:
    one = writing(ASKED, messages=2)
    one.invoke({"question": FOLLOW_UP, "history": [("user", "Long ago."), *HISTORY]})
    assert "Long ago" not in one.model.prompts[0]


def test_any_rewriter_will_do_and_the_keys_may_differ() -> None:
    one = StandaloneQuestion(rewriter=JoiningRewriter(), question_key="input", history_key="chat_history")
    found = one.invoke({"input": FOLLOW_UP, "chat_history": HISTORY})
    assert found == f"Tell me about nickel. {FOLLOW_UP}"


def test_a_history_is_read_in_every_common_form() -> None:
    forms = [
        HumanMessage("a"),
        AIMessage([{"type": "text", "text": "b"}]),
        SystemMessage("c"),
        ("human", "d"),
        {"role": "assistant", "content": "e"},
        Message(role="user", text="f"),
        ToolMessage("results", tool_call_id="1"),
        AIMessage("", tool_calls=[{"name": "t", "args": {}, "id": "1"}]),
    ]
    assert [(m.role, m.text) for m in as_history(forms)] == [
        ("user", "a"),
        ("assistant", "b"),
        ("system", "c"),
        ("user", "d"),
        ("assistant", "e"),
        ("user", "f"),
    ]


@pytest.mark.parametrize("history", ["zyzzo", 3, {"zyzzo": 1}, [3], [("oracle", "zyzzo")], [{"zyzzo": 1}]])
def test_what_is_no_history_is_an_error_that_quotes_nothing(history: Any) -> None:
    with pytest.raises(InvalidValueError) as caught:
        writing(ASKED).invoke({"question": FOLLOW_UP, "history": history})
    assert "zyzzo" not in str(caught.value)


@pytest.mark.parametrize("given", [{}, {"question": " "}, {"question": 3}, "text"])
def test_a_question_is_needed(given: Any) -> None:
    with pytest.raises(InvalidValueError):
        writing(ASKED).invoke(given)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"model": str},
        {"model": str, "model_name": "m", "rewriter": JoiningRewriter()},
        {"model": str, "model_name": "m", "messages": 0},
    ],
)
def test_who_rewrites_has_to_be_said(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        StandaloneQuestion(**options)


# In the path that is calibrated


def test_the_rewriter_is_part_of_what_is_calibrated() -> None:
    base = writing(ASKED).fingerprint()
    assert writing("other words").fingerprint() == base
    assert writing(ASKED, messages=2).fingerprint() != base
    assert writing(ASKED, on_error="question").fingerprint() != base
    assert StandaloneQuestion(rewriter=JoiningRewriter()).fingerprint() == JoiningRewriter().fingerprint()


async def test_it_rewrites_for_a_guard_of_its_own_too(
    store: InMemoryVectorStore, questions: list[dict[str, Any]]
) -> None:
    one = writing(ASKED)
    made = GuardedRetriever.calibrate(
        store, questions, k=10, higher_is_better=True, score="gap", rewriter=one
    )
    given: Guard = made.guard  # type: ignore[assignment]
    guard = Guard(
        given.calibration,
        given.retriever,
        rewriter=one,
        generator=lambda question, passages: passages[0].text,
        guards=[ConsistencyGuard(LexicalAligner())],
    )
    for report in (guard.answer(FOLLOW_UP, history=HISTORY), await guard.aanswer(FOLLOW_UP, history=HISTORY)):
        assert (report.turn.question, report.turn.standalone) == (FOLLOW_UP, ASKED)
        assert report.certificate().status == "valid"  # type: ignore[union-attr]


@pytest.fixture
def chain(store: InMemoryVectorStore, questions: list[dict[str, Any]]) -> Any:
    """A bot: rewrite, retrieve, answer from the first document, judge."""
    one = writing(ASKED)
    retriever = GuardedRetriever.calibrate(
        store, questions, k=10, higher_is_better=True, score="gap", rewriter=one,
        guards=[ConsistencyGuard(LexicalAligner())],
    )  # fmt: skip
    model = RunnableLambda(lambda x: x["context"][0].page_content)
    return (
        RunnablePassthrough.assign(standalone=one)
        | RunnablePassthrough.assign(context=itemgetter("standalone") | retriever)
        | RunnablePassthrough.assign(answer=model)
        | RagGuardVerifier(guard=retriever.guard)
    )


async def test_the_rewritten_question_is_retrieved_with_and_judged(chain: Any) -> None:
    found = await chain.ainvoke(dict(GIVEN))
    assert found["answer"] == "The hardness of nickel is listed in table nickel hardness."
    turn = found["ragguard"]["turn"]
    assert (turn["question"], turn["standalone"]) == (FOLLOW_UP, ASKED)
    assert json.dumps(found)
    first = chain.invoke({"question": "What is the price of copper?"})
    assert first["answer"] == "The price of copper is listed in table copper price."


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainDeprecationWarning")
def test_the_bot_remembers_what_was_shown(chain: Any) -> None:
    kept: dict[str, InMemoryChatMessageHistory] = {}
    bot = RunnableWithMessageHistory(
        chain,
        lambda session: kept.setdefault(session, InMemoryChatMessageHistory()),
        input_messages_key="question",
        history_messages_key="history",
        output_messages_key="answer",
    )
    config: RunnableConfig = {"configurable": {"session_id": "a"}}
    bot.invoke({"question": "What is the price of nickel?"}, config)
    assert bot.invoke({"question": FOLLOW_UP}, config)["answer"].startswith("The hardness of nickel")
    assert [m.type for m in kept["a"].messages] == ["human", "ai", "human", "ai"]
