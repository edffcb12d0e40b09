"""Another answer in place of one at fault, asked for inside the validator: no draft is seen outside."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from haystack.dataclasses import ChatMessage

from haystack_integrations.components.guards.ragguard.replies import text_of
from ragguard.alignment.guard import ATTEMPT
from ragguard.errors import ConfigurationError, InvalidValueError
from ragguard.types import Report, Turn


def require_silent(generator: Any) -> None:
    """Return only for a generator that shows its drafts to nobody, or None.

    Raises:
        ConfigurationError: it streams, or is no chat generator.
    """
    if generator is None:
        return
    if not callable(getattr(generator, "run", None)):
        raise ConfigurationError("generator is no component", hint="e.g. OpenAIChatGenerator()")
    if getattr(generator, "streaming_callback", None) is not None:
        raise ConfigurationError(
            "the generator streams what nobody has judged yet", hint="make it without a streaming_callback"
        )


def feedback_text(report: Report, draft: str) -> str:
    """Return what the model is told about its draft: what is wrong, and where."""
    request = report.request or {}
    places = [draft[one["start"] : one["end"]] for one in request.get("unsupported", ()) if one["end"]]
    listed = "".join(f"\n- {place}" for place in places)
    return f"{request.get('feedback', '')}{listed}"


class Rewriting:
    """The drafts of one reply.

    Args:
        generator: a chat generator, or None for none.
        turn: without its answer.
        messages: the prompt.
    """

    def __init__(self, generator: Any, turn: Turn, messages: Sequence[ChatMessage] | None) -> None:
        self._generator = generator
        self._turn = turn
        self._messages = messages

    def wanted(self, report: Report) -> bool:
        """True where the guard asks for another answer and there is somebody to ask."""
        return self._generator is not None and (report.request or {}).get("do") == "regenerate"

    def again(self, report: Report) -> Turn:
        """Return the turn with another answer.

        Raises:
            InvalidValueError: the prompt is not known.
        """
        return self._next(report, self._generator.run(messages=self._prompt(report)))

    async def aagain(self, report: Report) -> Turn:
        """`again`, through the generator's own `run_async` where it has one."""
        prompt = self._prompt(report)
        if callable(native := getattr(self._generator, "run_async", None)):
            return self._next(report, await native(messages=prompt))
        return self._next(report, await asyncio.to_thread(self._generator.run, messages=prompt))

    def _prompt(self, report: Report) -> list[ChatMessage]:
        if not self._messages:
            raise InvalidValueError(
                "another answer is asked for, and the prompt is not known",
                hint="connect the prompt builder's `prompt` to the validator's `messages`",
            )
        draft = report.turn.answer or ""
        critique = ChatMessage.from_user(feedback_text(report, draft))
        return [*self._messages, ChatMessage.from_assistant(draft), critique]

    def _next(self, report: Report, found: dict[str, Any]) -> Turn:
        replies = found.get("replies") or [None]
        attempt = (report.request or {}).get("attempt", 0)
        metadata = {**self._turn.metadata, ATTEMPT: attempt}
        return self._turn.replace(answer=text_of(replies[0]), metadata=metadata)
