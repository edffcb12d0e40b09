"""RagGuardQueryEngine: any query engine, its answers judged before anything of them is shown."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.response.schema import (
    RESPONSE_TYPE,
    AsyncStreamingResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.callbacks.base import CallbackManager
from llama_index.core.prompts.mixin import PromptMixinType
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle

from llama_index_ragguard.conformal import ConformalNodePostprocessor
from llama_index_ragguard.guards import before_the_answer
from llama_index_ragguard.judging import Asked, Call, Flow, Judge, adrive, check, drive, on_worker
from llama_index_ragguard.nodes import FACTS
from llama_index_ragguard.responses import Reading
from llama_index_ragguard.retrieval import noted_reports
from llama_index_ragguard.streaming import (
    aclosed,
    agated,
    apieces,
    closed,
    ending,
    gated,
    is_stream,
    pieces,
)
from ragguard.adapting import (
    StreamMode,
    UnattendedPolicy,
    as_pipeline,
    require_mode,
    require_policy,
    under_policy,
)
from ragguard.stream import StreamGate
from ragguard.types import Report, Turn
from ragguard.worker import run_on_worker


class RagGuardQueryEngine(BaseQueryEngine):
    """Answers as the engine does, after the guard has released the answer; of any other nothing comes out.

    A refusal is an ordinary response: its text is the guard's message, and
    metadata["ragguard"] holds the report as JSON, without the text that is withheld. An
    engine that found nothing, and says "Empty Response", becomes a refusal for want of
    evidence. Evidence are the texts of the response's source nodes; those that a guard
    drops are dropped here too. Where a `ConformalNodePostprocessor` cut them and the
    guard is its own, the retrieval promise stays with the answer.

    A stream comes out as a stream. "withhold" holds the answer back, judges it as a whole
    and passes it on as one piece; "sentence" passes on each sentence once it is judged,
    and what has been shown cannot be taken back. In both, metadata["ragguard"] is None
    until the answer has ended. Awaited, an engine always streams asynchronously.

    Callbacks and instrumentation of the engine inside see its raw answer, as they are
    meant to; the events of this one do not.

    Args:
        query_engine: the user's.
        guard: a `ragguard.Guard`, a `Pipeline`, or guards and `Step`s in order; one must judge answers.
        policy: what becomes of an answer that is not supported: "refuse", "redact",
            "annotate", "regenerate" (from the same nodes, told what was wrong) or "raise";
            None leaves it to the guard.
        mode: of a stream, "withhold" or "sentence".
        id_key: metadata key that names a node; by default that of the engine's own cut,
            else node ids are the names.
        metadata_mode: which metadata of a node are evidence too, e.g. `MetadataMode.LLM`
            for all that the language model reads.
        fields: of a structured answer, those to judge; every one by default.
        empty_response: what the engine says where there is no answer.
        callback_manager: the engine's by default.

    Raises:
        ConfigurationError: no guard judges answers, or policy, guard and mode do not go together.
        CalibrationMismatchError: the engine's own retriever, or what stands before its
            cut, is not the one calibrated.
    """

    def __init__(
        self,
        query_engine: BaseQueryEngine,
        guard: Any,
        *,
        policy: UnattendedPolicy | None = None,
        mode: StreamMode = "withhold",
        id_key: str | None = None,
        metadata_mode: MetadataMode = MetadataMode.NONE,
        fields: Sequence[str] | None = None,
        empty_response: str = "Empty Response",
        callback_manager: CallbackManager | None = None,
    ) -> None:
        require_policy(policy, UnattendedPolicy)
        require_mode(mode, policy)
        cut = _verified_cut(query_engine)
        reading = Reading(
            id_key=cut.id_key if id_key is None and cut is not None else id_key,
            mode=metadata_mode,
            fields=fields,
            empty=empty_response,
        )
        self._engine, self._policy, self._mode = query_engine, policy, mode
        self._judge = Judge(query_engine, under_policy(as_pipeline(guard), policy), reading)
        self._early = before_the_answer(self._judge.pipeline)
        super().__init__(callback_manager=callback_manager or query_engine.callback_manager)

    def retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """Return the nodes that the engine retrieves."""
        found: list[NodeWithScore] = self._engine.retrieve(query_bundle)
        return found

    async def aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """`retrieve`, through the engine's own, or on a thread where it has none."""
        native = getattr(self._engine, "aretrieve", None)
        if callable(native):
            return list(await native(query_bundle))
        return await run_on_worker(self.retrieve, query_bundle)

    def synthesize(
        self,
        query_bundle: QueryBundle,
        nodes: list[NodeWithScore],
        additional_source_nodes: Sequence[NodeWithScore] | None = None,
    ) -> RESPONSE_TYPE:
        """Answer from these nodes, judged; nothing is promised of how they were retrieved."""
        response = self._engine.synthesize(query_bundle, nodes, additional_source_nodes)
        return self._answered(Asked(query_bundle, response))

    async def asynthesize(
        self,
        query_bundle: QueryBundle,
        nodes: list[NodeWithScore],
        additional_source_nodes: Sequence[NodeWithScore] | None = None,
    ) -> RESPONSE_TYPE:
        """`synthesize`, with every guard on a worker."""
        response = await self._engine.asynthesize(query_bundle, nodes, additional_source_nodes)
        return await self._aanswered(Asked(query_bundle, response))

    def _query(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        with noted_reports() as reports:
            response = self._engine.query(query_bundle)
        return self._answered(Asked(query_bundle, response, tuple(reports)))

    async def _aquery(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        with noted_reports() as reports:
            response = await self._engine.aquery(query_bundle)
        return await self._aanswered(Asked(query_bundle, response, tuple(reports)))

    def _get_prompt_modules(self) -> PromptMixinType:
        return {"query_engine": self._engine}

    def _answered(self, asked: Asked) -> RESPONSE_TYPE:
        if is_stream(asked.response):
            return drive(self._streamed(asked, type(asked.response)))
        return self._permitted(*drive(self._judge.judged(asked)))

    async def _aanswered(self, asked: Asked) -> RESPONSE_TYPE:
        if is_stream(asked.response):
            return await adrive(self._streamed(asked, AsyncStreamingResponse))
        return self._permitted(*(await adrive(self._judge.judged(asked))))

    def _permitted(self, report: Report, shown: RESPONSE_TYPE) -> RESPONSE_TYPE:
        if self._policy == "raise":
            report.raise_for_refusal()
        return shown

    def _streamed(self, asked: Asked, kind: type[StreamingResponse | AsyncStreamingResponse]) -> Flow:
        """Return a stream of what may be shown; a turn that ends before its answer ends here."""
        reading, nodes = self._judge.reading, list(asked.response.source_nodes)
        turn = yield on_worker(reading.turn, asked.question, nodes, asked.reports)
        ended = None
        if not nodes:
            ended = yield from self._judge.without_evidence(asked)
        elif self._early is not None:
            early = yield check(self._early, turn)
            if early.released:
                nodes = reading.kept(early, nodes)
            else:
                ended = yield check(self._judge.pipeline, turn)  # once more, for the observers
        held = Held(asked, turn, ended, nodes, {n.node.node_id: n.node.metadata for n in nodes})
        held.metadata[FACTS] = None
        source = self._asaid(held) if kind is AsyncStreamingResponse else self._said(held)
        return kind(response_gen=source, source_nodes=held.nodes, metadata=held.metadata)

    def _said(self, held: Held) -> Iterator[str]:
        if held.ended is not None or self._mode == "withhold":
            yield drive(self._finished(held))
            return
        gate = StreamGate(self._judge.pipeline, held.turn)
        yield from gated(gate, pieces(held.asked.response))
        shown = len(gate.released)
        rest = self._last(held, gate, shown, gate.finish())
        if rest:
            yield rest

    async def _asaid(self, held: Held) -> AsyncGenerator[str, None]:
        if held.ended is not None or self._mode == "withhold":
            yield await adrive(self._finished(held))
            return
        gate = StreamGate(self._judge.pipeline, held.turn)
        async with aclosing(agated(gate, apieces(held.asked.response))) as released:
            async for piece in released:
                yield piece
        shown = len(gate.released)
        rest = await run_on_worker(self._last, held, gate, shown, await gate.afinish())
        if rest:
            yield rest

    def _finished(self, held: Held) -> Flow:
        """The one piece of an answer that was withheld until it was judged."""
        if held.ended is None:
            report, shown = yield from self._judge.judged(held.asked)
        else:
            yield Call(lambda: closed(held.asked.response), lambda: aclosed(held.asked.response))
            report, shown = held.ended, self._judge.reading.shown(held.ended, held.asked.response)
        held.tell(shown)
        return self._permitted(report, shown).response

    def _last(self, held: Held, gate: StreamGate, shown: int, report: Report) -> str:
        """What is still to be shown after the last piece."""
        report, rest = ending(gate, shown, report)
        told = self._judge.reading.shown(report, held.asked.response)
        held.tell(told)
        self._permitted(report, told)
        return rest


@dataclass
class Held:
    """A stream on its way: what is known before its answer has ended, and what is told once it has."""

    asked: Asked
    turn: Turn
    ended: Report | None
    nodes: list[NodeWithScore]
    metadata: dict[str, Any]

    def tell(self, shown: Response) -> None:
        """Fill in the response that the caller already has."""
        self.nodes[:] = shown.source_nodes
        self.metadata.clear()
        self.metadata.update(shown.metadata or {})


def _verified_cut(engine: BaseQueryEngine) -> ConformalNodePostprocessor | None:
    """The engine's first cut, if it shows one, held against the engine's own retriever."""
    parts = list(getattr(engine, "_node_postprocessors", None) or ())
    for place, part in enumerate(parts):
        if isinstance(part, ConformalNodePostprocessor):
            retriever = getattr(engine, "retriever", None)
            if isinstance(retriever, BaseRetriever):
                part.verify(retriever, parts[:place])
            return part
    return None
