"""What LiteLLM hands its client beside the text of an answer that was refused."""

from __future__ import annotations

from typing import Any

import pytest
from litellm.exceptions import GuardrailRaisedException
from litellm.types.utils import Choices, Message, ModelResponse

from integrations.litellm.tests.proxied import Proxy, guarded
from tests.server.served import QUESTION, RETURNS, by_words

SECRET = "zyzzyva"
SAID = f"The {SECRET}s paint bananas purple."
MESSAGES = ({"role": "system", "content": RETURNS}, {"role": "user", "content": QUESTION})


async def sent(**options: Any) -> Any:
    """The response as the client gets it, of a model that says the same on every channel."""
    message = Message(role="assistant", content=SAID, reasoning_content=SAID)
    logprobs: Any = {"content": [{"token": SECRET, "logprob": -0.1, "bytes": None, "top_logprobs": []}]}
    answer = ModelResponse(model="m", choices=[Choices(index=0, message=message, logprobs=logprobs)])
    with guarded([by_words()], **options) as address:
        proxy = Proxy(address)
        await proxy.pre_call(*MESSAGES)
        return await proxy.post_call_of(answer)


async def test_an_answer_refused_as_an_error_comes_out_on_no_channel() -> None:
    with pytest.raises(GuardrailRaisedException) as raised:
        await sent()
    assert SECRET not in f"{raised.value} {raised.value.args} {vars(raised.value)}"


async def test_refused_as_text_it_is_still_in_what_the_gateway_never_asks_about() -> None:
    """As the how-to page warns: reasoning and log probabilities do not reach a guardrail."""
    (choice,) = (await sent(refusals="text")).choices
    assert SECRET not in choice.message.content
    assert SECRET in choice.message.reasoning_content
    assert SECRET in str(choice.logprobs)
