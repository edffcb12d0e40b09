"""Replies of a generator: what of them is judged, and what is put in their place."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from haystack.dataclasses import ChatMessage, TextContent
from haystack.dataclasses.chat_message import ReasoningContent

from haystack_integrations.components.guards.ragguard.documents import FACTS
from ragguard.errors import InvalidValueError
from ragguard.types import Report
from ragguard.withheld import small_report

_HARMLESS = frozenset({"model", "index", "finish_reason", "usage"})
"""Meta that a withheld reply keeps; any other may repeat its tokens."""


def text_of(reply: ChatMessage | str | None) -> str:
    """Return all text of a reply; several parts are joined by line breaks."""
    if isinstance(reply, ChatMessage):
        return "\n".join(text for text in reply.texts if text)
    return reply or ""


def require_replies(replies: Any) -> list[ChatMessage | str | None]:
    """Return the replies as a list; none at all counts as one empty reply, which no guard passes.

    Raises:
        InvalidValueError: there is something else than messages and strings in it.
    """
    given = [] if replies is None else replies
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise InvalidValueError("replies are no list", hint="list[ChatMessage] or list[str]")
    if any(not isinstance(reply, ChatMessage | str | None) for reply in given):
        raise InvalidValueError("a reply is neither a message nor a string")
    return list(given) or [None]


def is_unjudged(reply: ChatMessage | str | None) -> bool:
    """True for a turn that calls tools: it answers nothing yet."""
    return isinstance(reply, ChatMessage) and bool(reply.tool_calls)


def without_text(reply: ChatMessage) -> ChatMessage:
    """Return a tool call without what nobody judges: text and reasoning beside it, and meta that may repeat them."""
    silent = [part for part in reply._content if not isinstance(part, TextContent | ReasoningContent)]
    meta = {key: value for key, value in reply.meta.items() if key in _HARMLESS}
    return dataclasses.replace(reply, _content=silent, _meta=meta)


def judged_reply(reply: ChatMessage | str | None, report: Report) -> ChatMessage:
    """Return what may be shown in place of a reply, with a small report under meta["ragguard"].

    A reply released as it is keeps its meta and parts but for the reasoning, which was not
    judged; of any other nothing is left but what names the model and counts tokens.
    """
    said = {"judged": True, **small_report(report), **_beside(report)}
    text = report.text or ""
    message = reply if isinstance(reply, ChatMessage) else ChatMessage.from_assistant(text)
    if report.released and text == text_of(reply):
        parts = [part for part in message._content if not isinstance(part, ReasoningContent)]
        return dataclasses.replace(message, _content=parts, _meta={**message.meta, FACTS: said})
    meta = {key: value for key, value in message.meta.items() if key in _HARMLESS}
    return ChatMessage.from_assistant(text, name=message.name, meta={**meta, FACTS: said})


def was_judged(message: ChatMessage) -> bool:
    """True for a message that this package has put there; not for one that only speaks of a guard."""
    facts = message.meta.get(FACTS)
    return isinstance(facts, Mapping) and facts.get("judged") is True


def _beside(report: Report) -> dict[str, Any]:
    """Citations of an annotated answer, and what may be done about a refused one; positions and numbers."""
    found: dict[str, Any] = {}
    for verdict in report.verdicts:
        if report.released and "citations" in verdict.details:
            found["citations"] = verdict.details["citations"]
    if report.request is not None:
        found["request"] = dict(report.request)
    return found
