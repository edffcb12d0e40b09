"""FactualConsistencyValidator: replies that the documents support go one way, all others another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any, Self

from haystack import component, default_from_dict, default_to_dict
from haystack.core.serialization import component_to_dict
from haystack.dataclasses import ChatMessage, Document, StreamingCallbackT, StreamingChunk

from haystack_integrations.components.guards.ragguard.guards import (
    answer_pipeline,
    plain_calibration,
    plain_guard,
    warm_up,
)
from haystack_integrations.components.guards.ragguard.regeneration import Rewriting, require_silent
from haystack_integrations.components.guards.ragguard.replies import (
    is_unjudged,
    judged_reply,
    require_replies,
    text_of,
    without_text,
)
from haystack_integrations.components.guards.ragguard.spans import traced
from haystack_integrations.components.guards.ragguard.turns import asked_turn
from ragguard.adapting import UnattendedPolicy, require_policy
from ragguard.pipeline import Pipeline
from ragguard.types import Report, Turn
from ragguard.withheld import shown_report
from ragguard.worker import run_on_worker

_OUTPUTS: dict[str, Any] = {
    "accepted": list[ChatMessage],
    "refused": list[ChatMessage],
    "replies": list[ChatMessage],
    "report": dict[str, Any],
    "reports": list[dict[str, Any]],
}


@component
class FactualConsistencyValidator:
    """Passes on a reply only after the guard has released it; of any other nothing comes out.

    Of its outputs, `accepted` holds the replies released and `refused` a message in place of
    each that was not; the key of an empty one is left out, so that its branch does not run.
    `replies` holds both, in order, for an `AnswerBuilder`. Every message carries a small
    report under meta["ragguard"]. `report` is that of the first reply refused, else of the
    first; `reports` holds one a reply, in order. None of them quotes what is withheld.

    A reply that calls tools is passed on as accepted and unjudged, without the text beside
    the call. An empty reply, or none at all, is refused. Reasoning is not judged, and is not
    passed on.

    Args:
        guard: None for `ConsistencyGuard` with the bundled model; a mapping of settings
            ({"guards": [{"use": "consistency", "options": {...}}]}) or the path of a file of
            them; or a live `ragguard.Guard`, `Pipeline`, guard or list of guards, which
            cannot be written into YAML.
        calibration: the folder that the gate serves, so that its promise stays with the answer.
        policy: for an answer at fault: "refuse" it, "redact" the claims at fault, "annotate"
            and accept it, "regenerate" it with `generator`, or "raise"; None leaves it to the guard.
        generator: a chat generator without a streaming callback; with "regenerate", asked
            again inside this component, so that no draft is seen outside.
        id_key: meta key that names a document, as for the gate.

    Raises:
        InvalidValueError: there is no such policy.
        ConfigurationError: the generator streams.
    """

    def __init__(
        self,
        guard: Any = None,
        *,
        calibration: Any = None,
        policy: UnattendedPolicy | None = None,
        generator: Any = None,
        id_key: str | None = None,
    ) -> None:
        require_policy(policy, UnattendedPolicy)
        require_silent(generator)
        self.guard = guard
        self.calibration = calibration
        self.policy = policy
        self.generator = generator
        self.id_key = id_key
        self._making = threading.Lock()
        self._made: Pipeline | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the component as Haystack writes it into YAML.

        Raises:
            ConfigurationError: guard or calibration is a live object.
        """
        generator = None if self.generator is None else component_to_dict(self.generator, "generator")
        written: dict[str, Any] = default_to_dict(
            self,
            guard=plain_guard(self.guard),
            calibration=plain_calibration(self.calibration),
            policy=self.policy,
            generator=generator,
            id_key=self.id_key,
        )
        return written

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the component as it was written; guards are made at warm-up."""
        made: Self = default_from_dict(cls, data)
        return made

    def warm_up(self) -> None:
        """Make the guards and load their models; again, it does nothing.

        Raises:
            ConfigurationError: no guard judges answers, or none knows the policy.
            ArtifactError: the calibration cannot be used.
        """
        warm_up(self._pipeline())
        if callable(warm := getattr(self.generator, "warm_up", None)):
            warm()

    async def warm_up_async(self) -> None:
        """`warm_up`, off the event loop."""
        await run_on_worker(self.warm_up)

    @component.output_types(**_OUTPUTS)
    def run(
        self,
        query: str,
        replies: list[ChatMessage] | list[str],
        documents: list[Document] | None = None,
        retrieval: dict[str, Any] | None = None,
        messages: list[ChatMessage] | None = None,
        streaming_callback: StreamingCallbackT | None = None,
    ) -> dict[str, Any]:
        """Return the replies judged, see the class.

        Args:
            query: a standalone question.
            replies: of a generator.
            documents: what it read; None takes those of `retrieval`.
            retrieval: the gate's report.
            messages: the prompt; needed for the policy "regenerate".
            streaming_callback: given the text of each reply of `replies` once it is judged.

        Raises:
            InvalidValueError: there is nothing to judge by, or something else than replies.
            RefusalError: a reply is refused, and the policy is "raise".
        """
        with traced("ragguard.verify", replies=len(replies or ())) as span:
            turn, given = self._asked(query, replies, documents, retrieval)
            reports = [self._report(turn, reply, messages) for reply in given]
            found = self._handed_on(span, given, reports)
            if streaming_callback is not None:
                for message in found["replies"]:
                    streaming_callback(_chunk(message))
            return found

    @component.output_types(**_OUTPUTS)
    async def run_async(
        self,
        query: str,
        replies: list[ChatMessage] | list[str],
        documents: list[Document] | None = None,
        retrieval: dict[str, Any] | None = None,
        messages: list[ChatMessage] | None = None,
        streaming_callback: StreamingCallbackT | None = None,
    ) -> dict[str, Any]:
        """`run`, with every guard on a worker; several replies are judged side by side."""
        with traced("ragguard.verify", replies=len(replies or ())) as span:
            turn, given = await run_on_worker(self._asked, query, replies, documents, retrieval)
            reports = await asyncio.gather(*(self._areport(turn, reply, messages) for reply in given))
            found = await run_on_worker(self._handed_on, span, given, reports)
            if streaming_callback is not None:
                for message in found["replies"]:
                    told = streaming_callback(_chunk(message))
                    if told is not None:
                        await told
            return found

    def _pipeline(self) -> Pipeline:
        with self._making:
            if self._made is None:
                self._made = answer_pipeline(self.guard, calibration=self.calibration, policy=self.policy)
            return self._made

    def _asked(
        self, query: str, replies: Any, documents: Any, retrieval: dict[str, Any] | None
    ) -> tuple[Turn | Report, list[ChatMessage | str | None]]:
        self._pipeline()  # made here, on the worker
        given = require_replies(replies)
        return asked_turn(query, documents, retrieval=retrieval, id_key=self.id_key), given

    def _report(self, turn: Turn | Report, reply: Any, messages: list[ChatMessage] | None) -> Report | None:
        if is_unjudged(reply):
            return None
        if isinstance(turn, Report):
            return turn
        rewriting = Rewriting(self.generator, turn, messages)
        report = self._pipeline().check(turn.replace(answer=text_of(reply)))
        while rewriting.wanted(report):
            report = self._pipeline().check(rewriting.again(report))
        return report

    async def _areport(
        self, turn: Turn | Report, reply: Any, messages: list[ChatMessage] | None
    ) -> Report | None:
        if is_unjudged(reply):
            return None
        if isinstance(turn, Report):
            return turn
        rewriting = Rewriting(self.generator, turn, messages)
        report = await self._pipeline().acheck(turn.replace(answer=text_of(reply)))
        while rewriting.wanted(report):
            report = await self._pipeline().acheck(await rewriting.aagain(report))
        return report

    def _handed_on(self, span: Any, given: Sequence[Any], reports: Sequence[Report | None]) -> dict[str, Any]:
        known = [report for report in reports if report is not None]
        if self.policy == "raise":
            for report in known:
                report.raise_for_refusal()
        shown = [
            without_text(reply) if report is None else judged_reply(reply, report)
            for reply, report in zip(given, reports, strict=True)
        ]
        decisive = next((r for r in known if not r.released), known[0] if known else None)
        said = [{"unjudged": "tool_call"} if r is None else shown_report(r) for r in reports]
        found: dict[str, Any] = {"replies": shown, "reports": said, "report": said[0]}
        if decisive is not None:
            found["report"] = said[[r is decisive for r in reports].index(True)]
            span.set_tags(
                {"ragguard.decision": decisive.action.value, "ragguard.reason_code": decisive.reason.value}
            )
        for key, wanted in (("accepted", True), ("refused", False)):
            side = [m for m, r in zip(shown, reports, strict=True) if (r is None or r.released) is wanted]
            if side:
                found[key] = side
        return found


def _chunk(message: ChatMessage) -> StreamingChunk:
    return StreamingChunk(
        content=message.text or "", meta=dict(message.meta), index=0, start=True, finish_reason="stop"
    )
