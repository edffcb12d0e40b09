"""AnswerGuardHook: an Agent's answer is judged before the run ends."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Self

from haystack import default_from_dict, default_to_dict
from haystack.components.agents.state import State, replace_values
from haystack.dataclasses import ChatMessage, ChatRole, TextContent

from haystack_integrations.components.guards.ragguard.documents import FACTS, unscored
from haystack_integrations.components.guards.ragguard.guards import (
    answer_pipeline,
    plain_guard,
    warm_up,
)
from haystack_integrations.components.guards.ragguard.replies import (
    judged_reply,
    text_of,
    was_judged,
    without_text,
)
from haystack_integrations.components.guards.ragguard.spans import traced
from ragguard.adapting import UnattendedPolicy, require_policy
from ragguard.alignment.guard import ATTEMPT
from ragguard.pipeline import Pipeline
from ragguard.types import Passage, Report, Turn
from ragguard.withheld import shown_report
from ragguard.worker import run_on_worker

_FEEDBACK = "feedback"


class AnswerGuardHook:
    """Puts a message that may be shown in place of an Agent's answer that may not.

    Register it for both points, `hooks=hook.points()`: "on_exit", where another answer can
    still be asked for, and "after_run", which comes whatever ended the run. The last message
    is judged if it is the model's and calls no tool; a tool's result is not. Evidence is what
    lies under `documents_key` of the state (a retrieval tool with `outputs_to_state`), or
    without that key the results of tools since the last question; a tool's error is none.

    The report is in the message's meta["ragguard"], and whole in the state under "ragguard"
    if the Agent's `state_schema` has that key. What the model said beside its tool calls was
    judged by nobody and is taken out of the messages. The hook runs after the model: do not
    give such an Agent a streaming callback, which sees every token before.

    Args:
        guard: see `FactualConsistencyValidator`.
        policy: see `FactualConsistencyValidator`; "regenerate" sends the Agent back to its
            model, with what was wrong, and without the draft.
        documents_key: of the state.
        id_key: meta key that names a document.

    Raises:
        InvalidValueError: there is no such policy.
    """

    allowed_hook_points = ("on_exit", "after_run")

    def __init__(
        self,
        guard: Any = None,
        *,
        policy: UnattendedPolicy | None = None,
        documents_key: str = "documents",
        id_key: str | None = None,
    ) -> None:
        require_policy(policy, UnattendedPolicy)
        self.guard = guard
        self.policy = policy
        self.documents_key = documents_key
        self.id_key = id_key
        self._making = threading.Lock()
        self._made: Pipeline | None = None

    def points(self) -> dict[Any, list[Any]]:
        """Return the hook at each point where it belongs, as an Agent takes it."""
        return {point: [self] for point in self.allowed_hook_points}

    def to_dict(self) -> dict[str, Any]:
        """Return the hook as Haystack writes it into YAML.

        Raises:
            ConfigurationError: the guard is a live object.
        """
        written: dict[str, Any] = default_to_dict(
            self,
            guard=plain_guard(self.guard),
            policy=self.policy,
            documents_key=self.documents_key,
            id_key=self.id_key,
        )
        return written

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the hook as it was written; guards are made at warm-up."""
        made: Self = default_from_dict(cls, data)
        return made

    def warm_up(self) -> None:
        """Make the guards and load their models; again, it does nothing."""
        warm_up(self._pipeline())

    async def warm_up_async(self) -> None:
        """`warm_up`, off the event loop."""
        await run_on_worker(self.warm_up)

    def run(self, state: State) -> None:
        """Judge the last message, and replace what is at fault.

        Raises:
            RefusalError: it is refused, and the policy is "raise".
        """
        turn = self._asked(state)
        if turn is not None:
            with traced("ragguard.verify", replies=1) as span:
                self._replace(state, span, self._pipeline().check(turn))

    async def run_async(self, state: State) -> None:
        """`run`, with every guard on a worker."""
        turn = await run_on_worker(self._asked, state)
        if turn is not None:
            with traced("ragguard.verify", replies=1) as span:
                report = await self._pipeline().acheck(turn)
                await run_on_worker(self._replace, state, span, report)

    def _pipeline(self) -> Pipeline:
        with self._making:
            if self._made is None:
                self._made = answer_pipeline(self.guard, policy=self.policy)
            return self._made

    def _asked(self, state: State) -> Turn | None:
        """The turn to judge, or None where the run ends without an answer or with one judged before."""
        self._pipeline()  # made here, on the worker
        messages = _messages(state)
        last = messages[-1] if messages else None
        if last is None or last.role is not ChatRole.ASSISTANT or last.tool_calls or was_judged(last):
            _set_messages(state, [without_text(m) if _speaks_beside(m) else m for m in _settled(messages)])
            return None
        asked = _last_question(messages)
        attempts = sum(_is_feedback(message) for message in messages[asked:])
        return Turn(
            question=text_of(messages[asked]),
            passages=self._evidence(state, messages[asked:]),
            answer=text_of(last),
            metadata={ATTEMPT: attempts},
        )

    def _evidence(self, state: State, since: Sequence[ChatMessage]) -> tuple[Passage, ...]:
        if self.documents_key in state.schema:
            return unscored(state.data.get(self.documents_key) or [], id_key=self.id_key)
        results = [result for message in since for result in message.tool_call_results if not result.error]
        return tuple(
            Passage(id=f"tool:{place}", text=_result_text(result.result))
            for place, result in enumerate(results)
        )

    def _replace(self, state: State, span: Any, report: Report) -> None:
        span.set_tags({"ragguard.decision": report.action.value, "ragguard.reason_code": report.reason.value})
        if "ragguard" in state.schema:
            state.set("ragguard", shown_report(report), handler_override=replace_values)
        messages = _messages(state)
        shown = judged_reply(messages[-1], report)
        kept = [without_text(m) if _speaks_beside(m) else m for m in messages[:-1]]
        if (report.request or {}).get("do") == "regenerate":
            said = ChatMessage.from_user(
                str((report.request or {})["feedback"]), meta={FACTS: {_FEEDBACK: True}}
            )
            _set_messages(state, [*kept, shown, said])
            state.set("continue_run", True)
            return
        _set_messages(state, _settled([*kept, shown]))
        if self.policy == "raise":
            report.raise_for_refusal()


def _messages(state: State) -> list[ChatMessage]:
    return list(state.data.get("messages") or [])


def _set_messages(state: State, messages: list[ChatMessage]) -> None:
    state.set("messages", messages, handler_override=replace_values)


def _last_question(messages: Sequence[ChatMessage]) -> int:
    """The place of the user's last message; of the first message where there is none."""
    asked = [i for i, m in enumerate(messages) if m.role is ChatRole.USER and not _is_feedback(m)]
    return asked[-1] if asked else 0


def _is_feedback(message: ChatMessage) -> bool:
    said = message.meta.get(FACTS)
    return message.role is ChatRole.USER and isinstance(said, dict) and said.get(_FEEDBACK) is True


def _settled(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The messages without our feedback, and without the refusals that it followed, except the last."""
    places = {i for i, message in enumerate(messages) if _is_feedback(message)}
    before = {i - 1 for i in places}
    if places and max(places) == len(messages) - 1:
        before.discard(len(messages) - 2)  # the run ended before another answer: this refusal is it
    return [message for i, message in enumerate(messages) if i not in places | before]


def _speaks_beside(message: ChatMessage) -> bool:
    return message.role is ChatRole.ASSISTANT and bool(message.tool_calls)


def _result_text(result: Any) -> str:
    if isinstance(result, str):
        return result
    return "\n".join(part.text for part in result if isinstance(part, TextContent))
