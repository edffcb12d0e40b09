"""A chat model that says what a script says as providers do: in pieces, by block, with counts and probabilities."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, PrivateAttr


class ScriptedProvider(BaseChatModel):
    """Gives one message after another, the last one for ever, or what a function of the messages says.

    Whatever a message holds comes out as it would of a provider: content in pieces, blocks
    by index, tool-call arguments in pieces, log probabilities beside each piece, token
    counts at the end.

    Args:
        answers: texts and messages in order, or a function of (messages, keyword arguments).
        others: further candidates, which come with every answer that is not streamed.
        size: characters of a piece.
        error: raised in the middle of every answer.

    Attributes:
        asked: the messages and keyword arguments of every call.
        streams: how many streams were opened, and how many of them have ended.
    """

    answers: Sequence[str | AIMessage] | Callable[..., str | AIMessage] = Field(exclude=True)
    others: Sequence[AIMessage] = Field(default=(), exclude=True)
    size: int = 3
    error: Exception | None = Field(default=None, exclude=True)
    model_name: str = "scripted"

    _asked: list[tuple[list[BaseMessage], dict[str, Any]]] = PrivateAttr(default_factory=list)
    _streams: dict[str, int] = PrivateAttr(default_factory=lambda: {"opened": 0, "ended": 0, "pieces": 0})

    @property
    def asked(self) -> list[tuple[list[BaseMessage], dict[str, Any]]]:
        return self._asked

    @property
    def streams(self) -> dict[str, int]:
        return self._streams

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[Any, Any]:
        """Return the model with the tools among its keyword arguments."""
        described = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=described, tool_choice=tool_choice, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = self._next(messages, stop, kwargs)
        if self.error is not None:
            raise self.error
        generations = [ChatGeneration(message=one) for one in (message, *self.others)]
        return ChatResult(generations=generations)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._generate(messages, stop, **kwargs)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        pieces = _pieces(self._next(messages, stop, kwargs), self.size)
        self._streams["opened"] += 1
        try:
            for place, piece in enumerate(pieces):
                if self.error is not None and place == len(pieces) // 2:
                    raise self.error
                self._streams["pieces"] += 1
                if run_manager is not None:
                    run_manager.on_llm_new_token(str(piece.text), chunk=piece)
                yield piece
        finally:
            self._streams["ended"] += 1

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for piece in self._stream(messages, stop, **kwargs):
            yield piece

    def _next(self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]) -> AIMessage:
        self._asked.append((list(messages), dict(kwargs)))
        if callable(self.answers):
            said = self.answers(messages, kwargs)
        else:
            said = self.answers[min(len(self._asked), len(self.answers)) - 1]
        message = AIMessage(said) if isinstance(said, str) else said.model_copy(deep=True)
        if stop and isinstance(message.content, str):
            message.content = message.content[: min(_place(message.content, word) for word in stop)]
        message.response_metadata = {
            "model_name": kwargs.get("model", self.model_name),
            "finish_reason": "stop",
            **message.response_metadata,
        }
        counts = sum(len(str(m.text)) for m in messages) + 1, len(str(message.text)) + 1
        message.usage_metadata = message.usage_metadata or {
            "input_tokens": counts[0],
            "output_tokens": counts[1],
            "total_tokens": sum(counts),
        }
        return message


def _place(text: str, word: str) -> int:
    found = text.find(word)
    return len(text) if found < 0 else found


def _pieces(message: AIMessage, size: int) -> list[ChatGenerationChunk]:
    chunks = [AIMessageChunk(content="", additional_kwargs=message.additional_kwargs)]
    if isinstance(message.content, str):
        chunks += [AIMessageChunk(content=part) for part in _cut(message.content, size)]
    else:
        for place, block in enumerate(message.content):
            chunks += [AIMessageChunk(content=[part]) for part in _blocks(block, place, size)]
    calls = [(c["name"], json.dumps(c["args"]), c["id"]) for c in message.tool_calls]
    calls += [(c["name"] or "", c["args"] or "", c["id"]) for c in message.invalid_tool_calls]
    for place, (name, args, name_of_call) in enumerate(calls):
        for at, part in enumerate(_cut(args, size)):
            first = at == 0
            call = tool_call_chunk(
                name=name if first else None, args=part, id=name_of_call if first else None, index=place
            )
            chunks.append(AIMessageChunk(content="", tool_call_chunks=[call]))
    last = AIMessageChunk(
        content="",
        usage_metadata=message.usage_metadata,
        response_metadata=message.response_metadata,
        chunk_position="last",
    )
    told = [ChatGenerationChunk(message=c, generation_info=_probabilities(str(c.text))) for c in chunks]
    return [*told, ChatGenerationChunk(message=last)]


def _blocks(block: str | dict[str, Any], place: int, size: int) -> list[str | dict[str, Any]]:
    if isinstance(block, str):
        return [block]
    for key in ("text", "reasoning", "thinking"):
        if isinstance(block.get(key), str):
            return [{**block, key: part, "index": place} for part in _cut(block[key], size)]
    return [{**block, "index": place}]


def _probabilities(text: str) -> dict[str, Any] | None:
    return {"logprobs": {"content": [{"token": text, "logprob": -0.1}]}} if text else None


def _cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]
