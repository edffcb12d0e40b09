"""A person decides about an answer that was withheld, in a node of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

from langgraph.graph import END
from langgraph.types import Command

from langchain_ragguard.graph_node import Node
from langchain_ragguard.graph_state import Keys, reviewed, value
from langchain_ragguard.middleware_review import until_decided
from ragguard.errors import InvalidValueError

Decision: TypeAlias = Literal["approve", "edit", "reject", "respond"]
"""The words of LangChain's `HumanInTheLoopMiddleware`."""


def human_review_node(
    *,
    to: str = END,
    verify: str = "verify",
    allowed: Sequence[Decision] = get_args(Decision),
    keys: Keys | None = None,
) -> Node:
    """Return a node that waits for a person, shows as they decide, and goes on.

    It holds nothing but the interrupt: on resumption a node runs again from its start,
    and no guard and no model is in this one. It needs a checkpointer, and a
    `verify_node(policy="interrupt", fail=<this node>)` before it. The interrupt's value is
    JSON: "type" is "ragguard_review", beside it "question", "draft", "ragguard" (the small
    report) and "allowed_decisions". The draft is in it, and in the thread's state: show
    that stream to the person alone.

    Resume with {"type": "approve"} to show the draft; {"type": "edit", "text": ...} to have
    another text judged like any answer; {"type": "reject"}, with an optional "message", to
    leave it at the guard's message; {"type": "respond", "message": ...} to answer instead of the
    model, unjudged. Any other reply is answered by another interrupt, whose "problem" says
    what was wrong.

    Args:
        to: the node to go to after the decision.
        verify: the node that judges an edited answer.
        allowed: decisions that a person may take.
        keys: of the state.

    Raises:
        InvalidValueError: `allowed` names no decision.
    """
    unknown = sorted(set(allowed) - set(get_args(Decision)))
    if isinstance(allowed, str) or unknown or not allowed:
        raise InvalidValueError(f"allowed names {unknown or allowed!r}", hint=", ".join(get_args(Decision)))
    names = keys or Keys()

    def review(state: Any) -> Command[Any]:
        waiting = value(state, names.review)
        if not isinstance(waiting, Mapping):
            return Command(goto=to)
        asked = {k: v for k, v in waiting.items() if k in ("type", "question", "draft", "ragguard")}
        request = {**asked, "allowed_decisions": list(allowed)}
        kind, text = until_decided(request, lambda reply: _decided(reply, allowed))
        if kind == "edit":
            return Command(goto=verify, update={names.review: {**waiting, "edited": text}})
        instead = {"approve": waiting["draft"], "reject": waiting["instead"]}.get(kind, "")
        return Command(goto=to, update=reviewed(state, text or instead, kind, names))

    async def areview(state: Any) -> Command[Any]:
        return review(state)

    return Node(review, areview, name="ragguard.human_review", goes=(to, verify))


def _decided(reply: Any, allowed: Sequence[Decision]) -> tuple[Decision, str]:
    """What a run was resumed with, as a decision and its text.

    Raises:
        InvalidValueError: it is no decision that is allowed; nothing is shown.
    """
    said = reply if isinstance(reply, Mapping) else {"type": reply}
    kind = next((known for known in allowed if known == said.get("type")), None)
    found = said.get("text" if kind == "edit" else "message")
    text = found if isinstance(found, str) and found.strip() and kind != "approve" else ""
    if kind is None or (kind in ("edit", "respond") and not text):
        raise InvalidValueError(
            "the run was resumed with no decision that is allowed about the answer",
            hint='{"type": "approve" | "reject"}, {"type": "edit", "text": ...}, {"type": "respond", "message": ...}'
            f"; allowed: {', '.join(allowed)}",
        )
    return kind, text
