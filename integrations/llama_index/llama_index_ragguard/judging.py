"""The order of judging one response, written once; a synchronous and an asynchronous driver make the calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import Response
from llama_index.core.schema import NodeWithScore, QueryBundle

from llama_index_ragguard.guards import RequiredEvidence
from llama_index_ragguard.responses import Reading
from llama_index_ragguard.streaming import awhole, is_stream, whole
from ragguard.adapting import with_steps
from ragguard.alignment.guard import ATTEMPT
from ragguard.pipeline import Pipeline, Step
from ragguard.types import Report, Turn
from ragguard.worker import run_on_worker


@dataclass(frozen=True)
class Call:
    """Please do this, at once or on an event loop, and return what it returns."""

    now: Callable[[], Any]
    soon: Callable[[], Awaitable[Any]]


Flow: TypeAlias = Generator[Call, Any, Any]


def drive(flow: Flow) -> Any:
    """Make the calls of a flow and return what it returns."""
    reply: Any = None
    while True:
        try:
            wanted = flow.send(reply)
        except StopIteration as done:
            return done.value
        reply = wanted.now()


async def adrive(flow: Flow) -> Any:
    """`drive`, without blocking the event loop."""
    reply: Any = None
    while True:
        try:
            wanted = flow.send(reply)
        except StopIteration as done:
            return done.value
        reply = await wanted.soon()


@dataclass(frozen=True)
class Asked:
    """One query that an engine has answered, finished or as a stream.

    Attributes:
        bundle: the query.
        response: the engine's own.
        reports: of the retrievals that went through a cut on the way.
    """

    bundle: QueryBundle
    response: Any
    reports: Sequence[Report] = ()

    @property
    def question(self) -> str:
        """As the user asked it."""
        return str(self.bundle.query_str)


@dataclass(frozen=True)
class Judge:
    """Judges what an engine answered, and asks it again where a guard wants that.

    Attributes:
        engine: the user's.
        pipeline: of guards.
        reading: of responses.
    """

    engine: BaseQueryEngine
    pipeline: Pipeline
    reading: Reading

    def judged(self, asked: Asked) -> Flow:
        """Return the report and the response that may be shown; the answer of a stream is read to its end."""
        answered = asked.response
        if not answered.source_nodes:
            report = yield from self.without_evidence(asked)
            return report, self.reading.shown(report, Response(None))
        turn = yield on_worker(self.reading.turn, asked.question, answered.source_nodes, asked.reports)
        while True:
            answered = yield from self._finished(answered)
            turn = turn.replace(answer=self.reading.text(answered.response))
            report = yield check(self.pipeline, turn)
            again = yield from self._again(asked, answered, report)
            if again is None:
                break
            turn = turn.replace(metadata={**turn.metadata, ATTEMPT: (report.request or {})["attempt"]})
            answered = again
        shown = yield on_worker(self.reading.shown, report, answered)
        return report, shown

    def without_evidence(self, asked: Asked) -> Flow:
        """Return why there is no evidence: the cut's own report, where it was the cut that left nothing."""
        last = asked.reports[-1] if asked.reports else None
        if last is not None and not last.released:
            return last
        required = with_steps(self.pipeline, [Step(RequiredEvidence())])
        report = yield check(required, Turn(question=asked.question, passages=()))
        return report

    def _finished(self, answered: Any) -> Flow:
        """The response with its answer as a whole."""
        if not is_stream(answered):
            return answered
        text = yield Call(lambda: whole(answered), lambda: awhole(answered))
        return Response(text, source_nodes=answered.source_nodes, metadata=answered.metadata)

    def _again(self, asked: Asked, answered: Any, report: Report) -> Flow:
        """Another answer from the same nodes, or None where none is wanted or the engine cannot give one."""
        request = report.request or {}
        if report.released or request.get("do") != "regenerate":
            return None
        bundle = replace(asked.bundle, query_str=_critique(asked.question, report))
        nodes = self.reading.kept(report, answered.source_nodes)
        again = yield Call(
            lambda: _synthesized(self.engine, bundle, nodes),
            lambda: _asynthesized(self.engine, bundle, nodes),
        )
        return again if again is not None and again.source_nodes else None


def check(pipeline: Pipeline, turn: Turn) -> Call:
    """Ask for a turn to be judged."""
    return Call(lambda: pipeline.check(turn), lambda: pipeline.acheck(turn))


def on_worker(function: Callable[..., Any], *args: Any) -> Call:
    """Ask for work that must not be done on an event loop."""
    return Call(lambda: function(*args), lambda: run_on_worker(function, *args))


def _synthesized(engine: BaseQueryEngine, bundle: QueryBundle, nodes: list[NodeWithScore]) -> Any:
    """Another answer from given nodes, or None: not every engine can."""
    try:
        return engine.synthesize(bundle, nodes)
    except NotImplementedError:
        return None


async def _asynthesized(engine: BaseQueryEngine, bundle: QueryBundle, nodes: list[NodeWithScore]) -> Any:
    try:
        return await engine.asynthesize(bundle, nodes)
    except NotImplementedError:
        return None


def _critique(question: str, report: Report) -> str:
    """The question, with what was wrong with the last answer; for the model alone, which wrote that answer."""
    request, answer = report.request or {}, report.turn.answer or ""
    places = [one.get("failing") or one for one in request.get("unsupported") or ()]
    quoted = [f"- {answer[p['start'] : p['end']]}" for p in places if p["start"] is not None]
    parts = (
        question,
        f"Your last answer was not shown: {answer}",
        request.get("feedback"),
        "\n".join(quoted),
    )
    return "\n\n".join(part for part in parts if part)
