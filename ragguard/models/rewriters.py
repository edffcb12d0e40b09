"""A follow-up and its history to one standalone question, the text that is retrieved with and calibrated."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from ragguard.errors import InvalidValueError
from ragguard.models.prompts import fingerprint_of
from ragguard.protocols import Fingerprint
from ragguard.types import Message
from ragguard.worker import run_on_worker

_LONGEST = 500
_INSTRUCTION = (
    "Rewrite the last question so that it can be understood without the conversation. "
    "Replace pronouns and omissions by what they stand for, add nothing else, and do not answer it. "
    "Reply with the rewritten question alone, on one line."
)


class JoiningRewriter:
    """Puts the user's previous question before a follow-up; no model, the same words on every run.

    Args:
        turns: how many earlier questions of the user are kept, at least 1.
    """

    def __init__(self, turns: int = 1) -> None:
        if turns < 1:
            raise InvalidValueError(f"turns must be at least 1, got {turns}")
        self.turns = turns

    def __call__(self, question: str, history: Sequence[Message], /) -> str:
        """Return the earlier questions and the follow-up, oldest first."""
        earlier = [m.text.strip() for m in history if m.role == "user"][-self.turns :]
        return " ".join([*earlier, question.strip()])

    def fingerprint(self) -> Fingerprint:
        """Name and number of turns."""
        return {"rewriter": "joining", "turns": self.turns}


class ModelRewriter:
    """Lets a language model write the standalone question; an unusable reply keeps the user's own words.

    Args:
        llm: from a prompt to a reply, a string or a message: a callable, or an object with `invoke`.
        name: of the model, declared in the fingerprint.
        messages: how many of the latest messages the model is shown.
    """

    def __init__(self, llm: Any, *, name: str, messages: int = 6) -> None:
        self._llm = llm.invoke if hasattr(llm, "invoke") else llm
        if not callable(self._llm):
            raise InvalidValueError(f"a language model is a callable, got {type(llm).__name__}")
        native = getattr(llm, "ainvoke", self._llm)
        self._allm = native if inspect.iscoroutinefunction(native) else None
        self.name = name
        self.messages = messages

    def __call__(self, question: str, history: Sequence[Message], /) -> str:
        """Return the rewritten question: the first line of the reply, if it is a sensible one."""
        return self.usable(self._llm(self.prompt(question, history)), question)

    async def acall(self, question: str, history: Sequence[Message], /) -> str:
        """`__call__`, through the model's own `ainvoke` or coroutine where it has one."""
        if self._allm is None:
            return await run_on_worker(self, question, history)
        return self.usable(await self._allm(self.prompt(question, history)), question)

    def usable(self, reply: Any, question: str) -> str:
        """Return the first line of a reply, or the question where there is none or it is too long for one."""
        text = _text_of(reply).strip().split("\n", 1)[0].strip().strip('"')
        return text if 0 < len(text) <= _LONGEST else question

    def prompt(self, question: str, history: Sequence[Message], /) -> str:
        """Return what the model is shown."""
        said = [f"{m.role}: {' '.join(m.text.split())}" for m in history[-self.messages :]]
        return "\n".join([_INSTRUCTION, "", "Conversation:", *said, "", f"Last question: {question}"])

    def fingerprint(self) -> Fingerprint:
        """Model name, prompt hash and messages shown."""
        return {
            "rewriter": "model",
            "model": self.name,
            "messages": self.messages,
            "prompt": fingerprint_of(_INSTRUCTION),
        }


def _text_of(reply: Any) -> str:
    """Text of a string, a message, or a message's blocks; "" of anything else."""
    found = getattr(reply, "content", reply)
    if isinstance(found, list):
        blocks = (b.get("text", "") if isinstance(b, dict) else b for b in found)
        return "".join(b for b in blocks if isinstance(b, str))
    return found if isinstance(found, str) else ""
