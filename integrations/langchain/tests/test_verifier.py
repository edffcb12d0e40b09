from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda, RunnablePassthrough

from langchain_ragguard import GuardedRetriever, RagGuardVerifier
from ragguard import ConsistencyGuard, Guard, Pipeline, Report, Stage, Turn, Verdict
from ragguard.alignment.lexical import LexicalAligner
from ragguard.errors import ConfigurationError, DuplicateIdError, InvalidValueError

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
