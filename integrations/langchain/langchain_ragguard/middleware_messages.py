"""A model's messages as they may be shown: what was judged, and of the rest only what holds no words.

Beside its text a message has channels that nothing judges: reasoning, token
probabilities, blocks and arguments of a provider's own. A new message is built from what is
known to be harmless, rather than an old one stripped of what is known to be not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal, get_args

from langchain_core.messages import AIMessage

from langchain_ragguard.documents import FACTS
from langchain_ragguard.said import Said
from ragguard.errors import InvalidValueError

Channel = Literal["reasoning", "logprobs", "extras"]
"""What may be passed on unjudged beside an answer: `extras` are additional_kwargs, and blocks that are no text."""

_PLAIN = frozenset(
    {
        "created",
        "created_at",
        "done_reason",
        "finish_reason",
        "id",
        "model",
        "model_id",
        "model_name",
        "model_provider",
        "object",
        "service_tier",
        "status",
        "stop_reason",
        "system_fingerprint",
    }
)
_CALLS = frozenset({"tool_call", "tool_use", "function_call", "server_tool_call", "custom_tool_call"})
_REASONING = frozenset({"reasoning", "thinking", "redacted_thinking", "reasoning_content"})
_OPAQUE = frozenset({"type", "id", "index", "signature", "encrypted_content", "data"})
"""What providers ask to be given back with a tool's result; no reader can make words of it."""


def require_channels(channels: Collection[str]) -> frozenset[str]:
    """Return the names as a set.

    Raises:
        InvalidValueError: one is no channel.
    """
    unknown = sorted(set(channels) - set(get_args(Channel)))
    if isinstance(channels, str) or unknown:
        raise InvalidValueError(f"unjudged names {unknown or channels!r}", hint=", ".join(get_args(Channel)))
    return frozenset(channels)


def shown_message(
    message: AIMessage, text: str, facts: Mapping[str, Any], *, unjudged: Collection[str] = ()
) -> AIMessage:
    """Return the answer with this text under the message's own id, and the facts in its response_metadata.

    Args:
        message: the model's; left as it is.
        text: that may be shown: the answer, what is left of it, or the message instead of one.
        facts: JSON-serialisable.
        unjudged: channels passed on as they are; none of an answer that is withheld.
    """
    content: str | list[Any] = text
    if text == message.text and isinstance(message.content, list):
        content = [b for block in message.content if (b := _released(block, unjudged)) is not None]
    return AIMessage(
        content=content,
        id=message.id,
        name=message.name,
        usage_metadata=message.usage_metadata,
        response_metadata={**_metadata(message, unjudged), FACTS: Said(facts)},
        additional_kwargs=_extras(message, unjudged),
    )


def calling_message(message: AIMessage, *, unjudged: Collection[str] = ()) -> AIMessage:
    """Return a message that calls tools without the words beside the calls, under its own id.

    Nothing judges them: the evidence is still to come. Of reasoning only what no one can
    read is left, since some providers ask for it back.
    """
    content: str | list[Any] = ""
    if isinstance(message.content, list):
        content = [b for block in message.content if (b := _beside_calls(block, unjudged)) is not None]
    kept = {k: v for k, v in message.additional_kwargs.items() if k in ("tool_calls", "function_call")}
    signed = {k: v for k, v in message.additional_kwargs.items() if "signature" in k}
    return AIMessage(
        content=content,
        id=message.id,
        name=message.name,
        tool_calls=message.tool_calls,
        invalid_tool_calls=message.invalid_tool_calls,
        usage_metadata=message.usage_metadata,
        response_metadata=_metadata(message, unjudged),
        additional_kwargs={**kept, **signed, **_extras(message, unjudged)},
    )


def _released(block: Any, unjudged: Collection[str]) -> Any:
    """A block of a released answer; None for one that nothing judged."""
    if isinstance(block, str):
        return block
    kind = block.get("type")
    if kind == "text":
        return block if "extras" in unjudged else {"type": "text", "text": block.get("text", "")}
    if kind in _REASONING:
        return block if "reasoning" in unjudged else None
    return block if "extras" in unjudged and kind not in _CALLS else None


def _beside_calls(block: Any, unjudged: Collection[str]) -> Any:
    if not isinstance(block, dict):
        return None
    kind = block.get("type")
    if kind in _CALLS:
        return block
    if kind in _REASONING:
        return block if "reasoning" in unjudged else _wordless(block)
    return None


def _wordless(value: Any) -> Any:
    """The same shape, with every text emptied but those that cannot be read."""
    if isinstance(value, Mapping):
        return {k: v if k in _OPAQUE else _wordless(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_wordless(v) for v in value]
    return "" if isinstance(value, str) else value


def _metadata(message: AIMessage, unjudged: Collection[str]) -> dict[str, Any]:
    kept = dict(_numbers_and_names(message.response_metadata))
    if "logprobs" in unjudged and "logprobs" in message.response_metadata:
        kept["logprobs"] = message.response_metadata["logprobs"]
    return kept


def _numbers_and_names(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a provider says of a call in numbers, and the few names that are no words of the model's."""
    for key, value in found.items():
        if key in ("logprobs", FACTS):
            continue
        if isinstance(value, bool | int | float) or (key in _PLAIN and isinstance(value, str)):
            yield key, value
        elif isinstance(value, Mapping) and (inner := dict(_numbers_and_names(value))):
            yield key, inner


def _extras(message: AIMessage, unjudged: Collection[str]) -> dict[str, Any]:
    if "extras" not in unjudged:
        return {}
    reasons = {"reasoning", "reasoning_content"} if "reasoning" not in unjudged else set()
    calls = {"tool_calls", "function_call"}
    return {k: v for k, v in message.additional_kwargs.items() if k not in reasons | calls}
