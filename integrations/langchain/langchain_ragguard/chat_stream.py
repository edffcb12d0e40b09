"""What leaves of a model's message: built anew, piece by piece, from what was judged.

Nothing of the model's own chunks is handed on. Text comes from the gate; tool calls, token
counts and a few names are copied; whatever else a chunk holds (reasoning, log
probabilities, other candidates, further keyword arguments) stays behind.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_ragguard.documents import FACTS
from langchain_ragguard.said import Said
from ragguard.adapting import StreamMode
from ragguard.errors import InvalidValueError
from ragguard.pipeline import Pipeline
from ragguard.stream import StreamGate
from ragguard.types import Report, Turn
from ragguard.withheld import small_report

_COPIED = frozenset(
    {"finish_reason", "stop_reason", "model_name", "model", "model_provider", "system_fingerprint"}
)
_NAME = re.compile(r"[\w.:/@+-]{0,128}")
"""A name, an identifier: whatever has a space in it may be prose."""


class Gate(Protocol):
    """What text goes through: `StreamGate`, or one of those below."""

    released: str
    failure: Report | None

    def push(self, text: str) -> str: ...

    async def apush(self, text: str) -> str: ...

    def finish(self) -> Report | None: ...

    async def afinish(self) -> Report | None: ...


class Whole:
    """A gate that lets nothing out before the whole answer was judged."""

    def __init__(self, pipeline: Pipeline, turn: Turn) -> None:
        self._pipeline = pipeline
        self._turn = turn
        self._parts: list[str] = []
        self.released = ""
        self.failure: Report | None = None

    def push(self, text: str) -> str:
        """Keep it."""
        self._parts.append(text)
        return ""

    async def apush(self, text: str) -> str:
        """Keep it."""
        return self.push(text)

    def finish(self) -> Report:
        """Judge the answer."""
        return self._pipeline.check(self._turn.replace(answer="".join(self._parts)))

    async def afinish(self) -> Report:
        """`finish`, without blocking the event loop."""
        return await self._pipeline.acheck(self._turn.replace(answer="".join(self._parts)))


class Unjudged:
    """A gate that stands open: for a turn that nobody wants judged."""

    failure: Report | None = None

    def __init__(self) -> None:
        self.released = ""

    def push(self, text: str) -> str:
        """Let it out."""
        self.released += text
        return text

    async def apush(self, text: str) -> str:
        """Let it out."""
        return self.push(text)

    def finish(self) -> None:
        """There is nothing to report."""

    async def afinish(self) -> None:
        """There is nothing to report."""


class Settled:
    """A gate that stays shut: what was retrieved allows of no answer."""

    released = ""

    def __init__(self, report: Report) -> None:
        self.failure: Report | None = report
        self._report = report

    def push(self, text: str) -> str:
        """Keep it."""
        return ""

    async def apush(self, text: str) -> str:
        """Keep it."""
        return ""

    def finish(self) -> Report:
        """Say what the retrieval said."""
        return self._report

    async def afinish(self) -> Report:
        """Say what the retrieval said."""
        return self._report


def gate(pipeline: Pipeline, turn: Turn | Report | None, mode: StreamMode) -> Gate:
    """Return the gate for one answer; a turn of None is not judged, a report was judged before."""
    if turn is None:
        return Unjudged()
    if isinstance(turn, Report):
        return Settled(turn)
    return StreamGate(pipeline, turn) if mode == "sentence" else Whole(pipeline, turn)


class Outgoing:
    """One message on its way out.

    Text beside a tool call comes out if it was released, and is left out if not: the turn
    goes on, so no refusal takes its place. A call's arguments come out as they are, unless
    they are judged: the `judged` arguments of a tool are texts of the answer, and one that
    is refused is replaced by the guard's message. Of calls whose arguments cannot be read
    nothing comes out where there is anything to judge.

    Args:
        gate: what the text goes through; whoever drives pushes and finishes it.
        judged: names of arguments by name of tool.
        tools: whether the model may call a tool after its text.
        declared: where the arguments of a call are the answer, all that its schema names, by name of
            tool; calls and arguments of other names stay behind.
    """

    def __init__(
        self,
        gate: Gate,
        *,
        judged: Mapping[str, Sequence[str]],
        tools: bool,
        declared: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self.gate = gate
        self._judged = judged
        self._declared = declared
        self._held_back = bool(judged) or declared is not None
        self._tools = tools
        self._texts = self._called = self._passing = False
        self._held: list[AIMessageChunk] = []
        self._usage: UsageMetadata | None = None
        self._facts: dict[str, Any] = {}
        self._shown = ""

    @property
    def stopped(self) -> bool:
        """True once nothing that the model may still say could come out."""
        failure = self.gate.failure
        return failure is not None and not failure.released and not self._tools and not self._called

    @property
    def has_text(self) -> bool:
        """True where there is a text to judge; a message of tool calls alone has none."""
        return self._texts or not (self._goes_on if self._held_back else self._called)

    @property
    def _goes_on(self) -> bool:
        """True where the message calls a tool, so that another will follow."""
        return self._passing or bool(self._calls())

    def text(self, message: Any) -> str:
        """Take the next message, or piece of one, and return its text, for the gate.

        Raises:
            InvalidValueError: the model's stream holds something else than messages.
        """
        if not isinstance(message, BaseMessage):
            raise InvalidValueError(
                f"the model gave a {type(message).__name__}, not a message",
                hint="wrap the chat model itself, and put parsers behind the guarded one",
            )
        if isinstance(message, AIMessage):
            self._usage = _added(self._usage, message.usage_metadata)
            calls = list(_call_chunks(message))
            if calls:
                self._held.append(AIMessageChunk(content="", tool_call_chunks=calls))
        self._facts |= {
            key: v for key, v in message.response_metadata.items() if key in _COPIED and _plain(v)
        }
        text = str(message.text)
        self._texts = self._texts or bool(text.strip())
        if self._held and not self._called:
            # Once: a call that has begun to come out has to come out whole.
            self._called, self._passing = True, not self._held_back and not self._texts
        return text

    def passed(self, text: str) -> ChatGenerationChunk | None:
        """Return the chunk of what may go now: released text, and tool calls where nothing can be against them."""
        calls: list[ToolCallChunk] = []
        if self._passing:
            calls = [call for chunk in self._held for call in chunk.tool_call_chunks]
            self._held.clear()
        if not text and not calls:
            return None
        self._shown += text
        return ChatGenerationChunk(message=AIMessageChunk(content=text, tool_call_chunks=calls))

    def arguments(self, turn: Turn | Report | None) -> list[Turn | Report]:
        """Return the turns to judge for the arguments held back, in order; reports where that is settled."""
        if turn is None:
            return []
        texts = [str(call["args"][name]) for call, name in self._arguments(self._calls())]
        return [turn if isinstance(turn, Report) else turn.replace(answer=text) for text in texts]

    def last(
        self, report: Report | None, reports: Sequence[Report], *, policy: str | None
    ) -> ChatGenerationChunk:
        """Return the last chunk: what the whole answer releases, or the refusal, and what is said of it.

        Args:
            report: of the text; None where it was not judged.
            reports: of the judged arguments, in order.
            policy: "raise" for an error instead of a refusal.

        Raises:
            RefusalError: the answer, or an argument, was refused and is to be raised.
        """
        failure = self.gate.failure
        if report is not None and report.released and failure is not None and not failure.released:
            report = failure  # a part was refused and the whole was not: what was refused stays in
        if policy == "raise":
            for one in ([] if report is None or self._goes_on else [report]) + list(reports):
                one.raise_for_refusal()
        message = AIMessageChunk(
            content=self._rest(report),
            tool_call_chunks=self._last_calls(report, reports),
            usage_metadata=self._usage,
            response_metadata={**self._facts, **_said(report, reports)},
            chunk_position="last",
        )
        return ChatGenerationChunk(message=message)

    def _rest(self, report: Report | None) -> str:
        if report is None:
            return ""
        text = report.text or ""
        if report.released:
            # A revision that contradicts what was shown cannot call it back.
            return text[len(self._shown) :] if text.startswith(self._shown) else ""
        if self._goes_on:
            return ""
        return text if not self._shown or self._shown[-1].isspace() else f" {text}"

    def _last_calls(self, report: Report | None, reports: Sequence[Report]) -> list[ToolCallChunk]:
        if self._passing or (report is None and not self._held_back):
            return [call for chunk in self._held for call in chunk.tool_call_chunks]
        calls = self._calls()
        for (call, name), one in zip(self._arguments(calls), reports, strict=False):
            call["args"][name] = one.text or ""
        return [
            tool_call_chunk(name=c["name"], args=json.dumps(c["args"]), id=c["id"], index=place)
            for place, c in enumerate(calls)
        ]

    def _calls(self) -> list[dict[str, Any]]:
        """The calls held back whose arguments can be read."""
        whole = AIMessageChunk(content="")
        for chunk in self._held:
            whole = whole + chunk
        # `tool_calls` would have mended what broke off: half an argument is none.
        read: list[dict[str, Any]] = [
            {**call, "args": _read(call["args"])} for call in whole.tool_call_chunks
        ]
        calls = [call for call in read if call["name"] and call["args"] is not None]
        if self._declared is None:
            return calls
        return [
            {
                **call,
                "args": {key: v for key, v in call["args"].items() if key in self._declared[call["name"]]},
            }
            for call in calls
            if call["name"] in self._declared
        ]

    def _arguments(self, calls: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], str]]:
        for call in calls:
            for name in self._judged.get(call["name"], ()):
                if call["args"].get(name) not in (None, ""):
                    yield call, name


def _call_chunks(message: AIMessage) -> Iterator[ToolCallChunk]:
    if isinstance(message, AIMessageChunk) and message.tool_call_chunks:
        for chunk in message.tool_call_chunks:
            yield tool_call_chunk(
                name=chunk["name"], args=chunk["args"], id=chunk["id"], index=chunk["index"]
            )
        return
    for place, call in enumerate(message.tool_calls):
        yield tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=place)
    for place, broken in enumerate(message.invalid_tool_calls, len(message.tool_calls)):
        yield tool_call_chunk(name=broken["name"], args=broken["args"], id=broken["id"], index=place)


def _read(args: str | None) -> dict[str, Any] | None:
    try:
        found = json.loads(args or "{}")
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _added(one: UsageMetadata | None, other: UsageMetadata | None) -> UsageMetadata | None:
    return None if one is None and other is None else add_usage(one, other)


def _plain(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and _NAME.fullmatch(value) is not None)


def _said(report: Report | None, reports: Sequence[Report]) -> dict[str, Any]:
    """What the message says of its judgement: the small report of its text, and those of its arguments.

    Of a message that nobody judged nothing is said: whoever sees it next must not take it for judged.
    """
    if report is None and not reports:
        return {}
    said = Said(judged=report is not None)
    if report is not None:
        said |= small_report(report)
        if report.released:
            cited = [c for verdict in report.verdicts for c in verdict.details.get("citations", ())]
            said |= {"citations": cited} if cited else {}
    if reports:
        said["arguments"] = [small_report(one) for one in reports]
    return {FACTS: said}
