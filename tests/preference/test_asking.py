import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from ragguard.errors import GenerationError, InvalidValueError, UnreadableFileError
from ragguard.preference.asking import Budget, Spent, answer_batch, ask_all
from ragguard.preference.probe_log import AnswerLog
from ragguard.preference.readers import Ask, Reader, as_reader
from ragguard.types import Passage

ASKS = [Ask(f"question {i}") for i in range(6)]
SECRET = "zyzzogeton7391"


class Counted:
    """Answers with the question, counts, and fails when told to."""

    def __init__(self, *, fails_after: int | None = None, error: type[BaseException] = RuntimeError) -> None:
        self.calls = 0
        self._fails_after, self._error = fails_after, error

    def __call__(self, question: str, passages: Sequence[Passage]) -> str:
        if self._fails_after is not None and self.calls >= self._fails_after:
            raise self._error(SECRET)
        self.calls += 1
        return f"{question} {len(passages)}"


def reader(target: Counted, name: str = "counted") -> Reader:
    return as_reader(target, name=name)


def test_equal_asks_are_asked_once_and_known_ones_never() -> None:
    target, log = Counted(), AnswerLog()
    assert ask_all(reader(target), [*ASKS, *ASKS], log=log).calls == 6
    spent = ask_all(reader(target), ASKS, log=log)
    assert (spent.asked, spent.cached, spent.calls, spent.left) == (6, 6, 0, 0)
    assert target.calls == 6


def test_another_reader_prompt_passage_or_sample_is_another_ask() -> None:
    target, log = Counted(), AnswerLog()
    asks = [Ask("q"), Ask("q", sample=1), Ask("q", ("p",)), Ask("q", ("p", "r")), Ask("q", ("r", "p"))]
    ask_all(reader(target), asks, log=log)
    assert target.calls == 5
    ask_all(reader(target, "another"), asks, log=log)
    assert target.calls == 10


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "answers.jsonl"
    with pytest.raises(KeyboardInterrupt):
        ask_all(reader(Counted(fails_after=4, error=KeyboardInterrupt)), ASKS, log=AnswerLog(path))
    again = Counted()
    spent = ask_all(reader(again), ASKS, log=AnswerLog(path))
    assert (again.calls, spent.cached, spent.left) == (2, 4, 0)


def test_a_line_torn_by_a_kill_costs_that_answer_alone(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    ask_all(reader(Counted()), ASKS, log=AnswerLog(path))
    whole = path.read_bytes()
    for cut in (1, 2, 10, 40):
        path.write_bytes(whole[:-cut])
        target = Counted()
        ask_all(reader(target), ASKS, log=AnswerLog(path))
        # Less its line end alone, the last line is whole.
        assert target.calls == (0 if cut == 1 else 1)
        assert path.read_bytes() == whole


def test_a_failing_reader_is_an_error_that_quotes_nothing_and_keeps_the_answers(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with pytest.raises(GenerationError, match="RuntimeError after 3 answers") as caught:
        ask_all(reader(Counted(fails_after=3)), ASKS, log=AnswerLog(path))
    assert SECRET not in str(caught.value)
    assert len(AnswerLog(path)) == 3


def test_the_log_holds_neither_questions_nor_passages(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    target = as_reader(lambda q, p: "known", name="r")
    ask_all(target, [Ask(f"about {SECRET}", (SECRET,))], log=AnswerLog(path))
    assert SECRET not in path.read_text(encoding="utf-8")
    assert [json.loads(line).get("reader") for line in path.open(encoding="utf-8")] == [target.id] * 2


@pytest.mark.parametrize("line", ["{", "[]", '{"key": 1}', '{"query": "x"}'])
def test_a_file_that_is_no_log_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(UnreadableFileError):
        AnswerLog(path)
    assert path.read_text(encoding="utf-8") == line + "\n"


@pytest.mark.parametrize("calls", [0, 1, 4, 6, 9])
def test_a_budget_of_calls_is_kept_to_the_call_and_says_what_is_left(calls: int) -> None:
    target = Counted()
    spent = ask_all(reader(target), ASKS, log=AnswerLog(), budget=Budget(calls=calls))
    assert target.calls == spent.calls == min(calls, 6)
    assert spent.left == max(0, 6 - calls)


def test_a_budget_of_tokens_or_cost_is_never_exceeded_by_short_answers() -> None:
    for budget in (Budget(tokens=40, price=2.0), Budget(cost=0.08, price=2.0)):
        target = Counted()
        spent = ask_all(reader(target), ASKS, log=AnswerLog(), budget=budget)
        assert 0 < target.calls < 6
        assert spent.tokens <= 40
        assert spent.cost == pytest.approx(spent.tokens * 2.0 / 1000)


def test_a_budget_is_refused_where_it_means_nothing() -> None:
    for settings in ({"calls": -1}, {"tokens": float("nan")}, {"cost": 1.0}):
        with pytest.raises(InvalidValueError):
            Budget(**settings)  # type: ignore[arg-type]


def test_progress_is_told_after_every_answer() -> None:
    told: list[Spent] = []
    ask_all(reader(Counted()), ASKS, log=AnswerLog(), progress=told.append)
    assert [one.calls for one in told] == list(range(7))
    assert told[-1].left == 0


def test_a_batch_of_questions_with_passages_uses_the_answers_of_the_probe() -> None:
    target, log = Counted(), AnswerLog()
    ask_all(reader(target), [Ask("q", ("p",))], log=log)
    found = answer_batch(reader(target), [("q", ["p"]), ("q", []), ("q", ["p", "r"])], log=log)
    assert found == ["q 1", "q 0", "q 2"]
    assert target.calls == 3
    assert answer_batch(reader(target), []) == []
