"""Chat models that say what a script says, whole or letter by letter, on every channel there is."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import PrivateAttr

_PIECE = 3
"""Characters of a chunk."""


class ScriptedChatModel(BaseChatModel):
    """Says one reply of the script after the other, the last one again and again; it cannot stream.

    Args:
        script: replies, or a function from the messages it is given to one.
        others: what it says beside the first choice where it is asked for several (`n`).

    Attributes:
        prompts: what it was given, call by call.
        tools: what was bound last.
    """

    script: Any
    others: Sequence[str] = ()
    prompts: list[list[BaseMessage]] = []  # noqa: RUF012 - pydantic copies it
    tools: list[Any] = []  # noqa: RUF012

    _said: int = PrivateAttr(default=0)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Return the model with tools that it calls when the script says so."""
        self.tools[:] = list(tools)
        return self.bind(tools=[getattr(tool, "name", "tool") for tool in tools], **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        said = [self._reply(messages), *(AIMessage(text) for text in self.others)]
        return ChatResult(generations=[ChatGeneration(message=message) for message in said])

    def _reply(self, messages: list[BaseMessage]) -> AIMessage:
        with self._lock:
            self.prompts.append(list(messages))
            place, self._said = self._said, self._said + 1
        reply = (
            self.script(messages) if callable(self.script) else self.script[min(place, len(self.script) - 1)]
        )
        # A copy each time: whoever runs a model writes ids into what it says.
        return AIMessage(reply) if isinstance(reply, str) else reply.model_copy(deep=True)


class StreamingChatModel(ScriptedChatModel):
    """The same, three characters at a time: content, reasoning, probabilities, and the arguments of calls."""

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in _chunks(self._reply(messages)):
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in _chunks(self._reply(messages)):
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


def _chunks(message: AIMessage) -> Iterator[ChatGenerationChunk]:
    pieces = list(_pieces(message))
    for place, piece in enumerate(pieces):
        piece.chunk_position = "last" if place == len(pieces) - 1 else None
        yield ChatGenerationChunk(message=piece)


def _pieces(message: AIMessage) -> Iterator[AIMessageChunk]:
    blocks = message.content if isinstance(message.content, list) else [message.content]
    for place, block in enumerate(blocks):
        if isinstance(block, str):
            yield from (AIMessageChunk(content=part) for part in _cut(block))
            continue
        key = next((k for k, v in block.items() if k not in ("type", "id") and isinstance(v, str)), None)
        for part in _cut(str(block[key])) if key else [None]:
            yield AIMessageChunk(content=[{**block, "index": place, **({key: part} if key else {})}])
    for name, value in message.additional_kwargs.items():
        parts = _cut(value) if isinstance(value, str) else [value]
        yield from (AIMessageChunk(content="", additional_kwargs={name: part}) for part in parts)
    for place, call in enumerate(message.tool_calls):
        yield from _call_pieces(dict(call), place)
    yield AIMessageChunk(content="", response_metadata=message.response_metadata)


def _call_pieces(call: dict[str, Any], place: int) -> Iterator[AIMessageChunk]:
    opening = tool_call_chunk(name=call["name"], args="", id=call["id"], index=place)
    yield AIMessageChunk(content="", tool_call_chunks=[opening])
    for part in _cut(json.dumps(call["args"])):
        more = tool_call_chunk(name=None, args=part, id=None, index=place)
        yield AIMessageChunk(content="", tool_call_chunks=[more])


def _cut(text: str) -> list[str]:
    return [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
