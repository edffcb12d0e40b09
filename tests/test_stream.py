"""What a reader sees of an answer while it is being written."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard.alignment.claims import split_claims
from ragguard.alignment.guard import ConsistencyGuard
from ragguard.alignment.lexical import LexicalAligner
from ragguard.errors import InvalidValueError
from ragguard.pipeline import Pipeline, Step
from ragguard.stream import StreamGate, remainder, settled_end
from ragguard.types import Action, Mode, OnError, Passage, Reason, Stage, Turn, Verdict

PASSAGES = (
    Passage(id="list", text="list.sort sorts the list in place. The sort is stable. It returns None."),
    Passage(id="pi", text="The constant math.pi is 3.14. It has type float, e.g. for circles."),
)
TURN = Turn(question="How do I sort a list?", passages=PASSAGES)
GOOD = "Hello! list.sort sorts the list in place. The sort is stable. The constant math.pi is 3.14. It returns None."
SENTENCES = [
    "list.sort sorts the list in place.",
    "The sort is stable.",
    "It returns None.",
    "The constant math.pi is 3.14.",
    "It has type float, e.g. for circles.",
    "The sort is not stable.",
    "It takes 17 arguments.",
    "Elephants are pink.",
    "I don't know.",
    "I don't know, but it returns None.",
    "Hello!",
    "Here is the answer:",
    "\n- It returns None.\n- The sort is stable.",
    "1. The sort is stable.",
    "\n\n",
    "3.",
    "Yes!",
    "列表排序。",
    "no stop at all",
]


def gate(**settings: Any) -> StreamGate:
    return StreamGate([ConsistencyGuard(LexicalAligner(), **settings)], TURN)


def released_by(pieces: list[str], **settings: Any) -> tuple[StreamGate, list[str]]:
    stream = gate(**settings)
    return stream, [stream.push(piece) for piece in pieces]


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    borders = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[a:b] for a, b in itertools.pairwise(borders)]


answers = st.lists(st.sampled_from(SENTENCES), max_size=7).map(" ".join)
cuts = st.lists(st.integers(0, 1000), max_size=30)


@settings(max_examples=150, deadline=None)
@given(answers, cuts)
def test_what_comes_out_does_not_depend_on_the_chunks(answer: str, places: list[int]) -> None:
    whole, _ = released_by([answer])
    cut, parts = released_by(pieces_of(answer, places))
    letters, _ = released_by(list(answer))
    assert cut.released == whole.released == letters.released == "".join(parts)
    assert (cut.failure is None) == (whole.failure is None) == (letters.failure is None)
    assert cut.finish().action == whole.finish().action
    assert cut.released == whole.released


@settings(max_examples=150, deadline=None)
@given(answers, cuts)
def test_only_judged_claims_are_released_and_they_are_a_prefix(answer: str, places: list[int]) -> None:
    stream, _ = released_by(pieces_of(answer, places))
    shown = stream.released
    assert answer.startswith(shown)
    if shown:
        report = Pipeline([ConsistencyGuard(LexicalAligner())]).check(TURN.replace(answer=shown))
        assert report.released
        assert split_claims(shown) == split_claims(answer)[: len(split_claims(shown))]


@settings(max_examples=100, deadline=None)
@given(answers, cuts)
def test_finish_gives_the_verdict_of_the_whole_answer(answer: str, places: list[int]) -> None:
    stream, _ = released_by(pieces_of(answer, places))
    shown = stream.released
    report = stream.finish()
    batch = Pipeline([ConsistencyGuard(LexicalAligner())]).check(TURN.replace(answer=answer))
    assert (report.action, report.reason, report.text) == (batch.action, batch.reason, batch.text)
    assert stream.released == (answer if batch.released and stream.failure is None else shown)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="aB3.,!? \n-)(\"'。e", max_size=60), st.integers(0, 60))
def test_a_settled_border_stays_whatever_follows(text: str, cut: int) -> None:
    end = settled_end(text[:cut])
    assert end <= cut
    assert end == 0 or settled_end(text) == end


def test_a_sentence_is_held_until_it_has_ended_for_good() -> None:
    stream = gate()
    assert stream.push("The constant math.pi is 3.") == ""
    assert stream.push("14. It") == ""
    assert stream.push(" returns None") == "The constant math.pi is 3.14. "
    assert stream.finish().action is Action.PASS
    assert stream.released == "The constant math.pi is 3.14. It returns None"


@given(answers, cuts)
def test_where_a_stream_is_stopped_does_not_depend_on_how_much_more_had_come(
    answer: str, places: list[int]
) -> None:
    whole, _ = released_by([answer])
    cut = gate()
    for piece in pieces_of(answer, places):
        cut.push(piece)
        if cut.failure is not None:
            break
    if whole.failure is None:
        with pytest.raises(InvalidValueError):
            whole.stop()
        return
    (one, other), again = (
        (g.stop().model_copy(update={"seconds": {}}) for g in (whole, cut)),
        released_by([answer])[0],
    )
    assert not one.released
    assert answer.startswith(one.turn.answer or "")
    assert (one.turn, one.reason) == (other.turn, other.reason)
    assert one.verdicts[-1].details == other.verdicts[-1].details
    assert asyncio.run(again.astop()).turn == one.turn
    with pytest.raises(InvalidValueError):
        whole.finish()


def test_a_part_that_only_a_guard_of_the_stream_refuses_stays_refused() -> None:
    heard = Heard()
    strict = Fixed(Stage.STREAM, action=Action.REFUSE)
    stream = StreamGate(Pipeline([strict], observers=[heard]), TURN)
    assert stream.push("One. Two is more. ") == ""
    assert not stream.stop().released
    assert heard.reports


def test_an_abbreviation_is_not_taken_for_an_end() -> None:
    stream = gate()
    assert stream.push("It has type float, e.g. ") == ""
    assert stream.push("For circles. The sort is stable") == "It has type float, e.g. For circles. "


def test_nothing_is_released_after_a_failure() -> None:
    stream, parts = released_by(
        ["The sort is stable. Elephants are pink. ", "It returns None. ", "The sort is stable."]
    )
    assert "".join(parts) == "The sort is stable. "
    assert stream.failure is not None
    report = stream.finish()
    assert report.action is Action.REFUSE
    assert report.verdicts[-1].details["released_characters"] == len("The sort is stable. ")
    assert stream.released == "The sort is stable. "


def test_a_greeting_is_held_until_a_claim_passes() -> None:
    stream = gate()
    assert stream.push("Hello! The sort ") == ""
    assert stream.push("is stable. It returns") == "Hello! The sort is stable. "


def test_an_abstention_is_not_shown_by_itself() -> None:
    stream, parts = released_by(["I don't know. Sorry about ", "that."])
    assert parts == ["", ""]
    assert stream.finish().action is Action.REFUSE or stream.released == ""


def test_an_abstention_alone_ends_as_an_abstention() -> None:
    stream = gate()
    stream.push("I don't know.")
    report = stream.finish()
    assert (report.action, report.reason, stream.released) == (Action.ABSTAIN, Reason.MODEL_ABSTAINED, "")


def test_an_empty_stream_is_refused() -> None:
    assert gate().finish().reason is Reason.EMPTY_ANSWER


def test_a_redacting_guard_stops_the_stream_and_reports_the_redacted_text() -> None:
    stream, parts = released_by(
        ["The sort is stable. Elephants are pink. It returns None. Yes it"], policy="redact"
    )
    assert "".join(parts) == "The sort is stable. "
    assert "Elephants" not in (stream.finish().text or "")


def test_a_refused_question_lets_nothing_out() -> None:
    stream = StreamGate([Fixed(Stage.QUESTION, Action.REFUSE), ConsistencyGuard(LexicalAligner())], TURN)
    assert stream.push(GOOD) == ""
    assert stream.finish().action is Action.REFUSE


def test_a_guard_for_the_stream_is_asked_at_that_stage() -> None:
    guard = Fixed(Stage.STREAM, Action.PASS)
    StreamGate([guard], TURN).push(GOOD)
    assert set(guard.asked) == {Stage.STREAM}


def test_a_guard_that_breaks_is_decided_by_its_policy() -> None:
    broken = Fixed(Stage.ANSWER, None)
    assert StreamGate([broken], TURN).push(GOOD) == ""
    assert StreamGate([Step(broken, on_error=OnError.PASS)], TURN).push(GOOD) != ""


def test_a_shadow_guard_holds_nothing_back() -> None:
    step = Step(Fixed(Stage.ANSWER, Action.REFUSE), mode=Mode.SHADOW)
    assert StreamGate([step], TURN).push(GOOD) != ""


def test_a_finished_gate_takes_no_more() -> None:
    stream = gate()
    stream.finish()
    with pytest.raises(InvalidValueError):
        stream.push("x")
    with pytest.raises(InvalidValueError):
        stream.finish()


def test_the_asynchronous_gate_does_the_same() -> None:
    async def run() -> tuple[str, Action, str]:
        stream = gate()
        parts = [await stream.apush(piece) for piece in (GOOD[:30], GOOD[30:])]
        report = await stream.afinish()
        return "".join(parts), report.action, stream.released

    plain = gate()
    assert asyncio.run(run()) == (plain.push(GOOD), plain.finish().action, plain.released)


def test_observers_hear_of_the_whole_answer_once() -> None:
    heard = Heard()
    stream = StreamGate(Pipeline([ConsistencyGuard(LexicalAligner())], observers=[heard]), TURN)
    stream.push(GOOD)
    stream.finish()
    assert heard.reports == 1


def test_it_loads_no_model_library() -> None:
    code = (
        "import sys, ragguard.stream, ragguard.alignment.guard;"
        "sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'langchain_core')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Heard:
    """An observer that counts reports."""

    def __init__(self) -> None:
        self.reports = 0

    def on_verdict(self, turn: Turn, verdict: Verdict, /) -> None: ...

    def on_report(self, report: Any, /) -> None:
        self.reports += 1


class Fixed:
    """A guard of one stage that always says the same, or breaks."""

    def __init__(self, stage: Stage, action: Action | None) -> None:
        self.name = "fixed"
        self.stages = frozenset({stage})
        self.asked: list[Stage] = []
        self._action = action

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        self.asked.append(stage)
        if self._action is None:
            raise RuntimeError("broken")
        return Verdict(guard=self.name, stage=stage, action=self._action, reason=Reason.POLICY_CONFLICT)

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        return self.check(turn, stage)


# --- holding back ------------------------------------------------------------------------


class Holding:
    """Passes every part, and holds back from the last place at which a word stands."""

    name, stages = "holding", frozenset({Stage.ANSWER, Stage.STREAM})

    def __init__(self, word: str, *, hold: Any = None, name: str = "holding") -> None:
        self.word, self.hold, self.name = word, hold, name

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        place = (turn.answer or "").rfind(self.word)
        held = self.hold if self.hold is not None else place
        details = {"hold": held} if stage is Stage.STREAM and place >= 0 else {}
        return Verdict(guard=self.name, stage=stage, action=Action.PASS, details=details)

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        return self.check(turn, stage)


def test_what_a_guard_holds_is_released_when_the_hold_moves_on() -> None:
    stream = StreamGate([Holding("open")], TURN)
    assert stream.push("All is well. It is open now. And ") == "All is well. It is "
    assert stream.push("more is open here. It ") == "open now. And more is "
    assert stream.failure is None


def test_finish_releases_what_was_held() -> None:
    stream = StreamGate([Holding("open")], TURN)
    stream.push("It is open now. And so on")
    assert stream.finish().action is Action.PASS
    assert stream.released == stream.answer == "It is open now. And so on"


def test_the_smallest_hold_of_all_guards_counts() -> None:
    stream = StreamGate([Holding("late", name="a"), Holding("early", name="b")], TURN)
    assert stream.push("Now early and late. It is so. ") == "Now "


def test_a_hold_that_moves_back_shows_nothing_more_and_takes_nothing_back() -> None:
    guard = Holding("open")
    stream = StreamGate([guard], TURN)
    assert stream.push("All is well. It is open now. And ") == "All is well. It is "
    guard.hold = 3
    assert stream.push("more is open here. It ") == ""
    assert stream.released == "All is well. It is "


@pytest.mark.parametrize("hold", ["12", 3.5, -1, True, None])
def test_a_hold_that_is_no_place_lets_nothing_out(hold: object) -> None:
    guard = Holding("open")
    guard.hold = "none" if hold is None else hold
    stream = StreamGate([guard], TURN)
    assert stream.push("It is open now. And so on. ") == ""


def test_a_hold_beyond_the_part_holds_nothing() -> None:
    stream = StreamGate([Holding("open", hold=10_000)], TURN)
    assert stream.push("It is open now. And so on ") == "It is open now. "


def test_a_hold_of_a_guard_in_shadow_holds_nothing() -> None:
    stream = StreamGate([Step(Holding("open"), mode=Mode.SHADOW)], TURN)
    stream.push("It is open now. And so on ")
    assert stream.finish().released
    assert stream.released == stream.answer


# What is left to be shown


@given(shown=st.text(), rest=st.text())
def test_of_an_answer_that_goes_on_the_rest_is_still_to_be_shown(shown: str, rest: str) -> None:
    assert shown + remainder(shown, shown + rest, follows=True) == shown + rest


@given(shown=st.text(min_size=1), text=st.text())
def test_a_message_follows_what_was_shown_after_an_empty_line(shown: str, text: str) -> None:
    assert remainder(shown, text, follows=False) == f"\n\n{text}"
    assert remainder("", text, follows=False) == text


def test_a_redacted_answer_goes_on_where_the_space_was_taken() -> None:
    assert remainder("One. ", "One.", follows=True) == ""
    assert remainder("One. ", "One.\nThree.", follows=True) == "Three."
    assert remainder("One.", "Two.", follows=True) == "\n\nTwo."
