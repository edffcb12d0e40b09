"""The loop: guards over one turn, with a failure policy, a deadline and observers.

The order of a turn is written once, as a generator that asks for one call after
another (`_Flow`); a synchronous and an asynchronous driver make the calls.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from ragguard import protocols
from ragguard.errors import DeadlineExceededError, GuardError, InvalidValueError
from ragguard.judgement import Judgement, failure
from ragguard.types import Message, Mode, OnError, Report, Stage, Turn, Verdict
from ragguard.worker import deadline, remaining, run_on_worker, submit


@dataclass(frozen=True)
class Step:
    """A guard in a pipeline: how much it may do, and what its failure becomes."""

    guard: protocols.TurnGuard
    mode: Mode = Mode.ENFORCE
    on_error: OnError = OnError.REFUSE


@dataclass(frozen=True)
class Parts:
    """What `Pipeline.answer` needs beside the guards: the user's own callables."""

    retriever: protocols.Retriever | None = None
    generator: protocols.Generator | None = None
    rewriter: protocols.Rewriter | None = None


@dataclass(frozen=True)
class _Ask:
    """Please let this guard judge the turn."""

    step: Step
    turn: Turn
    stage: Stage


@dataclass(frozen=True)
class _Call:
    """Please call this part of the user's and return what it returns."""

    part: str
    function: Callable[..., Any]
    args: tuple[Any, ...]


_Flow: TypeAlias = Generator["_Ask | _Call", Any, Report]
_ORDER = tuple(Stage)
T = TypeVar("T")


class Pipeline:
    """Guards over one turn, in the order given.

    Args:
        guards: guards, or `Step`s where one needs its own mode or failure policy.
        deadline: seconds for a whole turn, retrieval and generation included; a
            guard that has no time left is decided by its failure policy.
        observers: told of every verdict and report; they can change none.
        messages: what to show instead of an answer, by action or reason name.

    Attributes:
        late_results: results that came after the deadline and were discarded.
        observer_failures: exceptions raised by observers and swallowed.
    """

    def __init__(
        self,
        guards: Iterable[protocols.TurnGuard | Step],
        *,
        deadline: float | None = None,
        observers: Sequence[protocols.Observer] = (),
        messages: Mapping[str, str] | None = None,
    ) -> None:
        if deadline is not None and not deadline > 0:
            raise InvalidValueError(f"deadline must be more than 0 seconds, got {deadline}")
        self.steps = tuple(g if isinstance(g, Step) else Step(g) for g in guards)
        names = [step.guard.name for step in self.steps]
        if len(set(names)) < len(names):
            raise InvalidValueError(
                f"guard names must differ, got {names}", hint="pass name=... to one of them"
            )
        self.deadline = deadline
        self.observers = tuple(observers)
        self.messages = dict(messages or {})
        self.late_results = 0
        self.observer_failures = 0
        self._counting = threading.Lock()

    def check(self, turn: Turn) -> Report:
        """Judge a turn as far as it goes: its question, its passages, its answer.

        Raises:
            InvalidValueError: the question is empty.
        """
        return self.run(turn, Parts())

    async def acheck(self, turn: Turn) -> Report:
        """`check`, without blocking the event loop."""
        return await self.arun(turn, Parts())

    def check_many(self, turns: Sequence[Turn]) -> list[Report]:
        """Judge several turns side by side, in order: a guard with `check_many` is asked about them all at once.

        It takes (turns, stage) and returns one verdict a turn. Another guard is asked about
        each turn alone, on the workers. The deadline is for all: so many times that of one turn.

        Raises:
            InvalidValueError: a question is empty.
        """
        with deadline(None if self.deadline is None else self.deadline * len(turns)):
            flows = _Side([self._flow(turn, Parts()) for turn in turns])
            while asked := flows.due(self.steps):
                flows.answer(self._ask_many(list(asked.values())), asked)
            return [self._observed(report) for report in flows.reports()]

    async def acheck_many(self, turns: Sequence[Turn]) -> list[Report]:
        """`check_many`, without blocking the event loop."""
        with deadline(None if self.deadline is None else self.deadline * len(turns)):
            flows = _Side([self._flow(turn, Parts()) for turn in turns])
            while asked := flows.due(self.steps):
                flows.answer(await self._aask_many(list(asked.values())), asked)
            return [self._observed(report) for report in flows.reports()]

    def run(self, turn: Turn, parts: Parts) -> Report:
        """Take a turn through the whole loop, calling `parts` for what it still lacks.

        What a retriever, rewriter or generator raises is passed on: it is not ours to judge.
        """
        with deadline(self.deadline):
            flow, reply = self._flow(turn, parts), None
            while True:
                try:
                    wanted = flow.send(reply)
                except StopIteration as done:
                    return self._observed(done.value)
                reply = self._ask(wanted) if isinstance(wanted, _Ask) else wanted.function(*wanted.args)

    async def arun(self, turn: Turn, parts: Parts) -> Report:
        """`run`, without blocking the event loop; parts that are coroutine functions are awaited."""
        with deadline(self.deadline):
            flow, reply = self._flow(turn, parts), None
            while True:
                try:
                    wanted = flow.send(reply)
                except StopIteration as done:
                    return self._observed(done.value)
                reply = await (self._aask(wanted) if isinstance(wanted, _Ask) else _acall(wanted))

    def _flow(self, turn: Turn, parts: Parts) -> _Flow:
        if not turn.question.strip() or not turn.query.strip():
            raise InvalidValueError("the question is empty", hint="pass a question with at least one word")
        state = Judgement(turn, self.messages)
        if turn.history and turn.standalone is None and parts.rewriter is not None:
            text = yield from _timed(state, _Call("rewrite", parts.rewriter, (turn.question, turn.history)))
            state.rewrite(text)
        yield from self._stage(state, Stage.QUESTION)
        if not state.ended and state.turn.passages is None and parts.retriever is not None:
            found = yield from _timed(state, _Call("retrieve", parts.retriever, (state.turn.query,)))
            state.turn = state.turn.replace(passages=tuple(found))
        if state.turn.passages is not None:
            yield from self._stage(state, Stage.PASSAGES)
        if not state.ended and state.turn.answer is None and parts.generator is not None:
            args = (state.turn.query, state.turn.passages or ())
            answer = yield from _timed(state, _Call("generate", parts.generator, args))
            state.answered(answer)
        if state.turn.answer is not None:
            yield from self._stage(state, Stage.ANSWER)
        return state.report()

    def _stage(self, state: Judgement, stage: Stage) -> Generator[_Ask, Verdict, None]:
        for step in self.steps:
            if state.ended:
                return
            if step.mode is Mode.OFF or stage not in step.guard.stages:
                continue
            verdict = yield _Ask(step, state.turn, stage)
            self._tell("on_verdict", state.turn, verdict)
            state.apply(verdict)

    def _ask(self, wanted: _Ask) -> Verdict:
        guard, began = wanted.step.guard, time.perf_counter()
        left = remaining()
        try:
            if left is None:
                verdict = guard.check(wanted.turn, wanted.stage)
            else:
                verdict = self._in_time(left, lambda: guard.check(wanted.turn, wanted.stage))
            return _stamped(verdict, wanted.step, began)
        except Exception as error:
            verdict = failure(wanted.step.on_error, guard.name, wanted.stage, error)
        return _stamped(verdict, wanted.step, began)

    def _ask_many(self, wanted: Sequence[_Ask]) -> list[Verdict]:
        step, stage, began = wanted[0].step, wanted[0].stage, time.perf_counter()
        many = getattr(step.guard, "check_many", None)
        if many is None or len(wanted) == 1:
            return [asked.result() for asked in [submit(self._ask, each) for each in wanted]]
        left, turns = remaining(), [each.turn for each in wanted]
        try:
            found = many(turns, stage) if left is None else self._in_time(left, lambda: many(turns, stage))
            return [_stamped(verdict, step, began) for verdict, _ in zip(found, wanted, strict=True)]
        except Exception:
            # One turn may be at fault: the others must not fail with it.
            return [self._ask(each) for each in wanted]

    async def _aask_many(self, wanted: Sequence[_Ask]) -> list[Verdict]:
        if getattr(wanted[0].step.guard, "check_many", None) is not None:
            return await run_on_worker(self._ask_many, wanted)
        return list(await asyncio.gather(*(self._aask(each) for each in wanted)))

    def _in_time(self, left: float, check: Callable[[], T]) -> T:
        _require_time(left)
        future = submit(check)
        # Not `result(timeout)`: a guard's own TimeoutError is not the turn's.
        done, _ = concurrent.futures.wait([future], timeout=left)
        if done:
            return future.result()
        if not future.cancel():
            future.add_done_callback(self._discard)
        raise DeadlineExceededError("the turn's deadline passed while the guard ran")

    async def _aask(self, wanted: _Ask) -> Verdict:
        guard, began = wanted.step.guard, time.perf_counter()
        left = remaining()
        try:
            if left is None:
                verdict = await guard.acheck(wanted.turn, wanted.stage)
            else:
                _require_time(left)
                verdict = await self._in_time_async(left, guard.acheck(wanted.turn, wanted.stage))
            return _stamped(verdict, wanted.step, began)
        except Exception as error:
            verdict = failure(wanted.step.on_error, guard.name, wanted.stage, error)
        return _stamped(verdict, wanted.step, began)

    async def _in_time_async(self, left: float, check: Coroutine[Any, Any, Verdict]) -> Verdict:
        task = asyncio.ensure_future(check)
        try:
            done, _ = await asyncio.wait({task}, timeout=left)
        except asyncio.CancelledError:  # the caller gave the turn up
            task.cancel()
            raise
        if done:
            return task.result()
        task.add_done_callback(self._discard)
        raise DeadlineExceededError("the turn's deadline passed while the guard ran")

    def _discard(self, late: concurrent.futures.Future[Any] | asyncio.Future[Any]) -> None:
        """Count a late result; a guard that stopped at the deadline gave none."""
        # Looking at the exception also keeps asyncio from logging its text.
        if not late.cancelled() and late.exception() is None:
            with self._counting:
                self.late_results += 1

    def _observed(self, report: Report) -> Report:
        self._tell("on_report", report)
        return report

    def _tell(self, method: str, *args: Any) -> None:
        for observer in self.observers:
            try:
                getattr(observer, method)(*args)
            except Exception:  # an observer never breaks a turn
                with self._counting:
                    self.observer_failures += 1


class _Side:
    """Flows that go side by side; those behind come first, so that all arrive at a guard together."""

    def __init__(self, flows: Sequence[_Flow]) -> None:
        self._flows = flows
        self._wanted: dict[int, _Ask] = {}
        self._reports: dict[int, Report] = {}
        for place in range(len(flows)):
            self._go_on(place, None)

    def due(self, steps: Sequence[Step]) -> dict[int, _Ask]:
        """What the flows furthest behind ask for, all of one guard at one stage; {} once all have ended."""
        order = {place: (_ORDER.index(a.stage), steps.index(a.step)) for place, a in self._wanted.items()}
        first = min(order.values(), default=None)
        return {place: self._wanted[place] for place, at in order.items() if at == first}

    def answer(self, verdicts: Sequence[Verdict], asked: Mapping[int, _Ask]) -> None:
        """Let these flows go on, each with its verdict."""
        for place, verdict in zip(asked, verdicts, strict=True):
            self._go_on(place, verdict)

    def reports(self) -> list[Report]:
        """What the flows ended with, in order."""
        return [self._reports[place] for place in range(len(self._flows))]

    def _go_on(self, place: int, verdict: Verdict | None) -> None:
        try:
            # Without parts a flow asks for nothing but verdicts.
            self._wanted[place] = self._flows[place].send(verdict)  # type: ignore[assignment]
        except StopIteration as done:
            self._wanted.pop(place, None)
            self._reports[place] = done.value


def _timed(state: Judgement, call: _Call) -> Generator[_Call, Any, Any]:
    began = time.perf_counter()
    reply = yield call
    state.seconds[call.part] = time.perf_counter() - began
    return reply


async def _acall(wanted: _Call) -> Any:
    native = getattr(wanted.function, "acall", wanted.function)
    if inspect.iscoroutinefunction(native) or inspect.iscoroutinefunction(type(native).__call__):
        return await native(*wanted.args)
    reply = await run_on_worker(wanted.function, *wanted.args)
    return await reply if inspect.isawaitable(reply) else reply


def _require_time(left: float) -> None:
    if left <= 0:
        raise DeadlineExceededError("the turn's deadline passed before the guard ran")


def _stamped(verdict: Verdict, step: Step, began: float) -> Verdict:
    if not isinstance(verdict, Verdict):
        raise GuardError(f"guard {step.guard.name!r} returned a {type(verdict).__name__}, not a Verdict")
    return verdict.model_copy(update={"mode": step.mode, "seconds": time.perf_counter() - began})


def as_messages(history: Iterable[Message | tuple[str, str]]) -> tuple[Message, ...]:
    """Return the history as `Message`s; (role, text) pairs are accepted."""
    return tuple(m if isinstance(m, Message) else Message(role=m[0], text=m[1]) for m in history)
