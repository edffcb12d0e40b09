"""The loop: order, actions, failures, modes, deadlines, observers, and what voids a promise."""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard.errors import (
    DeadlineExceededError,
    GenerationError,
    GuardError,
    InvalidScoreError,
    InvalidValueError,
    RefusalError,
)
from ragguard.pipeline import Parts, Pipeline, Step, as_messages
from ragguard.testing import ScriptedGenerator, ScriptedGuard
from ragguard.types import (
    Action,
    Certificate,
    Generation,
    Message,
    Mode,
    OnError,
    Passage,
    Reason,
    Report,
    Stage,
    Turn,
    Verdict,
)
from ragguard.worker import check_deadline
from scripts.report_schema import PATH

PASSAGES = tuple(Passage(id=name, text=f"text of {name}", score=0.5) for name in "abc")
TURN = Turn(question="Which one?", passages=PASSAGES, answer="The first.")
SECRET = "quillwort"
ENDS = (Action.ABSTAIN, Action.REFUSE)
JUDGED = (Stage.QUESTION, Stage.PASSAGES, Stage.ANSWER)
VALIDATOR = jsonschema.Draft202012Validator(json.loads(PATH.read_text(encoding="utf-8")))


def retriever(question: str) -> Sequence[Passage]:
    return PASSAGES


def without(*names: str) -> Callable[[Turn, Stage], Turn]:
    def deed(turn: Turn, _: Stage) -> Turn:
        left = [p for p in turn.passages or () if p.id not in names]
        return turn if turn.passages is None else turn.replace(passages=left)

    return deed


def certified(
    guard: str = "cut", scope: Any = "retrieval", covers: tuple[str, ...] = (), drops: tuple[str, ...] = ()
) -> Callable[[Turn, Stage], Verdict]:
    def deed(turn: Turn, stage: Stage) -> Verdict:
        certificate = Certificate(scope=scope, status="valid", covers=covers)
        revised = without(*drops)(turn, stage) if drops else None
        action = Action.REVISE if drops else Action.PASS
        return Verdict(guard=guard, stage=stage, action=action, revised=revised, certificate=certificate)

    return deed


def cut(**how: Any) -> ScriptedGuard:
    return ScriptedGuard(Stage.PASSAGES, does=certified(**how), name="cut")


def dropper(*stages: Stage, name: str = "dropper", drops: str = "b") -> ScriptedGuard:
    return ScriptedGuard(*(stages or [Stage.PASSAGES]), does=without(drops), name=name)


def plain(report: Report) -> dict[str, Any]:
    """The report without its times."""
    body = report.model_dump(mode="json")
    body["seconds"] = sorted(body["seconds"])
    for verdict in body["verdicts"]:
        verdict["seconds"] = 0
    return body


# Order


def test_stages_come_in_order_and_guards_as_listed() -> None:
    order: list[tuple[str, Stage]] = []

    def note(name: str) -> ScriptedGuard:
        def deed(_: Turn, stage: Stage) -> Action:
            order.append((name, stage))
            return Action.PASS

        return ScriptedGuard(*JUDGED, Stage.STREAM, does=deed, name=name)

    Pipeline([note("one"), note("two")]).run(
        Turn(question="Which?"), Parts(retriever, ScriptedGenerator("This."))
    )
    assert order == [(name, stage) for stage in JUDGED for name in ("one", "two")]


def test_each_stage_sees_what_the_turn_has_by_then() -> None:
    guard = ScriptedGuard(*JUDGED)
    report = Pipeline([guard]).run(Turn(question="Which?"), Parts(retriever, ScriptedGenerator("This.")))
    assert [(turn.passages, turn.answer) for _, turn in guard.seen] == [
        (None, None),
        (PASSAGES, None),
        (PASSAGES, "This."),
    ]
    assert report.text == "This."
    assert list(report.seconds) == ["scripted", "retrieve", "generate"]


def test_a_turn_is_judged_only_as_far_as_it_goes() -> None:
    guard = ScriptedGuard(*JUDGED)
    assert Pipeline([guard]).check(Turn(question="Which?")).text is None
    assert [stage for stage, _ in guard.seen] == [Stage.QUESTION]


def test_what_a_turn_brings_is_neither_retrieved_nor_generated_again() -> None:
    generator = ScriptedGenerator("Another.")
    report = Pipeline([]).run(TURN.replace(passages=()), Parts(retriever, generator))
    assert (report.turn.passages, report.text, generator.seen) == ((), "The first.", [])


@pytest.mark.parametrize("question", ["", "  \n"])
def test_an_empty_question_is_an_error(question: str) -> None:
    with pytest.raises(InvalidValueError, match="empty"):
        Pipeline([]).check(Turn(question=question))
    with pytest.raises(InvalidValueError, match="empty"):
        Pipeline([]).check(Turn(question="What?", standalone=question))


def test_guards_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="names must differ"):
        Pipeline([ScriptedGuard(Stage.ANSWER), Step(ScriptedGuard(Stage.QUESTION))])


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_deadline_is_more_than_nothing(seconds: float) -> None:
    with pytest.raises(InvalidValueError, match="deadline"):
        Pipeline([], deadline=seconds)


# Actions


@pytest.mark.parametrize("stage", JUDGED)
@pytest.mark.parametrize("action", ENDS)
def test_an_end_at_any_stage_ends_the_turn(action: Action, stage: Stage) -> None:
    ender, after = ScriptedGuard(stage, does=action, name="ender"), ScriptedGuard(*JUDGED, name="after")
    generator = ScriptedGenerator("The second.")
    report = Pipeline([ender, after]).run(Turn(question="Which?"), Parts(retriever, generator))
    assert (report.action, report.reason, report.released) == (action, Reason.POLICY_CONFLICT, False)
    assert [s for s, _ in after.seen] == list(JUDGED[: JUDGED.index(stage)])
    assert (report.turn.passages is None) == (stage is Stage.QUESTION)
    assert len(generator.seen) == (stage is Stage.ANSWER)
    assert "The second." not in (report.text or "")
    with pytest.raises(RefusalError, match=action.value) as raised:
        report.raise_for_refusal()
    assert raised.value.details == {"action": action.value, "reason": "policy_conflict"}


@pytest.mark.parametrize("stage", JUDGED)
def test_a_revision_at_any_stage_is_what_goes_on(stage: Stage) -> None:
    revise = ScriptedGuard(stage, does=lambda turn, _: turn.replace(metadata={"seen": True}), name="reviser")
    after = ScriptedGuard(Stage.ANSWER, name="after")
    report = Pipeline([revise, after]).run(
        Turn(question="Which?"), Parts(retriever, ScriptedGenerator("This."))
    )
    assert after.seen[0][1].metadata == report.turn.metadata == {"seen": True}
    assert report.raise_for_refusal() is report


def test_a_revised_question_is_what_is_retrieved_for() -> None:
    asked: list[str] = []
    reviser = ScriptedGuard(Stage.QUESTION, does=lambda turn, _: turn.replace(standalone="Which of them?"))
    Pipeline([reviser]).run(Turn(question="Which?"), Parts(lambda q: asked.append(q) or PASSAGES))
    assert asked == ["Which of them?"]


def test_a_redaction_gives_its_reason_though_the_routine_cut_came_first() -> None:
    def redact(turn: Turn, stage: Stage) -> Verdict:
        return Verdict(
            guard="redacts",
            stage=stage,
            action=Action.REVISE,
            reason=Reason.UNSUPPORTED_ANSWER,
            revised=turn.replace(answer="Less."),
            details={"do": "regenerate", "claims": [1], "else": 2},
        )

    redacts = ScriptedGuard(Stage.ANSWER, does=redact, name="redacts")
    report = Pipeline([cut(drops=("c",)), redacts]).check(TURN)
    assert (report.action, report.reason, report.text) == (Action.REVISE, Reason.UNSUPPORTED_ANSWER, "Less.")
    assert report.request == {"do": "regenerate", "claims": [1]}


def test_what_is_shown_instead_of_an_answer_can_be_set_by_reason_or_action() -> None:
    refuses = [ScriptedGuard(Stage.ANSWER, does=Action.REFUSE)]
    by_action = {"refuse": "No.", "abstain": "?"}
    assert Pipeline(refuses).check(TURN).text == (
        f"I can't show an answer to this: {Reason.POLICY_CONFLICT.sentence}"
    )
    assert Pipeline(refuses, messages=by_action).check(TURN).text == "No."
    assert Pipeline(refuses, messages={**by_action, "policy_conflict": "Never."}).check(TURN).text == "Never."


# Failures


@pytest.mark.parametrize("stage", JUDGED)
@pytest.mark.parametrize(
    ("policy", "action"),
    [
        (OnError.REFUSE, Action.REFUSE),
        (OnError.ABSTAIN, Action.ABSTAIN),
        (OnError.PASS, Action.PASS),
    ],
)
async def test_a_failure_becomes_what_its_policy_says(stage: Stage, policy: OnError, action: Action) -> None:
    fails = ScriptedGuard(stage, does=RuntimeError(f"about {SECRET}"))
    pipeline = Pipeline([Step(fails, on_error=policy)])
    for report in (pipeline.check(TURN), await pipeline.acheck(TURN)):
        (verdict,) = report.verdicts
        assert (report.action, verdict.action) == (action, action)
        assert verdict.reason is Reason.GUARD_ERROR
        assert report.degraded == verdict.degraded == (policy is OnError.PASS)
        assert verdict.error is not None
        assert (verdict.error.type, verdict.error.code) == ("RuntimeError", "unexpected")
        assert SECRET not in report.model_dump_json()


def test_guards_fail_closed_unless_told_otherwise() -> None:
    assert Pipeline([ScriptedGuard(Stage.ANSWER, does=ValueError())]).check(TURN).action is Action.REFUSE


def test_an_error_of_ours_keeps_its_code() -> None:
    for error in (InvalidScoreError("?"), GuardError("?")):
        (verdict,) = Pipeline([ScriptedGuard(Stage.ANSWER, does=error)]).check(TURN).verdicts
        assert verdict.error is not None
        assert (verdict.error.type, verdict.error.code) == (type(error).__name__, error.code)


async def test_a_guard_that_gives_no_verdict_has_failed() -> None:
    class Silent(ScriptedGuard):
        def check(self, turn: Turn, stage: Stage, /) -> Verdict:
            return None  # type: ignore[return-value]

    for pipeline in (Pipeline([Silent(Stage.ANSWER)]), Pipeline([Silent(Stage.ANSWER)], deadline=5)):
        for report in (pipeline.check(TURN), await pipeline.acheck(TURN)):
            assert (report.action, report.reason) == (Action.REFUSE, Reason.GUARD_ERROR)


def test_what_the_users_own_parts_raise_is_passed_on() -> None:
    def broken(question: str) -> Sequence[Passage]:
        raise LookupError("the store is down")

    with pytest.raises(LookupError, match="the store is down"):
        Pipeline([ScriptedGuard(*JUDGED)]).run(Turn(question="Which?"), Parts(broken))


@pytest.mark.parametrize("answer", [None, 5, {"text": SECRET}])
def test_an_answer_that_is_no_text_is_an_error_without_the_text(answer: Any) -> None:
    with pytest.raises(GenerationError) as raised:
        Pipeline([]).run(Turn(question="Which?", passages=()), Parts(generator=lambda q, p: answer))
    assert SECRET not in str(raised.value)


# Modes


def test_a_shadow_guard_judges_and_changes_nothing() -> None:
    drops = ScriptedGuard(Stage.PASSAGES, does=without("a"), name="drops")
    refuses = ScriptedGuard(Stage.ANSWER, does=Action.REFUSE, name="refuses")
    fails = ScriptedGuard(Stage.ANSWER, does=ValueError(), name="fails")
    promises = ScriptedGuard(Stage.ANSWER, does=certified("promises"), name="promises")
    steps = [Step(g, mode=Mode.SHADOW, on_error=OnError.PASS) for g in (drops, refuses, fails, promises)]
    report = Pipeline(steps).check(TURN)
    assert (report.turn, report.action, report.degraded, report.certificates) == (
        TURN,
        Action.PASS,
        False,
        (),
    )
    assert [(v.guard, v.mode) for v in report.verdicts] == [
        (n, Mode.SHADOW) for n in ("drops", "refuses", "fails", "promises")
    ]


def test_a_guard_that_is_off_is_not_asked() -> None:
    guard = ScriptedGuard(*JUDGED, does=Action.REFUSE)
    report = Pipeline([Step(guard, mode=Mode.OFF)]).check(TURN)
    assert (guard.seen, report.verdicts, report.action) == ([], (), Action.PASS)


# Deadline


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_late_result_is_discarded_and_counted(asynchronous: bool) -> None:
    late = ScriptedGuard(Stage.ANSWER, does=Action.PASS, seconds=0.3)
    pipeline = Pipeline([late], deadline=0.05)
    began = time.monotonic()
    report = await pipeline.acheck(TURN) if asynchronous else await asyncio.to_thread(pipeline.check, TURN)
    assert time.monotonic() - began < 0.25
    assert (report.action, report.reason) == (Action.REFUSE, Reason.DEADLINE)
    assert report.verdicts[0].error is not None
    assert report.verdicts[0].error.code == "deadline"
    await asyncio.sleep(0.6)
    assert pipeline.late_results == 1


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_guards_after_the_deadline_are_decided_by_their_policy(asynchronous: bool) -> None:
    slow = ScriptedGuard(Stage.ANSWER, seconds=0.2, name="slow")
    after = ScriptedGuard(Stage.ANSWER, name="after")
    steps = [Step(slow, on_error=OnError.PASS), Step(after, on_error=OnError.ABSTAIN)]
    pipeline = Pipeline(steps, deadline=0.05)
    report = await pipeline.acheck(TURN) if asynchronous else await asyncio.to_thread(pipeline.check, TURN)
    assert [(v.action, v.reason, v.degraded) for v in report.verdicts] == [
        (Action.PASS, Reason.DEADLINE, True),
        (Action.ABSTAIN, Reason.DEADLINE, False),
    ]
    assert after.seen == [], "it is not even started"


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_guard_that_looks_at_the_clock_stops_early(asynchronous: bool) -> None:
    batches = 0

    def scores(_: Turn, __: Stage) -> Action:
        nonlocal batches
        for _batch in range(100):
            check_deadline()
            batches += 1
            time.sleep(0.02)
        return Action.PASS

    pipeline = Pipeline([ScriptedGuard(Stage.ANSWER, does=scores)], deadline=0.1)
    report = await pipeline.acheck(TURN) if asynchronous else await asyncio.to_thread(pipeline.check, TURN)
    assert report.reason is Reason.DEADLINE
    await asyncio.sleep(0.2)
    assert 0 < batches < 20
    assert pipeline.late_results == 0, "it stopped, and gave no result"


def test_a_slow_retriever_uses_up_the_turns_time() -> None:
    def slow(question: str) -> Sequence[Passage]:
        time.sleep(0.1)
        return PASSAGES

    guard = ScriptedGuard(Stage.PASSAGES)
    report = Pipeline([guard], deadline=0.05).run(Turn(question="Which?"), Parts(slow))
    assert (report.reason, guard.seen) == (Reason.DEADLINE, [])


@pytest.mark.parametrize("seconds", [None, 30.0])
async def test_a_guards_own_timeout_is_not_the_turns(seconds: float | None) -> None:
    pipeline = Pipeline([ScriptedGuard(Stage.ANSWER, does=TimeoutError("a server"))], deadline=seconds)
    for report in (pipeline.check(TURN), await pipeline.acheck(TURN)):
        assert report.reason is Reason.GUARD_ERROR
    assert pipeline.late_results == 0


def test_in_time_a_deadline_changes_nothing() -> None:
    guards = [ScriptedGuard(*JUDGED)]
    assert plain(Pipeline(guards, deadline=60).check(TURN)) == plain(Pipeline(guards).check(TURN))


async def test_a_turn_given_up_stops_its_guard_and_leaves_no_error_behind() -> None:
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    stopped = asyncio.Event()

    class Waits(ScriptedGuard):
        async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
            try:
                await asyncio.sleep(30)
            finally:
                stopped.set()
            raise AssertionError

    task = asyncio.ensure_future(Pipeline([Waits(Stage.ANSWER)], deadline=60).acheck(TURN))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(stopped.wait(), 5)
    gc.collect()
    assert complaints == []


# Observers


class Observed:
    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.verdicts: list[Verdict] = []
        self.reports: list[Report] = []

    def on_verdict(self, turn: Turn, verdict: Verdict, /) -> None:
        self.verdicts.append(verdict)
        if self.fails:
            raise RuntimeError

    def on_report(self, report: Report, /) -> None:
        self.reports.append(report)
        if self.fails:
            raise RuntimeError


async def test_observers_hear_everything_and_change_nothing() -> None:
    guards = [ScriptedGuard(*JUDGED), ScriptedGuard(Stage.ANSWER, does=Action.REFUSE, name="refuses")]
    fails, listens = Observed(fails=True), Observed()
    pipeline = Pipeline(guards, observers=[fails, listens])
    reports = [pipeline.check(TURN), await pipeline.acheck(TURN)]
    assert listens.reports == reports
    assert all(plain(report) == plain(Pipeline(guards).check(TURN)) for report in reports)
    assert len(listens.verdicts) == len(fails.verdicts) == 8
    assert pipeline.observer_failures == 10


# What voids a promise


def voided(*guards: ScriptedGuard, turn: Turn = TURN) -> tuple[str, str | None]:
    certificate = Pipeline(guards).check(turn).certificate()
    assert certificate is not None
    return certificate.status, certificate.voided_by


def test_the_cuts_own_drops_leave_its_promise_valid() -> None:
    assert voided(cut(drops=("c",))) == ("valid", None)


def test_a_guard_that_drops_after_the_cut_voids_it_and_is_named() -> None:
    assert voided(cut(), dropper(name="quarantine")) == ("void", "quarantine")
    assert voided(cut(covers=("quarantine",)), dropper(name="quarantine")) == ("void", "quarantine")
    assert voided(cut(), dropper(Stage.ANSWER, name="late")) == ("void", "late")


def test_the_first_guard_that_voids_is_the_one_named() -> None:
    two = [dropper(name="one"), dropper(name="two", drops="a")]
    assert voided(cut(), *two) == voided(*two, cut()) == ("void", "one")


def test_a_guard_that_drops_before_the_cut_voids_it_unless_covered() -> None:
    assert voided(dropper(), cut()) == ("void", "dropper")
    assert voided(dropper(), cut(covers=("dropper",))) == ("valid", None)


def test_a_guard_that_drops_nothing_voids_nothing() -> None:
    assert voided(dropper(drops="z"), cut(), dropper(drops="y", name="other")) == ("valid", None)


def test_a_guard_in_shadow_voids_nothing() -> None:
    certificate = Pipeline([cut(), Step(dropper(), mode=Mode.SHADOW)]).check(TURN).certificate()
    assert certificate is not None
    assert certificate.status == "valid"


def test_a_guard_with_a_promise_of_its_own_voids_the_cuts_all_the_same() -> None:
    release = ScriptedGuard(
        Stage.ANSWER, does=certified("release", scope="release", drops=("b",)), name="release"
    )
    assert voided(cut(), release) == ("void", "release")


def test_a_second_cut_does_not_promise_what_the_first_dropped() -> None:
    second = ScriptedGuard(Stage.PASSAGES, does=certified("second", drops=("a",)), name="second")
    assert voided(cut(drops=("c",)), second) == ("void", "cut")


def test_an_answer_replaced_voids_the_promise_of_release_alone() -> None:
    release = ScriptedGuard(Stage.ANSWER, does=certified("release", scope="release"), name="release")
    redacts = ScriptedGuard(Stage.ANSWER, does=lambda t, _: t.replace(answer="Less."), name="redacts")
    report = Pipeline([cut(), release, redacts]).check(TURN)
    found = report.certificate("release")
    assert found is not None
    assert (found.status, found.voided_by) == ("void", "redacts")
    retrieval = report.certificate()
    assert retrieval is not None
    assert retrieval.status == "valid"


def test_a_generator_that_read_fewer_passages_voids_the_promise() -> None:
    def after(*read: str) -> tuple[str, str | None]:
        generator = ScriptedGenerator(Generation(text="This.", read=read))
        report = Pipeline([cut()]).run(Turn(question="Which?", passages=PASSAGES), Parts(generator=generator))
        certificate = report.certificate()
        assert certificate is not None
        assert report.text == "This."
        return certificate.status, certificate.voided_by

    assert after("a", "b", "c") == ("valid", None)
    assert after("a", "b") == ("void", "the generator's budget")


def test_without_a_promise_there_is_nothing_to_void() -> None:
    assert Pipeline([dropper()]).check(TURN).certificates == ()


# Rewriting and asynchronous parts


def test_the_standalone_question_is_retrieved_and_answered_and_the_users_own_kept() -> None:
    asked: list[str] = []
    generator = ScriptedGenerator("Blue.")
    history = as_messages([("user", "Is it red?"), Message(role="assistant", text="No.")])
    seen: list[Any] = []

    def rewriter(question: str, messages: Sequence[Message]) -> str:
        seen.append((question, tuple(messages)))
        return "Which colour is it?"

    parts = Parts(lambda q: asked.append(q) or PASSAGES, generator, rewriter)
    report = Pipeline([]).run(Turn(question="Then which?", history=history), parts)
    assert seen == [("Then which?", history)]
    assert asked == ["Which colour is it?"]
    assert generator.seen == [("Which colour is it?", PASSAGES)]
    assert (report.turn.question, report.turn.standalone) == ("Then which?", "Which colour is it?")


@pytest.mark.parametrize("turn", [Turn(question="Which?"), Turn(question="It?", standalone="Which?")])
def test_nothing_is_rewritten_without_history_or_twice(turn: Turn) -> None:
    given = turn.replace(history=as_messages([("user", "Hm.")])) if turn.standalone else turn
    report = Pipeline([]).run(given, Parts(rewriter=lambda q, h: 1 / 0))
    assert report.turn.query == "Which?"


def test_an_empty_rewriting_keeps_the_question() -> None:
    turn = Turn(question="Which?", history=as_messages([("user", "Hm.")]))
    assert Pipeline([]).run(turn, Parts(rewriter=lambda q, h: " ")).turn.query == "Which?"


class CallsAsynchronously:
    async def __call__(self, question: str, passages: Sequence[Passage]) -> str:
        await asyncio.sleep(0)
        return f"{question} {len(passages)}"


class HasAcall:
    def __call__(self, question: str, passages: Sequence[Passage]) -> str:
        raise AssertionError("the asynchronous call is there")

    async def acall(self, question: str, passages: Sequence[Passage]) -> str:
        return f"{question} {len(passages)}"


async def _generate(question: str, passages: Sequence[Passage], mark: str = "") -> str:
    return f"{question} {len(passages)}{mark}"


@pytest.mark.parametrize(
    "generator",
    [
        _generate,
        functools.partial(_generate, mark=""),
        lambda q, p: _generate(q, p),
        lambda q, p: f"{q} {len(p)}",
        CallsAsynchronously(),
        HasAcall(),
    ],
)
async def test_asynchronous_parts_are_awaited_in_every_shape(generator: Any) -> None:
    async def find(question: str) -> Sequence[Passage]:
        return PASSAGES

    report = await Pipeline([]).arun(Turn(question="Which?"), Parts(find, generator))
    assert report.text == "Which? 3"


async def test_no_guard_and_no_part_runs_on_the_event_loops_thread() -> None:
    threads: set[int] = set()

    def find(question: str) -> Sequence[Passage]:
        threads.add(threading.get_ident())
        return PASSAGES

    def say(question: str, passages: Sequence[Passage]) -> str:
        threads.add(threading.get_ident())
        return "This."

    guard = ScriptedGuard(*JUDGED)
    for pipeline in (Pipeline([guard]), Pipeline([guard], deadline=30)):
        await pipeline.arun(Turn(question="Which?"), Parts(find, say))
    assert threading.get_ident() not in threads | guard.threads


async def test_interleaved_turns_keep_their_own_answers() -> None:
    async def find(question: str) -> Sequence[Passage]:
        await asyncio.sleep(0.001 * (int(question) % 7))
        return [Passage(id=question, text=question)]

    async def say(question: str, passages: Sequence[Passage]) -> str:
        await asyncio.sleep(0.001 * (int(question) % 5))
        return f"{question}:{passages[0].id}"

    def marks(turn: Turn, stage: Stage) -> Turn:
        return turn.replace(metadata={**turn.metadata, stage.value: turn.question})

    pipeline = Pipeline([ScriptedGuard(*JUDGED, does=marks)], deadline=60)
    turns = [Turn(question=str(i)) for i in range(200)]
    reports = await asyncio.gather(*(pipeline.arun(turn, Parts(find, say)) for turn in turns))
    for i, report in enumerate(reports):
        assert report.text == f"{i}:{i}"
        assert report.turn.metadata == dict.fromkeys(("question", "passages", "answer"), str(i))


# Sync and async, whatever the guards do

DEEDS: dict[str, Any] = {
    "pass": Action.PASS,
    "revise": Action.REVISE,
    "abstain": Action.ABSTAIN,
    "refuse": Action.REFUSE,
    "drop": without("b"),
    "redact": lambda turn, _: turn.replace(answer=turn.answer and "Less."),
    "promise": certified("promise", covers=("g0",)),
    "fail": RuntimeError(SECRET),
    "late": DeadlineExceededError("late"),
}
GUARDS = st.lists(
    st.tuples(
        st.sampled_from(sorted(DEEDS)),
        st.sets(st.sampled_from(JUDGED), min_size=1),
        st.sampled_from(Mode),
        st.sampled_from(OnError),
    ),
    max_size=5,
)


def dropped_by(report: Report) -> str | None:
    """The first guard that took passage b from the turn."""
    revised = [v for v in report.verdicts if v.mode is Mode.ENFORCE and v.revised and v.revised.passages]
    return next((v.guard for v in revised if "b" not in {p.id for p in v.revised.passages}), None)  # type: ignore


@given(GUARDS, st.booleans(), st.sampled_from([None, 60.0]))
@settings(max_examples=150, deadline=None)
def test_sync_and_async_give_the_same_report_which_fits_its_schema(
    scripts: Any, complete: bool, seconds: float | None
) -> None:
    steps = [
        Step(ScriptedGuard(*stages, does=DEEDS[deed], name=f"g{i}"), mode=mode, on_error=policy)
        for i, (deed, stages, mode, policy) in enumerate(scripts)
    ]
    pipeline = Pipeline(steps, deadline=seconds)
    turn = TURN if complete else Turn(question="Which?")
    parts = Parts(retriever, ScriptedGenerator(Generation(text="This.", read=("a", "b"))))
    report = pipeline.run(turn, parts)
    assert plain(asyncio.run(pipeline.arun(turn, parts))) == plain(report)
    VALIDATOR.validate(json.loads(report.model_dump_json()))
    assert Report.model_validate_json(report.model_dump_json()) == report
    assert SECRET not in report.model_dump_json()
    certificate = report.certificate()
    if certificate is not None and certificate.status == "valid":
        assert dropped_by(report) in (None, "g0"), "nobody outside the promise removed a passage"
    if not report.released:
        assert report.text != report.turn.answer or report.turn.answer is None


# Several turns side by side


class Together(ScriptedGuard):
    """Judges several turns in one call, and notes how many."""

    def __init__(self, *stages: Stage, **script: Any) -> None:
        super().__init__(*stages, **script)
        self.asked: list[int] = []

    def check_many(self, turns: Sequence[Turn], stage: Stage, /) -> list[Verdict]:
        self.asked.append(len(turns))
        return [self.check(turn, stage) for turn in turns]


@given(GUARDS, st.lists(st.booleans(), max_size=4))
@settings(max_examples=50, deadline=None)
def test_turns_judged_side_by_side_get_the_reports_they_get_alone(scripts: Any, complete: list[bool]) -> None:
    steps = [
        Step(kind(*stages, does=DEEDS[deed], name=f"g{i}"), mode=mode, on_error=policy)
        for i, (deed, stages, mode, policy) in enumerate(scripts)
        for kind in [Together if i % 2 else ScriptedGuard]
    ]
    pipeline = Pipeline(steps)
    turns = [TURN if whole else Turn(question="Which?", answer="This.") for whole in complete]
    alone = [plain(pipeline.check(turn)) for turn in turns]
    assert [plain(r) for r in pipeline.check_many(turns)] == alone
    assert [plain(r) for r in asyncio.run(pipeline.acheck_many(turns))] == alone


def test_a_guard_that_judges_many_is_asked_once_a_stage_whatever_the_turns_lack() -> None:
    guard = Together(*JUDGED)
    turns = [TURN, Turn(question="Which?", answer="This."), Turn(question="Which?"), TURN]
    Pipeline([guard]).check_many(turns)
    asyncio.run(Pipeline([guard]).acheck_many(turns))
    assert guard.asked == [4, 2, 3] * 2


def test_a_turn_at_fault_fails_alone() -> None:
    def unless_odd(turn: Turn, _: Stage) -> Action | Exception:
        return RuntimeError(SECRET) if turn.answer == "odd" else Action.PASS

    guard = Together(Stage.ANSWER, does=unless_odd)
    turns = [TURN, TURN.replace(answer="odd"), TURN]
    found = Pipeline([guard]).check_many(turns)
    assert [r.reason for r in found] == [Reason.OK, Reason.GUARD_ERROR, Reason.OK]


def test_a_guard_that_loses_a_turn_gives_none_to_another() -> None:
    class Short(Together):
        def check_many(self, turns: Sequence[Turn], stage: Stage, /) -> list[Verdict]:
            return super().check_many(turns, stage)[1:]

    refusing = Short(Stage.ANSWER, does=lambda t, _: Action.REFUSE if t.answer == "odd" else Action.PASS)
    found = Pipeline([refusing]).check_many([TURN, TURN.replace(answer="odd")])
    assert [r.released for r in found] == [True, False]


def test_of_many_turns_the_deadline_is_as_many_times_longer_and_no_turn_passes_after_it() -> None:
    late = Pipeline([Together(Stage.ANSWER, seconds=0.05)], deadline=0.01)
    assert {r.reason for r in late.check_many([TURN, TURN])} == {Reason.DEADLINE}
    assert {r.released for r in late.check_many([TURN] * 10)} == {False}
    assert all(r.released for r in Pipeline([Together(Stage.ANSWER)], deadline=60).check_many([TURN] * 3))


async def test_many_turns_are_judged_off_the_event_loop() -> None:
    for guard in (Together(Stage.ANSWER), ScriptedGuard(Stage.ANSWER)):
        await Pipeline([guard]).acheck_many([TURN, TURN])
        assert threading.get_ident() not in guard.threads
