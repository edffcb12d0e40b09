"""LiteLLM's own client and hooks, driven as its proxy drives them, against a real server."""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from litellm.caching.caching import DualCache
from litellm.integrations.custom_guardrail import CustomGuardrail
from litellm.litellm_core_utils.litellm_logging import Logging
from litellm.proxy._types import UserAPIKeyAuth
from litellm.proxy.guardrails.guardrail_hooks.generic_guardrail_api import GenericGuardrailAPI
from litellm.proxy.guardrails.guardrail_hooks.unified_guardrail.unified_guardrail import UnifiedLLMGuardrails
from litellm.types.utils import Choices, Delta, Message, ModelResponse, ModelResponseStream, StreamingChoices

from ragguard.server import create_guardrail_app
from tests.server.served import serving

KEY = "k"
INCREMENTAL = {"streaming_transform_mode": "incremental_diff", "streaming_sampling_rate": 3}
AT_THE_END = {"streaming_transform_mode": "incremental_diff", "streaming_end_of_stream_only": True}


class Proxy:
    """One call through the gateway, from its messages to what the client is sent.

    Args:
        address: of the guardrail.
        call: its id.
        tenant: hash of the key that the client came with.
        options: of the guardrail in the proxy's configuration.
    """

    def __init__(self, address: str, *, call: str = "call-1", tenant: str = "hash-1", **options: Any) -> None:
        given = {"api_key": KEY, "guardrail_name": "ragguard", "default_on": True, "timeout": 60, **options}
        self.guardrail: CustomGuardrail = GenericGuardrailAPI(
            api_base=address, event_hook=["pre_call", "post_call"], **given
        )
        self._hooks = UnifiedLLMGuardrails()
        self._user = UserAPIKeyAuth(token=tenant, request_route="/v1/chat/completions")
        log = Logging(
            model="m",
            messages=[],
            stream=True,
            call_type="acompletion",
            start_time=datetime.datetime.now(),
            litellm_call_id=call,
            function_id="f",
        )
        self._data: dict[str, Any] = {
            "model": "m",
            "metadata": {"user_api_key_hash": tenant},
            "litellm_logging_obj": log,
        }

    async def pre_call(self, *messages: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the messages that the model would be sent."""
        data = {**self._data, "messages": [dict(m) for m in messages], "guardrail_to_apply": self.guardrail}
        done: Any = await self._hooks.async_pre_call_hook(self._user, DualCache(), data, "completion")
        return list(done["messages"])

    async def post_call(self, *texts: str, tool_calls: Any = None) -> list[str | None]:
        """Return the choices that the client is sent of a whole response."""
        choices = [
            Choices(index=i, message=Message(role="assistant", content=text, tool_calls=tool_calls))
            for i, text in enumerate(texts)
        ]
        done = await self.post_call_of(ModelResponse(model="m", choices=choices))
        return [choice.message.content for choice in done.choices]

    async def post_call_of(self, response: ModelResponse) -> Any:
        """Return the whole response as the client is sent it."""
        data = {**self._data, "guardrail_to_apply": self.guardrail}
        return await self._hooks.async_post_call_success_hook(data, self._user, response)

    async def stream(
        self, *texts: str, pieces: Sequence[str] | None = None
    ) -> tuple[list[str], Exception | None]:
        """Return what the client is sent of each choice of a stream, and what ended it early."""
        data = {**self._data, "guardrail_to_apply": self.guardrail}
        sent = [""] * len(texts)
        try:
            async for chunk in self._hooks.async_post_call_streaming_iterator_hook(
                self._user, _upstream(texts, pieces), data
            ):
                for choice in chunk.choices:
                    sent[choice.index] += choice.delta.content or ""
        except Exception as error:
            return sent, error
        return sent, None


async def _upstream(texts: Sequence[str], pieces: Sequence[str] | None) -> AsyncIterator[ModelResponseStream]:
    """A model that streams its choices word by word, one after another within each round."""
    words = [list(pieces) if pieces is not None else re.findall(r"\S+\s*", text) for text in texts]
    for place in range(max(map(len, words))):
        for index, mine in enumerate(words):
            if place < len(mine):
                yield _chunk(index, mine[place], None)
    for index in range(len(texts)):
        yield _chunk(index, "", "stop")


def _chunk(index: int, text: str, finish: str | None) -> ModelResponseStream:
    choice = StreamingChoices(index=index, delta=Delta(content=text), finish_reason=finish)
    return ModelResponseStream(id="c", model="m", choices=[choice])


@contextlib.contextmanager
def guarded(guard: Any, **options: Any) -> Iterator[str]:
    """The app on a real server, with the key that the proxy sends."""
    with serving(create_guardrail_app(guard, api_key=KEY, **options)) as address:
        yield address
