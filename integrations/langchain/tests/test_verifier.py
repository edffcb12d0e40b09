from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from operator import itemgetter
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import (
    ConfigurableField,
    Runnable,
    RunnableConfig,
    RunnableGenerator,
    RunnableLambda,
    RunnablePassthrough,
)

from langchain_ragguard import GuardedChatModel, GuardedRetriever, RagGuardVerifier
from langchain_ragguard.testing.surfaces import arecord, leaks, record
from ragguard import (
    Action,
    ConsistencyGuard,
    Evidence,
    Guard,
    Pipeline,
    RefusalError,
    Report,
    Stage,
    Turn,
    Verdict,
)
from ragguard.alignment.lexical import LexicalAligner
from ragguard.errors import ConfigurationError, DuplicateIdError, InvalidValueError
from ragguard.testing import ScriptedGuard

CONTEXT = [Document(page_content="The hardness of nickel is 4 on the scale of Mohs.")]
QUESTION = "What is the hardness of nickel?"
TRUE = "The hardness of nickel is 4 on the scale of Mohs."
FALSE = "The hardness of nickel is 9 and bananas are purple."
GIVEN = {"question": QUESTION, "context": CONTEXT}


def guard(**options: Any) -> RagGuardVerifier:
    return RagGuardVerifier(guard=ConsistencyGuard(LexicalAligner()), **options)


def answering(text: str) -> Runnable[dict[str, Any], dict[str, Any]]:
    """A chain whose model says the text, character by character where it streams."""
    prompt = ChatPromptTemplate.from_template("{question} {context}")
    return RunnablePassthrough.assign(answer=prompt | FakeListChatModel(responses=[text]) | StrOutputParser())


def assert_withheld(found: dict[str, Any]) -> None:
    assert found["released"] is False
    everything = json.dumps(found)
    assert "banana" not in everything
    assert "purple" not in everything
    assert " 9" not in everything
    assert found["answer"].startswith("I can't show")


# One at a time


async def test_a_supported_answer_is_passed_on() -> None:
    for found in (
        guard().invoke({**GIVEN, "answer": TRUE}),
        await guard().ainvoke({**GIVEN, "answer": TRUE}),
    ):
        assert (found["answer"], found["released"]) == (TRUE, True)
        assert Report.model_validate(found["ragguard"]).text == TRUE
        assert set(found) == {"answer", "released", "ragguard"}


async def test_of_an_unsupported_answer_nothing_is_passed_on() -> None:
    assert_withheld(guard().invoke({**GIVEN, "answer": FALSE}))
    assert_withheld(await guard().ainvoke({**GIVEN, "answer": FALSE}))


def test_of_a_redacted_answer_what_was_cut_out_is_not_passed_on() -> None:
    redacting = RagGuardVerifier(guard=ConsistencyGuard(LexicalAligner(), policy="redact"))
    found = redacting.invoke({**GIVEN, "answer": f"{TRUE} Bananas are purple."})
    assert found["released"] is True
    assert found["answer"].strip() == TRUE
    assert "purple" not in json.dumps(found)


def test_the_policy_says_what_becomes_of_an_answer_that_fails() -> None:
    given = {**GIVEN, "answer": f"{TRUE} Bananas are purple."}
    assert guard(policy="refuse").invoke(given)["answer"].startswith("I can't show")
    assert guard(policy="redact").invoke(given)["answer"].strip() == TRUE
    assert guard(policy="annotate").invoke(given)["answer"] == given["answer"]
    with pytest.raises(RefusalError):
        guard(policy="raise").invoke(given)
    with pytest.raises(ConfigurationError, match="redact"):
        RagGuardVerifier(guard=ScriptedGuard(Stage.ANSWER), policy="redact")


@pytest.mark.parametrize(
    "context", [CONTEXT, CONTEXT[0], CONTEXT[0].page_content, [CONTEXT[0].page_content], (*CONTEXT, "More.")]
)
def test_the_context_may_be_documents_or_text(context: Any) -> None:
    assert guard().invoke({"question": QUESTION, "context": context, "answer": TRUE})["released"]


def test_an_answer_may_be_a_message_and_the_keys_may_differ() -> None:
    renamed = guard(question_key="q", context_key="docs", answer_key="reply")
    assert renamed.invoke({"q": QUESTION, "docs": CONTEXT, "reply": AIMessage(TRUE)})["answer"] == TRUE


def test_without_context_nothing_is_released() -> None:
    assert not guard().invoke({**GIVEN, "context": [], "answer": TRUE})["released"]


@pytest.mark.parametrize("missing", ["question", "context", "answer"])
def test_a_missing_key_is_an_error_that_names_it(missing: str) -> None:
    given = {**GIVEN, "answer": TRUE}
    del given[missing]
    with pytest.raises(InvalidValueError, match=missing):
        guard().invoke(given)


@pytest.mark.parametrize("wrong", [{"answer": 3}, {"context": 3}, {"context": [3]}, {"question": ["a"]}])
def test_a_value_of_another_kind_is_an_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError):
        guard().invoke({**GIVEN, "answer": TRUE, **wrong})


def test_two_texts_under_one_name_are_an_error() -> None:
    context = [Document(id="a", page_content="one"), Document(id="a", page_content="two")]
    with pytest.raises(DuplicateIdError):
        guard().invoke({**GIVEN, "context": context, "answer": TRUE})


@pytest.mark.parametrize("guards", [[], Pipeline([]), "a/folder", 3, Guard(None, guards=[])])
def test_guards_that_judge_no_answer_are_refused(guards: Any) -> None:
    with pytest.raises(ConfigurationError):
        RagGuardVerifier(guard=guards)


# Many


@pytest.mark.parametrize("where", ["sync", "async"])
async def test_a_batch_is_judged_in_order(where: str) -> None:
    inputs = [{**GIVEN, "answer": text} for text in (TRUE, FALSE, TRUE)]
    found = guard().batch(inputs) if where == "sync" else await guard().abatch(inputs)
    assert [one["released"] for one in found] == [True, False, True]


class Counting:
    name, stages = "counting", frozenset({Stage.ANSWER})

    def __init__(self) -> None:
        self.now = self.most = 0
        self.threads: set[int] = set()
        self._lock = threading.Lock()
        self._inner = ConsistencyGuard(LexicalAligner())

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.threads.add(threading.get_ident())
        verdict = self._inner.check(turn, stage)
        with self._lock:
            self.now -= 1
        return verdict

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        raise NotImplementedError


def test_a_batch_does_not_crowd_the_scorer_and_returns_errors_when_asked() -> None:
    counting = Counting()
    inputs: list[dict[str, Any]] = [{**GIVEN, "answer": TRUE}] * 40
    found = RagGuardVerifier(guard=counting).batch([*inputs, {}], return_exceptions=True)
    assert counting.most <= 4
    assert isinstance(found[-1], InvalidValueError)
    assert guard().batch([]) == []


class Passes(LexicalAligner):
    """Counts the passes of its scorer, and the claims in each."""

    def __init__(self) -> None:
        super().__init__()
        self.passes: list[int] = []

    def align_many(self, answers: Any, /) -> list[list[Evidence]]:
        self.passes.append(sum(len(claims) for claims, _, _ in answers))
        return [super(Passes, self).align(c, p, question=q) for c, p, q in answers]

    def align(self, claims: Any, passages: Any, /, *, question: str = "") -> list[Evidence]:
        return self.align_many([(claims, passages, question)])[0]


@pytest.mark.parametrize("where", ["sync", "async"])
async def test_a_batch_goes_through_the_scorer_in_one_pass(where: str) -> None:
    aligner = Passes()
    verifier = RagGuardVerifier(guard=ConsistencyGuard(aligner))
    inputs = [{**GIVEN, "answer": f"{TRUE} {FALSE}" if i % 2 else TRUE} for i in range(20)]
    alone = [verifier.invoke(one)["released"] for one in inputs]
    assert len(aligner.passes) == 20
    aligner.passes.clear()
    found = verifier.batch(inputs) if where == "sync" else await verifier.abatch(inputs)
    assert aligner.passes == [30]
    assert [one["released"] for one in found] == alone
    aligner.passes.clear()
    few: RunnableConfig = {"max_concurrency": 8}
    found = verifier.batch(inputs, few) if where == "sync" else await verifier.abatch(inputs, few)
    assert aligner.passes == [12, 12, 6]
    assert [one["released"] for one in found] == alone


async def test_a_batch_of_a_whole_chain_is_one_pass_too() -> None:
    aligner = Passes()
    chain = answering(TRUE) | RagGuardVerifier(guard=ConsistencyGuard(aligner))
    assert all(found["released"] for found in await chain.abatch([dict(GIVEN)] * 6))
    assert aligner.passes == [6]


@pytest.mark.parametrize("where", ["sync", "async"])
async def test_what_is_wrong_with_one_of_a_batch_is_raised_or_returned_in_its_place(where: str) -> None:
    inputs = [{**GIVEN, "answer": TRUE}, {**GIVEN}, {**GIVEN, "answer": FALSE}]
    strict = guard(policy="raise")
    if where == "sync":
        found = strict.batch(inputs, return_exceptions=True)
        with pytest.raises(InvalidValueError):
            strict.batch(inputs)
    else:
        found = await strict.abatch(inputs, return_exceptions=True)
        with pytest.raises(InvalidValueError):
            await strict.abatch(inputs)
    assert found[0]["released"]
    assert [type(one) for one in found[1:]] == [InvalidValueError, RefusalError]


# In a stream


def test_at_the_end_of_a_stream_the_answer_comes_once() -> None:
    (only,) = (answering(TRUE) | guard()).stream(dict(GIVEN))
    assert (only["answer"], only["released"]) == (TRUE, True)


async def test_at_the_end_of_an_asynchronous_stream_the_answer_comes_once() -> None:
    (only,) = [chunk async for chunk in (answering(TRUE) | guard()).astream(dict(GIVEN))]
    assert (only["answer"], only["released"]) == (TRUE, True)


def test_of_a_refused_answer_nothing_is_streamed() -> None:
    (only,) = (answering(FALSE) | guard()).stream(dict(GIVEN))
    assert_withheld(only)


async def test_of_a_refused_answer_nothing_is_streamed_asynchronously() -> None:
    (only,) = [chunk async for chunk in (answering(FALSE) | guard()).astream(dict(GIVEN))]
    assert_withheld(only)


async def test_in_the_middle_of_a_stream_the_rest_sees_the_judged_answer() -> None:
    def letters(chunks: Iterator[dict[str, Any]]) -> Iterator[str]:
        for chunk in chunks:
            yield from chunk["answer"]

    async def aletters(chunks: AsyncIterator[dict[str, Any]]) -> AsyncIterator[str]:
        async for chunk in chunks:
            for letter in chunk["answer"]:
                yield letter

    for text, shown in ((TRUE, TRUE), (FALSE, "I can't show")):
        chain = answering(text) | guard() | letters
        pieces = list(chain.stream(dict(GIVEN)))
        assert len(pieces) > 10
        assert "".join(pieces).startswith(shown)
        achain = answering(text) | guard() | aletters
        assert [piece async for piece in achain.astream(dict(GIVEN))] == pieces


async def test_on_its_own_it_streams_too() -> None:
    (only,) = guard().stream({**GIVEN, "answer": TRUE})
    (also,) = [chunk async for chunk in guard().astream({**GIVEN, "answer": TRUE})]
    assert only["answer"] == also["answer"] == TRUE


def test_a_model_that_breaks_off_leaves_nothing_in_the_stream() -> None:
    def breaking(_: Iterator[Any]) -> Iterator[dict[str, Any]]:
        yield {"question": QUESTION}
        yield {"answer": FALSE[:20]}
        raise RuntimeError("connection lost")

    stream = (RunnableLambda(lambda x: x) | breaking | guard()).stream({})
    with pytest.raises(RuntimeError, match="connection lost"):
        next(stream)


def test_a_stream_of_something_else_than_mappings_is_an_error() -> None:
    with pytest.raises(InvalidValueError, match="mapping"):
        list((StrOutputParser() | guard()).stream("text"))


class Watched:
    """A chain's stream of an answer, which notes whether it was closed and how far it was read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.read = 0
        self.closed = False

    def stream(self, _: Iterator[Any]) -> Iterator[dict[str, Any]]:
        try:
            yield dict(GIVEN)
            for letter in self.text:
                self.read += 1
                yield {"answer": letter}
        finally:
            self.closed = True

    async def astream(self, _: AsyncIterator[Any]) -> AsyncIterator[dict[str, Any]]:
        try:
            yield dict(GIVEN)
            for letter in self.text:
                self.read += 1
                await asyncio.sleep(0)
                yield {"answer": letter}
        finally:
            self.closed = True

    def chain(self, **options: Any) -> Runnable[Any, Any]:
        return RunnableGenerator(self.stream, self.astream) | guard(**options)


LONG = " ".join([TRUE] * 4)


async def test_a_stream_given_up_ends_its_upstream_and_shows_nothing_more() -> None:
    watched = Watched(LONG)
    stream = watched.chain(mode="sentence").astream({})
    first = await anext(stream)
    assert TRUE.startswith(first["answer"].strip())
    await stream.aclose()  # type: ignore[attr-defined]
    for _ in range(50):  # LangChain leaves its generators to be collected
        await asyncio.sleep(0)
    assert watched.closed
    assert watched.read < len(LONG)

    kept = Watched(LONG)
    sync = kept.chain(mode="sentence").stream({})
    next(sync)
    sync.close()  # type: ignore[attr-defined]
    assert list(sync) == []
    assert kept.closed
    assert kept.read < len(LONG)


async def test_a_task_cancelled_while_the_answer_is_judged_shows_nothing() -> None:
    judging = threading.Event()

    def dawdling(turn: Turn, stage: Stage) -> Action:
        judging.set()
        time.sleep(0.1)
        return Action.PASS

    slow = ScriptedGuard(Stage.ANSWER, does=dawdling)
    shown: list[Any] = []

    async def follow() -> None:
        shown.extend(
            [chunk async for chunk in RagGuardVerifier(guard=slow).astream({**GIVEN, "answer": TRUE})]
        )

    task = asyncio.create_task(follow())
    await asyncio.to_thread(judging.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert shown == []


async def test_a_task_cancelled_while_the_model_speaks_ends_the_model() -> None:
    speaking, closed = asyncio.Event(), asyncio.Event()

    async def model(_: AsyncIterator[Any]) -> AsyncIterator[dict[str, Any]]:
        try:
            yield {**GIVEN, "answer": f"{TRUE} "}
            speaking.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    shown: list[Any] = []

    async def follow() -> None:
        chain = RunnableGenerator(model) | guard(mode="sentence")
        shown.extend([chunk async for chunk in chain.astream({})])

    task = asyncio.create_task(follow())
    await speaking.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(closed.wait(), 10)
    assert shown == []


# Sentence by sentence


MORE = "Nickel is a metal."
RICH = [Document(page_content=f"{CONTEXT[0].page_content} {MORE}")]


def by_sentence(text: str, **options: Any) -> Runnable[Any, Any]:
    return answering(text) | guard(mode="sentence", **options)


@pytest.mark.parametrize("where", ["sync", "async"])
async def test_each_sentence_comes_out_once_it_is_judged(where: str) -> None:
    asked = {"question": QUESTION, "context": RICH}
    chain = by_sentence(f"{TRUE} {MORE}")
    found = list(chain.stream(asked)) if where == "sync" else [c async for c in chain.astream(asked)]
    assert [chunk["answer"] for chunk in found] == [f"{TRUE} ", MORE]
    whole = found[0] + found[1]
    assert (whole["answer"], whole["released"]) == (f"{TRUE} {MORE}", True)
    assert Report.model_validate(whole["ragguard"]).text == f"{TRUE} {MORE}"


async def test_the_threshold_of_a_claim_is_marked_uncalibrated_in_the_report() -> None:
    (*_, last) = by_sentence(f"{TRUE} {MORE}").stream({"question": QUESTION, "context": RICH})
    marked = {v["guard"]: v["uncalibrated"] for v in last["ragguard"]["verdicts"]}
    assert marked == {"consistency": True, "stream": True}


@pytest.mark.parametrize("where", ["sync", "async"])
async def test_after_a_sentence_that_fails_only_the_message_follows(where: str) -> None:
    chain = by_sentence(f"{TRUE} {FALSE} {TRUE}")
    found = (
        list(chain.stream(dict(GIVEN))) if where == "sync" else [c async for c in chain.astream(dict(GIVEN))]
    )
    first, last = found
    assert first["answer"] == f"{TRUE} "
    assert last["answer"].startswith("\n\nI can't show")
    assert last["released"] is False
    assert "purple" not in json.dumps(found)


async def test_the_rest_of_a_failing_answer_is_not_waited_for() -> None:
    for text in (f"{FALSE} {LONG}", f"{TRUE} {FALSE} {LONG}"):
        watched = Watched(text)
        found = [c async for c in watched.chain(mode="sentence").astream({})]
        assert found[-1]["released"] is False
        assert watched.read < len(text)


def test_a_redacted_answer_goes_on_where_the_shown_part_ended() -> None:
    redacting = ConsistencyGuard(LexicalAligner(), policy="redact")
    chain = answering(f"{TRUE} Bananas are purple. {MORE}") | RagGuardVerifier(
        guard=redacting, mode="sentence"
    )
    found = list(chain.stream({"question": QUESTION, "context": RICH}))
    whole = found[0] + found[1]
    assert whole["answer"].split() == f"{TRUE} {MORE}".split()
    assert whole["released"] is True
    assert "purple" not in json.dumps(found)


def test_context_that_comes_late_is_judged_by_and_nothing_is_shown_before_it() -> None:
    def late(_: Iterator[Any]) -> Iterator[dict[str, Any]]:
        yield {"answer": f"{TRUE} "}
        yield {"question": QUESTION, "context": CONTEXT}
        yield {"answer": f"{MORE} "}
        yield {"context": RICH}
        yield {"answer": TRUE}

    pieces = [c["answer"] for c in (RunnableGenerator(late) | guard(mode="sentence")).stream({})]
    assert "".join(pieces) == f"{TRUE} {MORE} {TRUE}"
    assert pieces[0] == f"{TRUE} "


@pytest.mark.parametrize("missing", ["question", "context", "answer"])
def test_a_stream_that_lacks_a_key_is_an_error_and_shows_nothing(missing: str) -> None:
    def lacking(_: Iterator[Any]) -> Iterator[dict[str, Any]]:
        yield {key: value for key, value in {**GIVEN, "answer": TRUE}.items() if key != missing}

    with pytest.raises(InvalidValueError, match=missing):
        next((RunnableGenerator(lacking) | guard(mode="sentence")).stream({}))


def test_after_a_retrieval_without_evidence_no_sentence_is_streamed(
    guarded: GuardedRetriever, whole: RagGuardVerifier
) -> None:
    given = {"report": guarded.report("Who painted the ceiling?"), "answer": "Bananas are purple."}
    (only,) = RagGuardVerifier(guard=guarded.guard, mode="sentence").stream(given)
    assert only == whole.invoke(given)


async def test_messages_are_streamed_as_text() -> None:
    model = FakeListChatModel(responses=[f"{TRUE} {MORE}"])
    chain = RunnablePassthrough.assign(answer=RunnableLambda(str) | model) | guard(mode="sentence")
    found = [c async for c in chain.astream({"question": QUESTION, "context": RICH})]
    assert [c["answer"] for c in found] == [f"{TRUE} ", MORE]


# A message that calls tools


CALLING = AIMessage("", tool_calls=[{"name": "search", "args": {"q": "x"}, "id": "1"}])


@pytest.mark.parametrize("mode", ["withhold", "sentence"])
async def test_a_message_that_only_calls_tools_passes_unjudged(mode: Any) -> None:
    verifier = guard(mode=mode)
    (chunk,) = verifier.stream({**GIVEN, "answer": CALLING})
    found = await verifier.ainvoke({"answer": CALLING})
    assert chunk == found == {"answer": CALLING, "released": True, "ragguard": None}


def test_text_beside_tool_calls_is_judged() -> None:
    said = CALLING.model_copy(update={"content": FALSE})
    assert_withheld(guard().invoke({**GIVEN, "answer": said}))


# As LangChain's own


class Runs(BaseCallbackHandler):
    def __init__(self) -> None:
        self.started: list[tuple[str, list[str]]] = []
        self.ended = 0
        self.failed: list[BaseException] = []
        self.events: list[tuple[str, Any]] = []

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.started.append((kwargs["name"], kwargs["tags"]))

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.ended += 1

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        self.failed.append(error)

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        self.events.append((name, data))


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "batch", "abatch", "stream", "astream", "sentences"])
async def test_every_way_of_calling_is_one_run_with_its_name_tags_and_decision(how: str) -> None:
    runs = Runs()
    config: RunnableConfig = {"callbacks": [runs], "tags": ["a"], "run_name": "verify"}
    given = {**GIVEN, "answer": FALSE}
    match how:
        case "invoke":
            guard().invoke(given, config)
        case "ainvoke":
            await guard().ainvoke(given, config)
        case "batch":
            guard().batch([given], config)
        case "abatch":
            await guard().abatch([given], config)
        case "stream":
            list(guard().stream(given, config))
        case "astream":
            [c async for c in guard().astream(given, config)]
        case _:
            [c async for c in guard(mode="sentence").astream(given, config)]
    assert runs.started == [("verify", ["a"])]
    assert (runs.ended, runs.failed) == (1, [])
    (event,) = runs.events
    assert event == (
        "ragguard.decision",
        {"action": "refuse", "reason": "unsupported_answer", "released": False},
    )


def test_its_run_is_named_after_the_class_unless_named() -> None:
    runs = Runs()
    guard().invoke({**GIVEN, "answer": TRUE}, {"callbacks": [runs]})
    guard(name="checked").invoke({**GIVEN, "answer": TRUE}, {"callbacks": [runs]})
    assert [name for name, _ in runs.started] == ["RagGuardVerifier", "checked"]


def test_a_refusal_is_data_or_raised_and_then_another_chain_may_answer() -> None:
    strict = guard(policy="raise")
    with pytest.raises(RefusalError):
        strict.invoke({**GIVEN, "answer": FALSE})
    with pytest.raises(RefusalError):
        list(strict.stream({**GIVEN, "answer": FALSE}))
    other = (answering(FALSE) | strict).with_fallbacks([answering(TRUE) | strict])
    assert other.invoke(dict(GIVEN))["answer"] == TRUE


async def test_with_retry_around_the_chain_the_model_is_asked_again() -> None:
    model = FakeListChatModel(responses=[FALSE, TRUE])
    chain = RunnablePassthrough.assign(answer=RunnableLambda(str) | model | StrOutputParser()) | guard(
        policy="raise"
    )
    retried = chain.with_retry(
        retry_if_exception_type=(RefusalError,), wait_exponential_jitter=False, stop_after_attempt=2
    )
    assert (await retried.ainvoke(dict(GIVEN)))["answer"] == TRUE


@pytest.mark.filterwarnings("ignore:This API is in beta")
async def test_it_can_be_bound_configured_assigned_and_used_as_a_tool() -> None:
    given = {**GIVEN, "answer": TRUE}
    assert guard().with_config(tags=["x"]).invoke(given)["released"]
    assert guard().bind().invoke(given)["released"]
    strict = guard().configurable_fields(policy=ConfigurableField(id="policy"))
    with pytest.raises(RefusalError):
        strict.with_config(configurable={"policy": "raise"}).invoke({**GIVEN, "answer": FALSE})
    assert_withheld(strict.invoke({**GIVEN, "answer": FALSE}))
    assigned = RunnablePassthrough.assign(verified=guard()).invoke(given)
    assert assigned["question"] == QUESTION
    assert assigned["verified"]["released"]
    tool = guard().as_tool(name="verify", description="Check an answer against a text.")
    told = {"question": QUESTION, "context": [CONTEXT[0].page_content]}
    assert tool.invoke({**told, "answer": TRUE})["released"]
    assert_withheld(await tool.ainvoke({**told, "answer": FALSE}))
    assert set(tool.args) == {"question", "context", "answer"}


# What is seen elsewhere


async def test_streams_are_clean_and_events_show_the_upstream_model_by_design() -> None:
    chain = answering(FALSE) | guard()
    assert "purple" not in json.dumps([c async for c in chain.astream(dict(GIVEN))])
    events = [event async for event in chain.astream_events(dict(GIVEN), version="v2")]
    said = "".join(e["data"]["chunk"].content for e in events if e["event"] == "on_chat_model_stream")
    assert said == FALSE
    ours = [
        e
        for e in events
        if e["name"] == "RagGuardVerifier" and e["event"] in ("on_chain_stream", "on_custom_event")
    ]
    assert ours
    assert "purple" not in str(ours)
    (decision,) = [e for e in events if e["event"] == "on_custom_event"]
    assert decision["name"] == "ragguard.decision"


@pytest.mark.parametrize("mode", ["withhold", "sentence"])
async def test_of_every_surface_only_the_events_hold_what_was_withheld(mode: Any) -> None:
    def chain() -> Runnable[Any, Any]:
        return answering(f"{TRUE} {FALSE}") | guard(mode=mode)

    assert leaks(record(chain, dict(GIVEN)), "bananas are purple") == []
    seen = await arecord(chain, dict(GIVEN))
    leaking = {surface.split(": ")[0] for surface in leaks(seen, "bananas are purple")}
    assert leaking
    assert all(surface.startswith("astream_events") for surface in leaking)


@pytest.mark.parametrize("mode", ["withhold", "sentence"])
async def test_with_a_guarded_model_the_events_are_clean_too(mode: Any) -> None:
    model = GuardedChatModel(
        inner=FakeListChatModel(responses=[f"{TRUE} {FALSE}"]),
        guard=ConsistencyGuard(LexicalAligner()),
        mode=mode,
    )
    chain = RunnableLambda(itemgetter("question")) | model.bind(passages=CONTEXT) | StrOutputParser()
    events = [event async for event in chain.astream_events(dict(GIVEN), version="v2")]
    assert any(event["event"] == "on_chat_model_stream" for event in events)
    assert "purple" not in str(events)
    assert "purple" not in "".join(chain.stream(dict(GIVEN)))


# With a retrieval


@pytest.fixture
def whole(guarded: GuardedRetriever) -> RagGuardVerifier:
    return RagGuardVerifier(guard=guarded.guard)


def told(found: dict[str, Any]) -> str:
    return Report.model_validate(found["ragguard"]).certificate().status  # type: ignore[union-attr]


async def test_with_the_retrievers_report_the_promise_stays_with_the_answer(
    guarded: GuardedRetriever, whole: RagGuardVerifier
) -> None:
    report = guarded.report(QUESTION)
    given = {"report": report, "answer": report.passages[0].text}
    found = whole.invoke(given)
    assert found["released"]
    assert told(found) == "valid"
    assert (await whole.ainvoke(given))["released"]
    assert [p["id"] for p in found["ragguard"]["turn"]["passages"]] == [p.id for p in report.passages]


def test_a_limited_report_has_no_promise_left(guarded: GuardedRetriever, whole: RagGuardVerifier) -> None:
    report = guarded.report(QUESTION, limit=1)
    found = whole.invoke({"report": report, "answer": report.passages[0].text})
    assert told(found) == "void"


def test_after_a_retrieval_without_evidence_no_answer_is_passed_on(
    guarded: GuardedRetriever, whole: RagGuardVerifier
) -> None:
    report = guarded.report("Who painted the ceiling?")
    found = whole.invoke({"report": report, "answer": "Bananas are purple."})
    assert not found["released"]
    assert found["ragguard"]["reason"] == "no_evidence"
    assert "purple" not in json.dumps(found)


def test_documents_from_elsewhere_carry_no_promise_whatever_they_say(
    guarded: GuardedRetriever, whole: RagGuardVerifier
) -> None:
    documents = guarded.invoke(QUESTION)
    found = whole.invoke({"question": QUESTION, "context": documents, "answer": documents[0].page_content})
    assert found["released"]
    assert told(found) == "none"


async def test_a_whole_chain_runs_and_streams(guarded: GuardedRetriever, whole: RagGuardVerifier) -> None:
    model = FakeListChatModel(responses=["The hardness of nickel is listed in table nickel hardness."])
    chain = (
        RunnablePassthrough.assign(context=RunnableLambda(lambda x: x["question"]) | guarded)
        | RunnablePassthrough.assign(
            answer=ChatPromptTemplate.from_template("{question} {context}") | model | StrOutputParser()
        )
        | whole
    )
    (only,) = [chunk async for chunk in chain.astream({"question": QUESTION})]
    assert only["answer"] == "The hardness of nickel is listed in table nickel hardness."
    assert chain.invoke({"question": QUESTION})["released"]


def test_the_rewritten_question_is_the_one_judged_with() -> None:
    seen = ScriptedGuard(Stage.ANSWER)
    given = {**GIVEN, "question": "And its hardness?", "standalone": QUESTION, "answer": TRUE}
    found = RagGuardVerifier(guard=seen).invoke(given)
    ((_, turn),) = seen.seen
    assert (turn.question, turn.query) == ("And its hardness?", QUESTION)
    assert found["ragguard"]["turn"]["standalone"] == QUESTION
