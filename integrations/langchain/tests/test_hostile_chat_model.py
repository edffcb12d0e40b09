"""A guarded chat model wrapped, asked and answered in ways that nobody expects."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from typing import Any, Literal

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import ConfigurableField, Runnable, RunnableParallel
from pydantic import BaseModel

from langchain_ragguard.chat_models import GuardedChatModel
from langchain_ragguard.testing.surfaces import Recorded, leaks
from ragguard import ConsistencyGuard, Pipeline, Stage
from ragguard.alignment.lexical import LexicalAligner
from ragguard.errors import ConfigurationError, RefusalError
from ragguard.types import Turn, Verdict

from .provider import ScriptedProvider

QUESTION = "How heavy is the lamp?"
WEIGHT = "The lamp weighs 4 kilograms."
SECRET = "zyzzyva"
FALSE = f"The lamp is a purple {SECRET}."
GIVEN: Any = {"configurable": {"ragguard_passages": [Document(id="weight", page_content=WEIGHT)]}}
modes = pytest.mark.parametrize("mode", ["withhold", "sentence"])


def model(*answers: Any, guard: Any = None, **options: Any) -> GuardedChatModel:
    inner = ScriptedProvider(answers=answers or [f"{WEIGHT} {FALSE} {WEIGHT}"], others=[AIMessage(FALSE)])
    return GuardedChatModel(
        inner=inner, guard=ConsistencyGuard(LexicalAligner()) if guard is None else guard, **options
    )


WRAPPED: dict[str, Callable[[GuardedChatModel], Runnable[Any, Any]]] = {
    "retried": lambda m: m.with_retry(),
    "standing in": lambda m: model(policy="raise").with_fallbacks([m], exceptions_to_handle=(RefusalError,)),
    "configurable": lambda m: m.configurable_fields(mode=ConfigurableField(id="mode")),
    "with alternatives": lambda m: m.configurable_alternatives(ConfigurableField(id="which"), other=m),
    "twice at once": lambda m: RunnableParallel(one=m, text=m | StrOutputParser()),
}


async def seen_of(runnable: Runnable[Any, Any]) -> Recorded:
    seen = Recorded()
    seen.note("invoke", runnable.invoke(QUESTION, GIVEN))
    seen.note("batch", [found for _, found in runnable.batch_as_completed([QUESTION, QUESTION], GIVEN)])
    seen.note("stream", list(runnable.stream(QUESTION, GIVEN)))
    seen.note("astream", [piece async for piece in runnable.astream(QUESTION, GIVEN)])
    seen.note("events", [event async for event in runnable.astream_events(QUESTION, GIVEN, version="v2")])
    return seen


@modes
@pytest.mark.parametrize("wrapped", list(WRAPPED))
async def test_however_it_is_wrapped_nothing_withheld_comes_out(wrapped: str, mode: Any) -> None:
    assert leaks(await seen_of(WRAPPED[wrapped](model(mode=mode))), SECRET) == []


@modes
async def test_threads_tasks_and_streams_given_up_show_nothing(mode: Any) -> None:
    asked, seen = model(mode=mode), Recorded()

    async def awaited() -> list[Any]:
        return [piece async for piece in asked.astream(QUESTION, GIVEN)]

    threads = (asyncio.to_thread(lambda: list(asked.stream(QUESTION, GIVEN))) for _ in range(4))
    seen.note("together", await asyncio.gather(*(awaited() for _ in range(4)), *threads))
    closed, left = asked.stream(QUESTION, GIVEN), asked.astream(QUESTION, GIVEN)
    seen.note("given up", [next(closed), await anext(left)])
    closed.close()  # type: ignore[attr-defined]
    await left.aclose()  # type: ignore[attr-defined]
    assert leaks(seen, SECRET) == []


@modes
def test_a_handler_that_is_no_tracer_hears_only_what_was_released(mode: Any) -> None:
    heard: list[str] = []

    class Screen(BaseCallbackHandler):
        def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
            heard.append(f"{token} {kwargs.get('chunk')}")

        def on_llm_end(self, response: Any, **kwargs: Any) -> None:
            heard.append(repr(response))

    list(model(mode=mode).stream(QUESTION, {**GIVEN, "callbacks": [Screen()]}))
    model(mode=mode).generate([[HumanMessage(QUESTION)]], callbacks=[Screen()])
    assert heard
    assert SECRET not in "".join(heard)


class Failing:
    """Raises, and quotes the answer."""

    name = "failing"
    stages = frozenset({Stage.ANSWER})

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        raise ValueError(turn.answer)

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        raise ValueError(turn.answer)


@modes
@pytest.mark.parametrize("late", [False, True])
async def test_a_guard_that_fails_or_is_late_refuses(late: bool, mode: Any) -> None:
    guard = Pipeline([ConsistencyGuard(LexicalAligner())], deadline=1e-9) if late else [Failing()]
    asked = model(guard=guard, mode=mode)
    assert leaks(await seen_of(asked), SECRET) == []
    said = asked.invoke(QUESTION, GIVEN).response_metadata["ragguard"]
    assert said["reason"] == ("deadline" if late else "guard_error")
    with pytest.raises(RefusalError) as raised:
        list(model(guard=guard, mode=mode, policy="raise").stream(QUESTION, GIVEN))
    assert SECRET not in "".join(traceback.format_exception(raised.value)) + repr(vars(raised.value))


@modes
@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u200b", f"{FALSE}\ud800 And more."])
async def test_an_odd_answer_is_refused(text: str, mode: Any) -> None:
    asked = model(AIMessage(text), mode=mode)
    assert leaks(await seen_of(asked), SECRET) == []
    assert asked.invoke(QUESTION, GIVEN).response_metadata["ragguard"]["released"] is False


@modes
@pytest.mark.parametrize("passages", [[], [Document("")], [Document(" ")]])
def test_where_the_passages_are_empty_no_answer_is_shown(passages: Any, mode: Any) -> None:
    said = model(WEIGHT, mode=mode).invoke(QUESTION, {"configurable": {"ragguard_passages": passages}})
    assert said.response_metadata["ragguard"]["reason"] == "no_evidence"


# Structured answers


class Told(BaseModel):
    """What was found."""

    answer: str
    remark: str | None = None
    page: int = 3
    pages: list[int] = []
    kind: Literal["short", "long"] = "short"


class Nested(BaseModel):
    """Found in parts."""

    parts: list[Told]


def told(**args: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": "Told", "args": args, "id": "t1"}])


@modes
@pytest.mark.parametrize("include_raw", [False, True])
def test_every_text_of_a_structured_answer_is_judged_if_nobody_says_which(
    include_raw: bool, mode: Any
) -> None:
    given = told(answer=WEIGHT, remark=FALSE, page=4, pages=[4], kind="long")
    structured = model(given, mode=mode).with_structured_output(Told, include_raw=include_raw)
    found: Any = structured.invoke(QUESTION, GIVEN)
    assert SECRET not in repr(found)
    parsed = found["parsed"] if include_raw else found
    assert (parsed.answer, parsed.page, parsed.pages, parsed.kind) == (WEIGHT, 4, [4], "long")
    assert parsed.remark.startswith("I can't show an answer")


@modes
async def test_what_the_schema_of_an_answer_does_not_name_is_left_out(mode: Any) -> None:
    schema = {
        "title": "Page",
        "description": "d",
        "type": "object",
        "properties": {"page": {"type": "integer"}},
    }
    calls = [
        {"name": "Page", "args": {"page": 4, "note": FALSE}, "id": "1"},
        {"name": "Another", "args": {"text": FALSE}, "id": "2"},
    ]
    asked = model(AIMessage("", tool_calls=calls), mode=mode).with_structured_output(schema, include_raw=True)
    seen = await seen_of(asked)
    assert leaks(seen, SECRET) == []
    found: Any = asked.invoke(QUESTION, GIVEN)
    assert found["parsed"] == {"page": 4}


def test_a_field_that_is_left_empty_stays_empty() -> None:
    found: Any = model(told(answer=WEIGHT, remark=None)).with_structured_output(Told).invoke(QUESTION, GIVEN)
    assert (found.answer, found.remark) == (WEIGHT, None)


def test_where_text_stands_within_a_field_somebody_has_to_say_what_is_judged() -> None:
    with pytest.raises(ConfigurationError, match="parts"):
        model().with_structured_output(Nested)
    free: dict[str, Any] = {"title": "Any", "description": "Anything.", "type": "object"}
    with pytest.raises(ConfigurationError, match="name the fields"):
        model().with_structured_output(free)
    assert model().with_structured_output(Nested, judge=()) is not None
