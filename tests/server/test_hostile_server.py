from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import httpx
import pytest

from ragguard.server import create_guardrail_app
from ragguard.types import Stage, Turn, Verdict
from tests.server.served import PATH, by_words, response

SECRET = "zyzzyva"
SAID = f"The {SECRET}s paint bananas purple."


class Raising:
    """A guard of somebody else's, whose errors quote the answer."""

    name = "raising"
    stages = frozenset({Stage.ANSWER})

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        raise self.error(turn.answer)

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        raise self.error(turn.answer)


ODD: dict[str, Any] = {
    "plain": response(SAID),
    "half a character": response(f"{SAID}\ud83d"),
    "two of one name": response(SAID, documents=[{"id": "a", "text": SAID}, {"id": "a", "text": "x"}]),
    "a text where a list should be": {**response(SAID), "texts": SAID},
    "a kind of request that is none": {**response(SAID), "input_type": SAID},
    "a call that is prose": response(SAID, litellm_call_id=SAID),
    "beside a call of a tool": response(SAID, tool_calls=[{"id": "1"}]),
}


@pytest.mark.parametrize("body", list(ODD))
@pytest.mark.parametrize("options", [{}, {"refusals": "text"}, {"mode": "sentence"}])
@pytest.mark.parametrize("error", [None, ValueError, TimeoutError, asyncio.CancelledError])
async def test_whatever_fails_nothing_of_the_answer_is_in_reply_or_log(
    error: Any, options: dict[str, Any], body: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    app = create_guardrail_app([by_words() if error is None else Raising(error)], api_key=None, **options)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://guard") as http:
        reply = await http.post(PATH, content=json.dumps(ODD[body]), headers={"x-request-id": SAID})
    assert reply.status_code >= 400 or reply.json()["action"] != "NONE"
    assert SECRET not in reply.text + str(reply.headers) + caplog.text
