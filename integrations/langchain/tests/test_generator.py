from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import Runnable, RunnableLambda

from langchain_ragguard import GuardedRetriever, as_generator
from ragguard import ConsistencyGuard, Guard
from ragguard.alignment.lexical import LexicalAligner

QUESTION = "What is the hardness of nickel?"
TRUE = "The hardness of nickel is listed in table nickel hardness."


@pytest.mark.parametrize(
    "model",
    [FakeListChatModel(responses=[TRUE]), FakeListChatModel(responses=[TRUE]) | StrOutputParser()],
    ids=["chat model", "chain"],
)
async def test_a_chat_model_or_chain_generates_for_a_guard(
    guarded: GuardedRetriever, model: Runnable[Any, Any]
) -> None:
    given: Guard = guarded.guard  # type: ignore[assignment]
    guard = Guard(
        given.calibration,
        given.retriever,
        generator=as_generator(model),
        guards=[ConsistencyGuard(LexicalAligner())],
    )
    report = guard.answer(QUESTION)
    assert (report.text, report.released) == (TRUE, True)
    assert report.certificate().status == "valid"  # type: ignore[union-attr]
    assert (await guard.aanswer(QUESTION)).text == TRUE


async def test_asynchronously_model_and_retriever_are_awaited(
    fixed: Any, first_is_right: list[dict[str, Any]]
) -> None:
    calls: list[str] = []

    def say(_: Any) -> str:
        calls.append("sync")
        return "nothing"

    async def asay(_: Any) -> str:
        calls.append("async")
        return "nothing"

    guarded = GuardedRetriever.calibrate(fixed, first_is_right, score_key="score", score="gap")
    given: Guard = guarded.guard  # type: ignore[assignment]
    guard = Guard(given.calibration, given.retriever, generator=as_generator(RunnableLambda(say, afunc=asay)))
    fixed.calls.clear()
    await guard.aanswer("question 1")
    assert calls == ["async"]
    assert fixed.calls == ["async"]
