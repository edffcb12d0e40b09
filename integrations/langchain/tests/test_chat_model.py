from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream
from pydantic import BaseModel, Field

from langchain_ragguard.chat_models import GuardedChatModel
from langchain_ragguard.middleware import RagGuardMiddleware
from langchain_ragguard.tools import guarded_retriever_tool
from ragguard import ConsistencyGuard, Passage, Stage, Turn, Verdict
from ragguard.alignment.lexical import LexicalAligner
from ragguard.errors import ConfigurationError, DuplicateIdError, InvalidValueError, RefusalError
from ragguard.testing import ScriptedGuard
from ragguard.types import Action

from .provider import ScriptedProvider

PASSAGES = [
    Document(id="weight", page_content="The lamp weighs 4 kilograms."),
    Document(id="colour", page_content="The lamp is green."),
]
QUESTION = "How heavy is the lamp, and what colour has it?"
WEIGHT = "The lamp weighs 4 kilograms."
COLOUR = "The lamp is green."
FALSE = "The lamp is a purple zyzzyva."
SECRET = "zyzzyva"
NOTHING = "I don't know: No passage of the knowledge base is close enough to count as evidence."
REFUSAL = "I can't show an answer to this: At least one claim is not supported by the passages kept."


def guarded(*answers: str | AIMessage, **options: Any) -> GuardedChatModel:
    made = {"guard": ConsistencyGuard(LexicalAligner()), **options}
    return GuardedChatModel(inner=ScriptedProvider(answers=answers), **made)


def given(model: GuardedChatModel) -> Any:
    return model.bind(passages=PASSAGES)


def everything(message: BaseMessage) -> str:
    return json.dumps(message.model_dump(mode="json"), default=str)


async def all_ways(model: Any, asked: Any = QUESTION, config: Any = None) -> list[AIMessage]:
    """The message by invoke, ainvoke, stream and astream."""
    streamed = [sum_of(list(model.stream(asked, config)))]
    streamed.append(sum_of([chunk async for chunk in model.astream(asked, config)]))
    return [model.invoke(asked, config), await model.ainvoke(asked, config), *streamed]


def sum_of(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    return whole


# What leaves


@pytest.mark.parametrize("mode", ["withhold", "sentence"])
async def test_a_supported_answer_leaves_whole(mode: str) -> None:
    for message in await all_ways(given(guarded(f"{WEIGHT} {COLOUR}", mode=mode))):
        assert message.text == f"{WEIGHT} {COLOUR}"
        said = message.response_metadata["ragguard"]
        assert (said["judged"], said["released"], said["reason"]) == (True, True, "ok")
        assert said["passages"] == ["weight", "colour"]
        json.dumps(said)


async def test_of_a_refused_answer_only_the_guards_message_leaves() -> None:
    for message in await all_ways(given(guarded(f"{WEIGHT} {FALSE}"))):
        assert message.text == REFUSAL
        assert SECRET not in everything(message)
        assert message.response_metadata["ragguard"]["released"] is False


async def test_sentences_leave_as_they_are_judged_and_after_a_refusal_nothing_more() -> None:
    model = given(guarded(f"{WEIGHT} {COLOUR} {FALSE} {WEIGHT} And so on.", mode="sentence"))
    assert [c.text for c in model.stream(QUESTION) if c.text] == [f"{WEIGHT} ", f"{COLOUR} ", REFUSAL]
    for message in await all_ways(model):
        assert message.text == f"{WEIGHT} {COLOUR} {REFUSAL}"
        assert SECRET not in everything(message)


def test_withheld_means_that_nothing_comes_before_the_whole_was_judged() -> None:
    model = guarded(f"{WEIGHT} {COLOUR}")
    assert [c.text for c in given(model).stream(QUESTION) if c.text] == [f"{WEIGHT} {COLOUR}"]


@pytest.mark.parametrize("mode", ["withhold", "sentence"])
async def test_of_a_redacted_answer_the_rest_leaves(mode: str) -> None:
    model = given(guarded(f"{WEIGHT} {FALSE} {COLOUR}", policy="redact", mode=mode))
    for message in await all_ways(model):
        assert " ".join(message.text.split()) == f"{WEIGHT} {COLOUR}"
        assert SECRET not in everything(message)


def test_an_annotated_answer_leaves_with_citations_as_data() -> None:
    message = given(guarded(f"{WEIGHT} {FALSE}", policy="annotate")).invoke(QUESTION)
    assert message.text == f"{WEIGHT} {FALSE}"
    assert message.response_metadata["ragguard"]["citations"]
    json.dumps(message.response_metadata)


async def test_an_abstention_becomes_the_guards() -> None:
    for message in await all_ways(given(guarded("I don't know."))):
        assert message.response_metadata["ragguard"]["reason"] == "model_abstained"
        assert message.text.startswith("I don't know:")


@pytest.mark.parametrize("mode", ["withhold", "sentence"])
def test_a_refusal_is_raised_where_that_is_wanted(mode: str) -> None:
    model = given(guarded(f"{WEIGHT} {FALSE}", mode=mode, policy="raise"))
    with pytest.raises(RefusalError) as raised:
        model.invoke(QUESTION)
    assert SECRET not in f"{raised.value} {raised.value.details}"
    shown: list[str] = []
    with pytest.raises(RefusalError):
        shown.extend(chunk.text for chunk in model.stream(QUESTION))


def loud(text: str) -> AIMessage:
    """Says a text in every way there is."""
    return AIMessage(
        content=[
            {"type": "reasoning", "reasoning": f"I think: {text}"},
            {"type": "thinking", "thinking": text, "signature": text},
            {"type": "text", "text": text, "annotations": [{"type": "citation", "cited_text": text}]},
            {"type": "image", "base64": text},
            {"type": "non_standard", "value": {"refusal": text}},
        ],
        additional_kwargs={"reasoning_content": text, "refusal": text, "audio": {"transcript": text}},
        response_metadata={
            "logprobs": {"content": [{"token": text}]},
            "finish_reason": text,
            "model_name": "scripted",
            "choices": [{"message": text}],
        },
        invalid_tool_calls=[
            {
                "type": "invalid_tool_call",
                "id": "1",
                "name": "answer",
                "args": f'{{"text": "{text}',
                "error": text,
            }
        ],
        name="scripted",
    )


@pytest.mark.parametrize("mode", ["withhold", "sentence"])
@pytest.mark.parametrize("tools", [False, True])
async def test_nothing_withheld_leaves_by_another_channel(mode: str, tools: bool) -> None:
    model: Any = GuardedChatModel(
        inner=ScriptedProvider(answers=[loud(FALSE)], others=[AIMessage(FALSE), loud(FALSE)]),
        guard=ConsistencyGuard(LexicalAligner()),
        mode=mode,
    )
    if tools:
        model = model.bind_tools([{"name": "search", "description": "", "parameters": {}}])
    for message in await all_ways(model.bind(passages=PASSAGES)):
        assert SECRET not in everything(message)
    results = [
        given(guarded(loud(FALSE), mode=mode)).bound.generate([[HumanMessage(QUESTION)]]),
        await given(guarded(loud(FALSE), mode=mode)).bound.agenerate([[HumanMessage(QUESTION)]]),
    ]
    assert SECRET not in str(results)


async def test_of_several_candidates_the_first_is_judged_and_the_others_stay() -> None:
    inner = ScriptedProvider(answers=[WEIGHT], others=[AIMessage(FALSE)])
    model = GuardedChatModel(inner=inner, guard=ConsistencyGuard(LexicalAligner()))
    result = await model.agenerate([[HumanMessage(QUESTION)]], passages=PASSAGES, n=2)
    assert [[g.text for g in one] for one in result.generations] == [[WEIGHT]]
    assert inner.asked[-1][1] == {"n": 2}


def test_what_leaves_of_the_facts_are_names_and_numbers() -> None:
    message = given(
        guarded(AIMessage(WEIGHT, response_metadata={"system_fingerprint": "fp_1", "more": "x"}))
    ).invoke(QUESTION)
    assert set(message.response_metadata) == {"system_fingerprint", "model_name", "finish_reason", "ragguard"}
    assert message.usage_metadata["output_tokens"] == len(WEIGHT) + 1


async def test_what_the_model_raises_is_raised() -> None:
    model = GuardedChatModel(
        inner=ScriptedProvider(answers=[f"{WEIGHT} {FALSE}"], error=RuntimeError("connection lost")),
        guard=ConsistencyGuard(LexicalAligner()),
        mode="sentence",
    ).bind(passages=PASSAGES)
    for call in (lambda: model.invoke(QUESTION), lambda: list(model.stream(QUESTION))):
        with pytest.raises(RuntimeError, match="connection lost"):
            call()
    with pytest.raises(RuntimeError, match="connection lost"):
        await model.ainvoke(QUESTION)
    with pytest.raises(RuntimeError, match="connection lost"):
        _ = [chunk async for chunk in model.astream(QUESTION)]


def test_a_chain_that_gives_no_messages_is_an_error() -> None:
    model = GuardedChatModel(inner=RunnableLambda(lambda _: FALSE), guard=ConsistencyGuard(LexicalAligner()))
    with pytest.raises(InvalidValueError) as raised:
        model.invoke(QUESTION)
    assert SECRET not in str(raised.value)


def test_a_guard_that_judges_no_answer_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        guarded(WEIGHT, guard=ScriptedGuard(Stage.PASSAGES))


# Tools

CALL = AIMessage("", tool_calls=[{"name": "search", "args": {"query": "lamp weight"}, "id": "c1"}])


@pytest.mark.parametrize("mode", ["withhold", "sentence"])
async def test_a_message_of_tool_calls_alone_is_passed_on_unjudged(mode: str) -> None:
    guard = ScriptedGuard(Stage.ANSWER, does=Action.REFUSE)
    for message in await all_ways(guarded(CALL, mode=mode, guard=guard)):
        assert [(c["name"], c["args"], c["id"]) for c in message.tool_calls] == [
            ("search", {"query": "lamp weight"}, "c1")
        ]
        assert message.text == ""
        assert "ragguard" not in message.response_metadata
    assert guard.seen == []


def test_a_tool_calls_pieces_come_out_as_they_come() -> None:
    pieces = [c for chunk in guarded(CALL).stream(QUESTION) for c in chunk.tool_call_chunks]
    assert len(pieces) > 3
    assert "".join(c["args"] for c in pieces) == '{"query": "lamp weight"}'


@pytest.mark.parametrize("mode", ["withhold", "sentence"])
@pytest.mark.parametrize(("text", "shown"), [(FALSE, ""), (f"{WEIGHT} {FALSE}", None), (WEIGHT, WEIGHT)])
async def test_text_beside_a_tool_call_leaves_if_it_is_released(
    mode: str, text: str, shown: str | None
) -> None:
    message = CALL.model_copy(update={"content": text})
    model = guarded(message, mode=mode).bind_tools([{"name": "search", "description": "", "parameters": {}}])
    for found in await all_ways(model.bind(passages=PASSAGES)):
        assert [c["args"] for c in found.tool_calls] == [{"query": "lamp weight"}]
        assert found.text == shown if shown is not None else found.text in ("", f"{WEIGHT} ")
        assert SECRET not in everything(found)


async def test_several_calls_stay_apart() -> None:
    calls = [{"name": "search", "args": {"query": word}, "id": word} for word in ("weight", "colour")]
    for message in await all_ways(guarded(AIMessage("", tool_calls=calls))):
        assert [c["args"]["query"] for c in message.tool_calls] == ["weight", "colour"]


def test_tools_are_bound_to_the_model_inside() -> None:
    model = guarded(WEIGHT)
    bound = model.bind_tools([{"name": "search", "description": "", "parameters": {}}], tool_choice="search")
    bound.invoke(QUESTION, passages=PASSAGES)
    assert model.inner.asked[-1][1]["tool_choice"] == "search"
    assert bound.bound.guard is model.guard


class Found(BaseModel):
    """What was found."""

    answer: str
    page: int


def found_of(text: str) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": "Found", "args": {"answer": text, "page": 3}, "id": "f1"}])


@pytest.mark.parametrize("judge", [None, ["answer"]])
async def test_fields_of_a_structured_answer_are_judged(judge: Any) -> None:
    for text, shown in ((WEIGHT, WEIGHT), (FALSE, REFUSAL)):
        structured = guarded(found_of(text)).with_structured_output(Found, judge=judge)
        config = {"configurable": {"ragguard_passages": PASSAGES}}
        assert structured.invoke(QUESTION, config) == Found(answer=shown, page=3)
        assert await structured.ainvoke(QUESTION, config) == Found(answer=shown, page=3)
    model = guarded(found_of(FALSE), judged_arguments={"Found": ("answer",)}).bind(passages=PASSAGES)
    for message in await all_ways(model):
        assert SECRET not in everything(message)
        assert message.response_metadata["ragguard"]["arguments"][0]["released"] is False
    with pytest.raises(RefusalError):
        guarded(found_of(FALSE), judged_arguments={"Found": ("answer",)}, policy="raise").invoke(
            QUESTION, passages=PASSAGES
        )


def test_a_structured_answer_is_a_tool_call_like_any_other_where_that_is_said() -> None:
    structured = guarded(found_of(FALSE)).with_structured_output(Found, judge=())
    assert structured.invoke(QUESTION) == Found(answer=FALSE, page=3)


# Evidence


def asked_with(*messages: BaseMessage) -> list[BaseMessage]:
    return [SystemMessage("Answer."), HumanMessage(QUESTION), *messages]


def searched(*documents: Document, **more: Any) -> ToolMessage:
    return ToolMessage("found", tool_call_id="c1", name="search", artifact=list(documents), **more)


def shown(model: Any, messages: Any, config: Any = None) -> str:
    return str(model.invoke(messages, config).text)


def test_what_a_tool_found_since_the_question_is_evidence() -> None:
    model = guarded(WEIGHT)
    assert shown(model, asked_with(CALL, searched(*PASSAGES))) == WEIGHT
    earlier = [HumanMessage("How heavy?"), CALL, searched(*PASSAGES), AIMessage(WEIGHT)]
    assert shown(model, [*earlier, *asked_with()]) == NOTHING, "evidence of an earlier question"
    assert shown(guarded(WEIGHT, reach="thread"), [*earlier, *asked_with()]) == WEIGHT
    assert shown(model, asked_with(CALL, searched(*PASSAGES, status="error"))) == NOTHING, "of a failed tool"


def test_only_the_tools_named_give_evidence() -> None:
    text = ToolMessage(WEIGHT, tool_call_id="c1", name="search")
    assert shown(guarded(WEIGHT, retrieval_tools=("search",)), asked_with(CALL, text)) == WEIGHT
    assert (
        shown(guarded(WEIGHT, retrieval_tools=("other",)), asked_with(CALL, searched(*PASSAGES))) == NOTHING
    )


async def test_after_a_guarded_retrieval_that_found_nothing_no_answer_is_shown(guarded: Any) -> None:
    search = guarded_retriever_tool(guarded, "search", "records")
    call = {"name": "search", "args": {"query": "Who painted the ceiling?"}, "id": "c1", "type": "tool_call"}
    found = search.invoke(call)
    inner = ScriptedProvider(answers=["The ceiling was painted by Giotto."])
    for mode in ("withhold", "sentence"):
        model = GuardedChatModel(inner=inner, guard=guarded.guard, mode=mode)
        for message in await all_ways(model, asked_with(CALL, found)):
            assert message.text == NOTHING
            assert message.response_metadata["ragguard"]["reason"] == "no_evidence"


def test_the_promise_of_a_guarded_retrieval_stays_with_the_answer(guarded: Any) -> None:
    search = guarded_retriever_tool(guarded, "search", "records")
    call = {
        "name": "search",
        "args": {"query": "What is the hardness of nickel?"},
        "id": "c1",
        "type": "tool_call",
    }
    answer = "The hardness of nickel is listed in table nickel hardness."
    model = GuardedChatModel(inner=ScriptedProvider(answers=[answer]), guard=guarded.guard)
    message = model.invoke([HumanMessage("How hard is nickel?"), CALL, search.invoke(call)])
    assert message.text == answer
    assert message.response_metadata["ragguard"]["certificates"] == {"retrieval": "valid"}


@pytest.mark.parametrize(
    "passages", [PASSAGES, PASSAGES[0], WEIGHT, [WEIGHT, COLOUR], [Passage(id="a", text=WEIGHT)]]
)
def test_passages_may_be_given_for_a_call(passages: Any) -> None:
    assert shown(guarded(WEIGHT).bind(passages=passages), QUESTION) == WEIGHT
    assert shown(guarded(WEIGHT), QUESTION, {"configurable": {"ragguard_passages": passages}}) == WEIGHT


def test_what_is_given_goes_before_what_was_found() -> None:
    model = guarded(COLOUR).bind(passages=PASSAGES[:1])
    assert shown(model, asked_with(CALL, searched(*PASSAGES))) == REFUSAL


def test_odd_passages_are_errors_that_quote_nothing() -> None:
    with pytest.raises(InvalidValueError):
        guarded(WEIGHT).invoke(QUESTION, passages=[3])
    with pytest.raises(DuplicateIdError):
        guarded(WEIGHT).invoke(QUESTION, passages=[PASSAGES[0], Document(id="weight", page_content="Other.")])


async def test_without_evidence_no_answer_is_shown_unless_none_is_required() -> None:
    for message in await all_ways(guarded(WEIGHT)):
        assert message.text == NOTHING
    free = guarded(FALSE, require_evidence=False)
    for message in await all_ways(free):
        assert message.text == FALSE
        assert "ragguard" not in message.response_metadata
    for messages in (asked_with(CALL, searched()), asked_with(CALL, searched(*PASSAGES))):
        assert shown(free, messages) == REFUSAL, "found nothing, or nothing that supports it"


async def test_a_callable_may_say_what_is_judged() -> None:
    threads: list[int] = []

    def extracted(messages: Any) -> Turn | None:
        threads.append(threading.get_ident())
        if "free" in messages[-1].text:
            return None
        return Turn(question="How heavy?", passages=(Passage(id="a", text=messages[0].text),))

    model = guarded(WEIGHT, FALSE, context_extractor=extracted)
    assert (await model.ainvoke([SystemMessage(WEIGHT), HumanMessage("?")])).text == WEIGHT
    assert threading.get_ident() not in threads
    assert model.invoke("free").text == FALSE


def test_guards_see_the_question_and_the_conversation_before_it() -> None:
    guard = ScriptedGuard(Stage.ANSWER)
    asked = [HumanMessage("Hello"), AIMessage("Hi"), *asked_with()]
    guarded(WEIGHT, guard=guard).invoke(asked, passages=PASSAGES)
    ((_, turn),) = guard.seen
    assert turn.question == QUESTION
    assert [(m.role, m.text) for m in turn.history] == [
        ("user", "Hello"), ("assistant", "Hi"), ("system", "Answer.")
    ]  # fmt: skip


# Asynchrony, streams that end early, tracing


async def test_no_guard_runs_on_the_event_loops_thread() -> None:
    guard = ScriptedGuard(Stage.ANSWER, seconds=0.01)
    model = guarded(f"{WEIGHT} {COLOUR} {WEIGHT}", guard=guard, mode="sentence").bind(passages=PASSAGES)
    await asyncio.gather(*(model.ainvoke(QUESTION) for _ in range(5)))
    _ = [chunk async for chunk in model.astream(QUESTION)]
    assert guard.threads
    assert threading.get_ident() not in guard.threads


async def test_each_of_many_calls_is_judged_by_its_own_passages() -> None:
    def echoed(messages: Any, _: Any) -> str:
        return f"The lamp weighs {messages[-1].text} kilograms."

    model = GuardedChatModel(inner=ScriptedProvider(answers=echoed), guard=ConsistencyGuard(LexicalAligner()))

    async def one(number: int, true: int) -> str:
        config: Any = {"configurable": {"ragguard_passages": [f"The lamp weighs {true} kilograms."]}}
        return str((await model.ainvoke(str(number), config)).text)

    found = await asyncio.gather(*(one(n, n if n % 2 else n + 1) for n in range(50)))
    assert [text != REFUSAL for text in found] == [bool(n % 2) for n in range(50)]


def test_a_stream_that_is_given_up_closes_the_models() -> None:
    model = guarded(f"{WEIGHT} {COLOUR} " * 20, mode="sentence")
    stream = given(model).stream(QUESTION)
    next(stream)
    assert model.inner.streams["ended"] == 0
    stream.close()
    assert model.inner.streams["ended"] == 1
    assert model.inner.streams["pieces"] < 60


class Slow(ScriptedProvider):
    """Waits between two pieces, and tells that it has begun."""

    begun: Any = Field(default_factory=asyncio.Event)

    async def _astream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        for piece in self._stream(messages, stop, **kwargs):
            self.begun.set()
            await asyncio.sleep(0)
            yield piece


async def test_an_asynchronous_stream_that_is_given_up_or_cancelled_closes_the_models() -> None:
    inner = Slow(answers=[f"{WEIGHT} {COLOUR} " * 100])
    model = GuardedChatModel(inner=inner, guard=ConsistencyGuard(LexicalAligner()), mode="sentence")
    stream = given(model).astream(QUESTION)
    await anext(stream)
    await stream.aclose()
    await asyncio.sleep(0.05)
    inner.begun.clear()
    assert (inner.streams["opened"], inner.streams["ended"]) == (1, 1)

    async def read() -> None:
        async for _ in given(model).astream(QUESTION):
            pass

    for call in (read(), given(model).ainvoke(QUESTION, stream=True)):
        task = asyncio.create_task(call)
        await inner.begun.wait()
        inner.begun.clear()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.05)
        assert inner.streams["opened"] == inner.streams["ended"]
    assert inner.streams["pieces"] < 3 * len(f"{WEIGHT} {COLOUR} " * 100) / 3


def test_after_a_refused_sentence_the_model_is_not_asked_for_more() -> None:
    model = guarded(f"{FALSE} {WEIGHT} " + f"{COLOUR} " * 50, mode="sentence")
    assert sum_of(list(given(model).stream(QUESTION))).text == REFUSAL
    assert model.inner.streams["ended"] == 1
    assert model.inner.streams["pieces"] < 60


class Listening(BaseCallbackHandler):
    """A user's own handler that shows tokens."""

    def __init__(self) -> None:
        self.heard = ""
        self.starts = 0

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.starts += 1

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.heard += str(token) + str(kwargs.get("chunk"))

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.heard += str(response)


async def test_a_tracer_sees_the_models_run_under_the_guarded_one_and_other_handlers_do_not() -> None:
    for way in ("invoke", "ainvoke", "stream", "astream"):
        tracer, listening = RunCollectorCallbackHandler(), Listening()
        model, config = given(guarded(FALSE, mode="sentence")), {"callbacks": [tracer, listening]}
        if way == "invoke":
            model.invoke(QUESTION, config)
        elif way == "ainvoke":
            await model.ainvoke(QUESTION, config)
        elif way == "stream":
            list(model.stream(QUESTION, config))
        else:
            _ = [c async for c in model.astream(QUESTION, config)]
        assert SECRET not in listening.heard
        assert listening.starts == 1
        (outer,) = tracer.traced_runs
        (inner,) = outer.child_runs
        assert SECRET in json.dumps(inner.outputs, default=str), way
        assert SECRET not in json.dumps(outer.outputs, default=str)


def test_a_handler_may_be_declared_a_tracer() -> None:
    listening = Listening()
    given(guarded(FALSE, tracers=(listening,))).invoke(QUESTION)
    assert SECRET in listening.heard


# As a chat model


def test_it_says_of_itself_what_the_model_inside_says() -> None:
    inner = ScriptedProvider(answers=[WEIGHT], profile={"structured_output": True, "tool_calling": True})
    model = GuardedChatModel(inner=inner, guard=ConsistencyGuard(LexicalAligner()))
    assert model.profile == {"tool_calling": True}
    assert model._get_ls_params()["ls_model_name"] == "scripted"
    assert SECRET not in repr(model._identifying_params)


def test_a_judged_answer_is_not_cached() -> None:
    from langchain_core.caches import InMemoryCache
    from langchain_core.globals import set_llm_cache

    set_llm_cache(InMemoryCache())
    try:
        model = guarded(WEIGHT)
        assert shown(model.bind(passages=PASSAGES), QUESTION) == WEIGHT
        config = {"configurable": {"ragguard_passages": [COLOUR]}}
        assert shown(model, QUESTION, config) == REFUSAL
        assert len(model.inner.asked) == 1, "the model's own answer may be"
    finally:
        set_llm_cache(None)


def test_a_guard_that_lets_parts_out_is_asked_about_parts() -> None:
    class Holding(ScriptedGuard):
        def check(self, turn: Turn, stage: Stage, /) -> Verdict:
            verdict = super().check(turn, stage)
            return verdict.model_copy(update={"details": {"hold": 4}}) if stage is Stage.STREAM else verdict

    guard = Holding(Stage.ANSWER, Stage.STREAM)
    texts = [
        c.text for c in given(guarded(f"{WEIGHT} {COLOUR}", guard=guard, mode="sentence")).stream(QUESTION)
    ]
    assert next(t for t in texts if t) == WEIGHT[:4]
    assert "".join(texts) == f"{WEIGHT} {COLOUR}"


@pytest.mark.parametrize("mode", ["withhold", "sentence"])
@pytest.mark.parametrize(
    "answer",
    [f"{WEIGHT} {COLOUR}", f"{WEIGHT} {FALSE}", CALL, loud(FALSE)],
    ids=["shown", "refused", "call", "loud"],
)
async def test_its_protocol_events_obey_the_protocol(mode: str, answer: Any) -> None:
    model = guarded(answer, mode=mode)
    events = list(model.stream_events(QUESTION, version="v3", passages=PASSAGES))
    aevents = [e async for e in await model.astream_events(QUESTION, version="v3", passages=PASSAGES)]
    for seen in (events, aevents):
        assert seen
        assert_valid_event_stream(seen)
        assert SECRET not in json.dumps(seen)


async def test_a_middleware_takes_what_was_judged_as_it_is_and_judges_what_was_not() -> None:
    @tool(response_format="content_and_artifact")
    def search(query: str) -> tuple[str, list[Document]]:
        """Search the handbook."""
        return WEIGHT, PASSAGES

    guard = ConsistencyGuard(LexicalAligner())
    asked: Any = {"messages": [HumanMessage(QUESTION)]}
    for extract, shown in (None, f"{WEIGHT} {REFUSAL}"), (lambda _: None, REFUSAL):
        for where in ("sync", "async"):
            model = guarded(CALL, f"{WEIGHT} {FALSE}", mode="sentence", context_extractor=extract)
            agent = create_agent(model, [search], middleware=[RagGuardMiddleware(guard)])
            state = agent.invoke(asked) if where == "sync" else await agent.ainvoke(asked)
            assert state["messages"][-1].text == shown
