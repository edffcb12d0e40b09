"""AnswerStreamGate: a generator inside a pipeline streams through the guards."""

from __future__ import annotations

import threading
from typing import Any, Self

from haystack import component, default_from_dict, default_to_dict
from haystack.dataclasses import Document, StreamingCallbackT

from haystack_integrations.components.guards.ragguard.guards import (
    answer_pipeline,
    plain_calibration,
    plain_guard,
    warm_up,
)
from haystack_integrations.components.guards.ragguard.streaming import (
    GuardedStream,
    as_async_callback,
    as_callback,
)
from haystack_integrations.components.guards.ragguard.turns import asked_turn
from ragguard.adapting import StreamMode, require_mode
from ragguard.pipeline import Pipeline
from ragguard.worker import run_on_worker


@component
class AnswerStreamGate:
    """Makes, for each question, the streaming callback of the generator after it.

    Connect `streaming_callback` to the generator's, and documents or the gate's report to this
    component, and give your own callback to this component instead of to the generator: it is
    told only of what the guards released, see `GuardedStream`. `Pipeline.stream(data,
    streaming_components=["..."])` with this component's name yields those chunks.

    Args:
        guard: see `FactualConsistencyValidator`.
        calibration: see `FactualConsistencyValidator`.
        mode: "withhold" passes on whole answers, "sentence" each sentence once it is judged.
        id_key: meta key that names a document, as for the gate.

    Raises:
        InvalidValueError: there is no such mode.
    """

    def __init__(
        self,
        guard: Any = None,
        *,
        calibration: Any = None,
        mode: StreamMode = "withhold",
        id_key: str | None = None,
    ) -> None:
        require_mode(mode)
        self.guard = guard
        self.calibration = calibration
        self.mode = mode
        self.id_key = id_key
        self._making = threading.Lock()
        self._made: Pipeline | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the component as Haystack writes it into YAML.

        Raises:
            ConfigurationError: guard or calibration is a live object.
        """
        written: dict[str, Any] = default_to_dict(
            self,
            guard=plain_guard(self.guard),
            calibration=plain_calibration(self.calibration),
            mode=self.mode,
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
            ConfigurationError: no guard judges answers.
            ArtifactError: the calibration cannot be used.
        """
        warm_up(self._pipeline())

    async def warm_up_async(self) -> None:
        """`warm_up`, off the event loop."""
        await run_on_worker(self.warm_up)

    @component.output_types(streaming_callback=StreamingCallbackT | None)
    def run(
        self,
        query: str,
        documents: list[Document] | None = None,
        retrieval: dict[str, Any] | None = None,
        streaming_callback: StreamingCallbackT | None = None,
    ) -> dict[str, Any]:
        """Return {"streaming_callback"}: the guarded one, or None where nobody listens.

        Args:
            query: a standalone question.
            documents: what the generator reads; None takes those of `retrieval`.
            retrieval: the gate's report.
            streaming_callback: told of what is released.

        Raises:
            InvalidValueError: there is nothing to judge by.
        """
        if streaming_callback is None:
            return {"streaming_callback": None}
        guarded = self._guarded(query, documents, retrieval, streaming_callback)
        return {"streaming_callback": as_callback(guarded)}

    @component.output_types(streaming_callback=StreamingCallbackT | None)
    async def run_async(
        self,
        query: str,
        documents: list[Document] | None = None,
        retrieval: dict[str, Any] | None = None,
        streaming_callback: StreamingCallbackT | None = None,
    ) -> dict[str, Any]:
        """`run`; the callback is a coroutine function, with every guard on a worker."""
        if streaming_callback is None:
            return {"streaming_callback": None}
        guarded = await run_on_worker(self._guarded, query, documents, retrieval, streaming_callback)
        return {"streaming_callback": as_async_callback(guarded)}

    def _pipeline(self) -> Pipeline:
        with self._making:
            if self._made is None:
                self._made = answer_pipeline(self.guard, calibration=self.calibration)
            return self._made

    def _guarded(
        self, query: str, documents: Any, retrieval: Any, callback: StreamingCallbackT
    ) -> GuardedStream:
        turn = asked_turn(query, documents, retrieval=retrieval, id_key=self.id_key)
        return GuardedStream(self._pipeline(), turn, callback=callback, mode=self.mode)
