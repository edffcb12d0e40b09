"""The node that judges a graph's answer, and, if it drafts the answer too, shows nothing before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableLambda
from langgraph.graph import END
from langgraph.types import Command

from langchain_ragguard.critique import critique
from langchain_ragguard.documents import FACTS
from langchain_ragguard.graph_node import Node
from langchain_ragguard.graph_state import (
    Keys,
    drafted_in,
    judged,
    question_in,
    shown,
    text_of,
    turn_in,
    value,
)
from langchain_ragguard.middleware_messages import calling_message
from langchain_ragguard.middleware_policy import RagGuardContext, carrying_out
from langchain_ragguard.middleware_review import review_request
from langchain_ragguard.muting import muted
from ragguard.adapting import Policy, as_pipeline
from ragguard.alignment.guard import ATTEMPT
from ragguard.errors import ConfigurationError
from ragguard.pipeline import Pipeline
from ragguard.types import Report, Turn
from ragguard.withheld import small_report
from ragguard.worker import run_on_worker

FEEDBACK = "ragguard_feedback"
"""Key under which a draft that is asked for anew finds what stood against the one before; in no graph's state."""
Drafted = AIMessage | str


def verify_node(
    guard: Any,
    *,
    ok: str = END,
    fail: str = END,
    calls: str | None = None,
    draft: Callable[[Any], Any] | Runnable[Any, Any] | None = None,
    policy: Policy | None = None,
    max_retries: int | None = None,
    require_evidence: bool = True,
    keys: Keys | None = None,
) -> Node:
    """Return a node that judges the answer and writes what may be shown of it, under the message's own id.

    With `draft` the answer is made inside the node: no state, and with that no stream of the
    graph, ever holds a text that is withheld. Without it the answer is the state's, and
    whoever streams the state has seen it before it is judged; mute the model that wrote it
    (`muted`) and keep it out of `messages`, to keep at least its tokens in. A graph that drafts is
    heard by nobody either; what it goes through is in the checkpointer, under a namespace of its
    own, unless it was compiled with `checkpointer=False`.

    A message that calls tools is passed on without its words. The passages are the
    documents of the state; with `Keys(messages=...)` and no documents, what tools have found
    since the question.

    Args:
        guard: a `ragguard.Guard`, a `Pipeline`, or guards in order; one must judge answers.
        ok: the node to go to with an answer that is shown.
        fail: the node to go to with one that is withheld; for "interrupt" one of `human_review_node`.
        calls: the node to go to with a message that calls tools; `ok` by default.
        draft: from the state to text or a message; a function, of either kind, or a runnable.
            Interrupts and exceptions pass through it.
        policy: what becomes of an answer that fails: "refuse", "redact", "annotate", "raise";
            "regenerate" asks `draft` again, with the critique under "ragguard_feedback" beside
            the state; "interrupt" keeps it, for a person, under the key `review`. None leaves
            it to the guards.
        max_retries: with "regenerate", how often; None leaves it to the guards.
        require_evidence: whether an answer without any passage is withheld. False lets one
            for which nobody retrieved pass unjudged.
        keys: of the state.

    Raises:
        ConfigurationError: no guard judges answers, none can carry out the policy, or
            "regenerate" has no `draft` to ask.
    """
    if policy == "regenerate" and draft is None:
        raise ConfigurationError("an answer of the state cannot be asked for anew", hint="pass draft=...")
    pipeline = carrying_out(as_pipeline(guard), RagGuardContext(policy, max_retries, require_evidence))
    made = _Verifying(pipeline, keys or Keys(), policy=policy, require_evidence=require_evidence)
    source = None if draft is None else muted(draft if isinstance(draft, Runnable) else RunnableLambda(draft))

    def goes(update: dict[str, Any], report: Report | None) -> Command[Any]:
        return Command(goto=fail if report is not None and not report.released else ok, update=update)

    def verify(state: Any) -> Command[Any]:
        given, attempt = state, 0
        while True:
            drafted = made.waiting(state) or (
                drafted_in(state, made.keys) if source is None else source.invoke(given)
            )
            if (called := made.calling(drafted)) is not None:
                return Command(goto=calls or ok, update=called)
            asked = made.asked(state, drafted, attempt)
            report = made.pipeline.check(asked) if isinstance(asked, Turn) else asked
            if (again := made.again(state, drafted, report)) is None:
                return goes(made.update(state, drafted, report), report)
            given, attempt = again, attempt + 1

    async def averify(state: Any) -> Command[Any]:
        given, attempt = state, 0
        while True:
            drafted = made.waiting(state) or (
                drafted_in(state, made.keys) if source is None else await source.ainvoke(given)
            )
            if (called := made.calling(drafted)) is not None:
                return Command(goto=calls or ok, update=called)
            asked = await run_on_worker(made.asked, state, drafted, attempt)
            report = await made.pipeline.acheck(asked) if isinstance(asked, Turn) else asked
            if (again := made.again(state, drafted, report)) is None:
                return goes(await run_on_worker(made.update, state, drafted, report), report)
            given, attempt = again, attempt + 1

    return Node(verify, averify, name="ragguard.verify", goes=(ok, fail, calls or ok))


class _Verifying:
    """What both sides of the node share: everything but the calls that take their time."""

    def __init__(
        self, pipeline: Pipeline, keys: Keys, *, policy: Policy | None, require_evidence: bool
    ) -> None:
        self.pipeline = pipeline
        self.keys = keys
        self._policy = policy
        self._required = require_evidence

    def waiting(self, state: Any) -> AIMessage | None:
        """An answer that a person has edited, to be judged like any other."""
        found = value(state, self.keys.review)
        if not isinstance(found, Mapping) or not isinstance(found.get("edited"), str):
            return None
        return AIMessage(found["edited"], id=found.get("message_id"))

    def calling(self, drafted: Any) -> dict[str, Any] | None:
        """The update for a message that calls tools; None for any other."""
        if self.keys.messages is None or not isinstance(drafted, AIMessage) or not drafted.tool_calls:
            return None
        return {self.keys.messages: [calling_message(drafted)]}

    def asked(self, state: Any, drafted: Drafted, attempt: int) -> Turn | Report | None:
        """What the draft is judged in; None where it is not judged."""
        found = turn_in(state, self.keys, text_of(drafted))
        if found is None and self._required:
            found = Turn(question=question_in(state, self.keys), passages=(), answer=text_of(drafted))
        if isinstance(found, Turn):
            return found.replace(metadata={**found.metadata, ATTEMPT: attempt})
        return found

    def again(self, state: Any, drafted: Drafted, report: Report | None) -> dict[str, Any] | None:
        """What to draft anew from; None where this draft is the last."""
        if report is None or self._policy != "regenerate" or (report.request or {}).get("do") != "regenerate":
            return None
        held = state if isinstance(state, Mapping) else vars(state)
        return {**held, FEEDBACK: critique(report, text_of(drafted))}

    def update(self, state: Any, drafted: Drafted, report: Report | None) -> dict[str, Any]:
        """What is written; the draft only where a person is to see it.

        Raises:
            RefusalError: the answer is withheld and the policy is "raise".
        """
        if report is None:
            update = shown(drafted, text_of(drafted), {"judged": False}, self.keys)
            return {**update, self.keys.report: {"judged": False}}
        if self._policy == "raise":
            report.raise_for_refusal()
        update = judged(drafted, report, self.keys)
        if self.waiting(state) is not None:
            update[self.keys.report]["reviewed"] = "edit"
        if self._policy != "interrupt":
            return update
        return {
            **update,
            self.keys.review: None if report.released else self._review(state, drafted, update, report),
        }

    def _review(self, state: Any, drafted: Drafted, update: dict[str, Any], report: Report) -> dict[str, Any]:
        draft, question = text_of(drafted), question_in(state, self.keys)
        request = review_request(question=question, draft=draft, report=small_report(report))
        name = None
        if self.keys.messages is not None:
            name = update[self.keys.messages][0].id
        return {**request, FACTS: small_report(report), "message_id": name, "instead": report.text or ""}
