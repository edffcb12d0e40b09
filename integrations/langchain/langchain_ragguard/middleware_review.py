"""A person decides about an answer that the guard withheld: what they are shown, and what they may say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from langchain_core.messages import AIMessage, AnyMessage
from langgraph.types import interrupt

from langchain_ragguard.documents import FACTS
from ragguard.errors import InvalidValueError

T = TypeVar("T")
DECISIONS = ("approve", "edit", "reject")


@dataclass(frozen=True)
class Decision:
    """What a person decided.

    Attributes:
        kind: `approve` shows the draft, `edit` another text, `reject` the message instead of an answer.
        text: that is shown, or None to go on with the message.
    """

    kind: Literal["approve", "edit", "reject"]
    text: str | None


def review_request(*, question: str, draft: str, report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an interrupt hands to the person; JSON-serialisable, and it holds the draft.

    Args:
        question: the user's.
        draft: the answer withheld.
        report: `small_report` of it.
    """
    return {
        "type": "ragguard_review",
        "question": question,
        "draft": draft,
        "ragguard": dict(report),
        "allowed_decisions": list(DECISIONS),
    }


def until_decided(request: Mapping[str, Any], read: Callable[[Any], T]) -> T:
    """Wait for a person, and after a reply that is no decision for another; return what was decided.

    The further requests say under "problem" what was wrong. LangGraph keeps every reply: were
    it raised, the thread would meet the same one at each resumption.

    Args:
        request: what the interrupt hands to the person.
        read: from what the run was resumed with to the decision; raises `InvalidValueError`.
    """
    asked = dict(request)
    while True:
        try:
            return read(interrupt(asked))
        except InvalidValueError as error:
            asked = {**request, "problem": str(error)}


def decided(reply: Any, draft: str) -> Decision:
    """Return what a run was resumed with as a decision.

    Args:
        reply: {"type": "approve"}, {"type": "edit", "text": ...}, or {"type": "reject"}
            with an optional "message"; the type alone will do.
        draft: the answer withheld.

    Raises:
        InvalidValueError: it is none of these; nothing is shown.
    """
    said = {"type": reply} if isinstance(reply, str) else reply
    kind = said.get("type") if isinstance(said, Mapping) else None
    if kind == "approve":
        return Decision("approve", draft)
    if kind == "reject":
        message = said.get("message")
        return Decision("reject", message if isinstance(message, str) and message.strip() else None)
    if kind == "edit" and isinstance(said.get("text"), str) and said["text"].strip():
        return Decision("edit", said["text"])
    raise InvalidValueError(
        "the run was resumed with no decision about the answer",
        hint='{"type": "approve"}, {"type": "edit", "text": "..."} or {"type": "reject"}',
    )


def reviewed(messages: Sequence[AnyMessage], name: str, decision: Decision) -> dict[str, Any]:
    """Return the state's update: the message of this id as decided, and nothing pending any more.

    Args:
        messages: of the thread.
        name: id of the message shown instead of the answer.
        decision: of the person; beside the message stands who had the last word.
    """
    told: dict[str, Any] = {"ragguard_review": None}
    message = next((m for m in messages if m.id == name and isinstance(m, AIMessage)), None)
    if message is not None:
        shown = message.content if decision.text is None else decision.text
        facts = {**message.response_metadata.get(FACTS, {}), "reviewed": decision.kind}
        facts["released"] = decision.kind != "reject"
        metadata = {**message.response_metadata, FACTS: facts}
        told["messages"] = [message.model_copy(update={"content": shown, "response_metadata": metadata})]
    return told
