"""What a message may carry past the verifier beside a call of a tool."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage

from langchain_ragguard import RagGuardVerifier
from langchain_ragguard.testing.surfaces import Recorded, leaks
from ragguard import ConsistencyGuard
from ragguard.alignment.lexical import LexicalAligner

SECRET = "zyzzyva"
FALSE = f"The {SECRET}s paint bananas purple."
GIVEN = {
    "question": "How heavy is the lamp?",
    "context": [Document(id="weight", page_content="The lamp weighs 4 kilograms.")],
}
CALL = {"name": "search", "args": {"q": "lamp"}, "id": "c1"}
modes = pytest.mark.parametrize("mode", ["withhold", "sentence"])


def silent(**beside: Any) -> AIMessage:
    """No text, and the secret wherever else a message has room for one."""
    return AIMessage(
        [{"type": "reasoning", "reasoning": FALSE}],
        additional_kwargs={"reasoning_content": FALSE},
        response_metadata={"logprobs": {"content": [{"token": SECRET}]}, "finish_reason": "tool_calls"},
        **beside,
    )


async def every_way(mode: Any, answer: AIMessage) -> list[Any]:
    verifier = RagGuardVerifier(guard=ConsistencyGuard(LexicalAligner()), mode=mode)
    given = {**GIVEN, "answer": answer}
    streamed = [*verifier.stream(given), *[piece async for piece in verifier.astream(given)]]
    completed = [found for _, found in verifier.batch_as_completed([given, given])]
    return [verifier.invoke(given), await verifier.ainvoke(given), *streamed, *completed]


@modes
async def test_of_a_call_of_a_tool_only_the_call_is_passed_on(mode: str) -> None:
    seen = Recorded()
    for found in await every_way(mode, silent(tool_calls=[CALL])):
        assert [call["name"] for call in found["answer"].tool_calls] == ["search"]
        seen.note("verifier", found)
    assert leaks(seen, SECRET) == []


@modes
async def test_a_call_that_cannot_be_read_is_none(mode: str) -> None:
    broken: Any = {"type": "invalid_tool_call", "id": "i", "name": "answer", "args": FALSE, "error": FALSE}
    seen = Recorded()
    for found in await every_way(mode, silent(invalid_tool_calls=[broken])):
        assert found["released"] is False
        seen.note("verifier", found)
    assert leaks(seen, SECRET) == []
