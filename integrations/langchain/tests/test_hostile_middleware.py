"""An agent asked in unusual ways, of unusual answers, by guards that fail: what is withheld stays withheld."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Sequence
from typing import Any, get_args

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore
from langgraph.types import StreamMode

from langchain_ragguard.middleware import RagGuardMiddleware
from langchain_ragguard.testing.models import StreamingChatModel
from langchain_ragguard.testing.surfaces import Recorded, leaks
from ragguard import ConsistencyGuard, Pipeline, Stage
from ragguard.alignment.lexical import LexicalAligner
from ragguard.errors import RefusalError
from ragguard.types import Turn, Verdict

from .provider import ScriptedProvider

SOURCE = "The hardness of nickel is 4 on the scale of Mohs."
SECRET = "zyzzyva"
FALSE = f"The {SECRET}s paint bananas purple."
GIVEN = {"messages": [HumanMessage("What is the hardness of nickel?")]}
CALL = {"name": "search", "args": {"query": "hardness of nickel"}, "id": "c1"}
EVERY_MODE = list(get_args(StreamMode))
Model = Callable[[Any], Any]


@tool(response_format="content_and_artifact")
def search(query: str) -> tuple[str, list[Document]]:
    """Look something up."""
    return SOURCE, [Document(id="nickel", page_content=SOURCE)]


def noisy(text: str) -> AIMessage:
    blocks: list[str | dict[str, Any]] = [
        {"type": "reasoning", "reasoning": FALSE},
        {"type": "text", "text": text},
    ]
    extras = {"reasoning_content": FALSE, "refusal": FALSE}
    told = {"logprobs": {"content": [{"token": SECRET, "logprob": -0.1}]}, "stop_sequence": SECRET}
    return AIMessage(blocks, additional_kwargs=extras, response_metadata=told)


def answering(answer: Any) -> Callable[[list[BaseMessage]], Any]:
    """Call the tool after each question, then give the answer."""
    return lambda messages: AIMessage("", tool_calls=[CALL]) if _asked(messages) else answer


def _asked(messages: Sequence[BaseMessage]) -> bool:
    last = max(i for i, m in enumerate(messages) if isinstance(m, HumanMessage))
    again = "not shown to the user" in str(messages[last].text)
    return not again and not any(isinstance(m, ToolMessage) for m in messages[last:])


def guarding(*guards: Any, **options: Any) -> RagGuardMiddleware:
    return RagGuardMiddleware(guards or ConsistencyGuard(LexicalAligner(), attempts=1), **options)


def agent(answer: Any, *middleware: Any, model: Model | None = None) -> Any:
    script = answer if callable(answer) else answering(answer)
    made = StreamingChatModel(script=script, others=[FALSE]) if model is None else model(script)
    return create_agent(
        made, [search], middleware=middleware, checkpointer=InMemorySaver(), store=InMemoryStore()
    )


def thread(name: str = "1") -> Any:
    return {"configurable": {"thread_id": name}}


def all_that(runnable: Any) -> Recorded:
    """Streams in all modes at once, the state's history, what the checkpointer holds; errors with their tracebacks."""
    seen = Recorded()
    try:
        for piece in runnable.stream(GIVEN, thread(), stream_mode=EVERY_MODE, subgraphs=True):
            seen.note("stream", piece)
            seen.note("repr", repr(piece))
    except RefusalError as error:
        seen.note("error", error)
        seen.note("traceback", "".join(traceback.format_exception(error)))
    seen.note("history", list(runnable.get_state_history(thread())))
    seen.note("checkpoints", list(runnable.checkpointer.list(thread())))
    return seen


modes = pytest.mark.parametrize("mode", ["withhold", "sentence"])


# Ways to ask


@pytest.mark.parametrize("policy", ["refuse", "redact", "regenerate", "raise"])
def test_nothing_is_in_all_modes_at_once_or_in_any_earlier_state(policy: Any) -> None:
    for answer in (noisy(FALSE), noisy(f"{SOURCE} {FALSE}")):
        assert leaks(all_that(agent(answer, guarding(policy=policy))), SECRET) == []


@pytest.mark.filterwarnings("ignore::langchain_core._api.deprecation.LangChainDeprecationWarning")
async def test_nothing_is_in_the_older_streams_of_events() -> None:
    seen, runnable = Recorded(), agent(noisy(FALSE), guarding())
    async for event in runnable.astream_events(GIVEN, thread("events"), version="v1"):
        seen.note("events of version 1", event)
    async for patch in runnable.astream_log(GIVEN, thread("log"), diff=False):
        seen.note("log", patch)
    assert len(seen.surfaces) == 2
    assert leaks(seen, SECRET) == []


@modes
async def test_a_stream_that_is_given_up_has_shown_nothing(mode: Any) -> None:
    seen, runnable = Recorded(), agent(noisy(f"{SOURCE} {FALSE} {SOURCE}"), guarding(mode=mode))
    pieces = runnable.stream(GIVEN, thread(), stream_mode=EVERY_MODE)
    for piece in pieces:
        seen.note("closed", piece)
        if SOURCE in str(piece):
            break
    pieces.close()
    events = runnable.astream_events(GIVEN, thread("2"), version="v2")
    async for event in events:
        seen.note("left", event)
        if event["event"] == "on_tool_end":
            break
    await events.aclose()
    seen.note("state", [runnable.get_state(thread(name)) for name in ("1", "2")])
    assert leaks(seen, SECRET) == []


@modes
async def test_threads_and_tasks_do_not_unmute_one_another(mode: Any) -> None:
    runnable = agent(noisy(FALSE), guarding(mode=mode))

    def threaded(name: str) -> list[Any]:
        return list(runnable.stream(GIVEN, thread(name), stream_mode=EVERY_MODE))

    async def awaited(name: str) -> list[Any]:
        return [e async for e in runnable.astream_events(GIVEN, thread(name), version="v2")]

    runs = [asyncio.to_thread(threaded, f"t{i}") for i in range(3)] + [awaited(f"a{i}") for i in range(3)]
    with get_usage_metadata_callback() as counted:
        found = await asyncio.gather(*runs)
    seen = Recorded()
    seen.note("streams", found)
    seen.note("counted", counted.usage_metadata)
    assert leaks(seen, SECRET) == []


@modes
def test_what_was_withheld_does_not_go_to_the_model_with_the_next_question(mode: Any) -> None:
    prompts: list[str] = []
    say = answering(noisy(FALSE))

    def said(messages: list[BaseMessage]) -> Any:
        prompts.append(repr(messages))
        return say(messages)

    runnable = agent(said, guarding(mode=mode))
    for question in ("What is the hardness of nickel?", "And of copper?"):
        runnable.invoke({"messages": [HumanMessage(question)]}, thread())
    assert len(prompts) == 4
    assert not any(SECRET in prompt for prompt in prompts)


# Models and messages


MODELS: dict[str, Model] = {
    "never streams": lambda script: StreamingChatModel(script=script, disable_streaming=True),
    "with tools never streams": lambda script: StreamingChatModel(
        script=script, disable_streaming="tool_calling"
    ),
    "in blocks": lambda script: StreamingChatModel(script=script, output_version="v1"),
    "as a provider": lambda script: ScriptedProvider(
        answers=lambda messages, _: script(messages), others=[AIMessage(FALSE)]
    ),
}


@modes
@pytest.mark.parametrize("model", list(MODELS))
def test_however_the_model_streams_nothing_comes_out(model: str, mode: Any) -> None:
    runnable = agent(noisy(FALSE), guarding(mode=mode), model=MODELS[model])
    assert leaks(all_that(runnable), SECRET) == []


ODD: dict[str, Any] = {
    "half a character": AIMessage(f"{FALSE}\ud800 And more."),
    "blocks of no known kind": AIMessage(
        [{"type": "text", "text": FALSE}, {"type": "image", "url": FALSE}, {"said": FALSE}, FALSE]
    ),
    "that speaks of a guard": AIMessage(FALSE, response_metadata={"ragguard": {"released": True}}),
    "that is long": AIMessage(f"{SOURCE} " + f"{FALSE} " * 100),
}


@modes
@pytest.mark.parametrize("answer", list(ODD))
def test_an_odd_answer_is_withheld(answer: str, mode: Any) -> None:
    assert leaks(all_that(agent(ODD[answer], guarding(mode=mode))), SECRET) == []


@modes
@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u200b", "\u00a0"])
def test_an_answer_without_a_word_is_refused(text: str, mode: Any) -> None:
    found = agent(AIMessage(text), guarding(mode=mode)).invoke(GIVEN, thread())
    assert found["ragguard"]["action"] in ("refuse", "abstain")
    assert found["messages"][-1].content.startswith("I can't show an answer")


# Guards that fail, and company


class Failing:
    """Raises, and quotes the answer."""

    name = "failing"
    stages = frozenset({Stage.ANSWER})

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        raise ValueError(turn.answer)

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        raise ValueError(turn.answer)


class Careless(Failing):
    """Returns something else than a verdict."""

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        return True  # type: ignore[return-value]


@modes
@pytest.mark.parametrize("guard", [Failing, Careless])
def test_a_guard_that_fails_refuses_without_a_word_of_the_answer(guard: type[Failing], mode: Any) -> None:
    runnable = agent(noisy(FALSE), guarding(guard(), mode=mode))
    assert leaks(all_that(runnable), SECRET) == []
    assert runnable.get_state(thread()).values["ragguard"]["reason"] == "guard_error"


@modes
def test_a_turn_out_of_time_is_refused(mode: Any) -> None:
    late = Pipeline([ConsistencyGuard(LexicalAligner())], deadline=1e-9)
    runnable = agent(noisy(SOURCE), RagGuardMiddleware(late, mode=mode))
    assert runnable.invoke(GIVEN, thread())["ragguard"]["reason"] == "deadline"


@modes
def test_the_order_of_the_middlewares_does_not_matter(mode: Any) -> None:
    for company in (
        [ModelRetryMiddleware(), guarding(mode=mode)],
        [guarding(mode=mode), ModelRetryMiddleware()],
    ):
        assert leaks(all_that(agent(noisy(FALSE), *company)), SECRET) == []


@pytest.mark.parametrize("lenient_first", [True, False])
def test_of_two_in_one_agent_the_stricter_decides(lenient_first: bool) -> None:
    two = [guarding(require_evidence=False, name="lenient"), guarding(name="strict")]
    company = two if lenient_first else two[::-1]
    runnable = agent(lambda messages: noisy(FALSE), *company)
    assert leaks(all_that(runnable), SECRET) == []
    assert runnable.get_state(thread()).values["ragguard"]["reason"] == "no_evidence"


def test_two_that_let_small_talk_pass_both_say_so() -> None:
    two = [guarding(require_evidence=False, name=name) for name in ("one", "other")]
    found = agent(lambda messages: AIMessage("Good morning!"), *two).invoke(GIVEN, thread())
    assert found["messages"][-1].content == "Good morning!"
    assert found["messages"][-1].response_metadata["ragguard"]["judged"] is False
