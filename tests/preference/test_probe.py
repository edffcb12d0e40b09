import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.errors import DuplicateIdError, InvalidValueError
from ragguard.preference.asking import Budget
from ragguard.preference.probe import Probed, category_of, probe, probe_ranks
from ragguard.preference.probe_log import AnswerLog
from ragguard.preference.readers import Reader, as_reader
from ragguard.preference.records import PreferenceExample, ProbeQuestion
from ragguard.types import Passage

QUESTION = ProbeQuestion(
    id="q", text="When?", answers=("2007", "two thousand seven"), cluster="c", split="train"
)


def scripted(replies: Mapping[str, str], name: str = "scripted") -> Reader:
    """Answers by the one passage it is shown, "" for none."""
    return as_reader(lambda q, passages: replies["".join(p.text for p in passages)], name=name)


def pool(*texts: str) -> Callable[[str], Sequence[Passage]]:
    return lambda _: [Passage(id=f"p-{t}", text=t, score=1 - i / 10) for i, t in enumerate(texts)]


def single(before: str, after: str, golds: tuple[str, ...] = QUESTION.answers) -> PreferenceExample:
    question = QUESTION.model_copy(update={"answers": golds})
    return probe(scripted({"": before, "d": after}), [question], pool("d")).examples[0]


@pytest.mark.parametrize(
    ("before", "after", "golds", "category", "gain", "reason"),
    [
        # the four categories
        ("In 1999.", "In 2007.", ("2007",), "aligned", 1.0, ""),
        ("In 2007.", "In 1999.", ("2007",), "unaligned", -1.0, "contradicted"),
        ("2007", "2007.", ("2007",), "both_correct", 0.0, ""),
        ("1999", "1998", ("2007",), "both_wrong", 0.0, ""),
        # verbosity changes nothing but the form
        (
            "2007",
            "The first time he went to the finals was in 2007.",
            ("2007",),
            "both_correct",
            0.0,
            "format_only",
        ),
        ("It was in the year 2007, I am sure.", "2007", ("2007",), "both_correct", 0.0, "format_only"),
        # aliases
        ("JFK", "John F. Kennedy", ("John F. Kennedy", "JFK"), "both_correct", 0.0, "format_only"),
        ("Nixon", "JFK", ("John F. Kennedy", "JFK"), "aligned", 1.0, ""),
        # refusals are not correct, and say so
        ("2007", "The passage does not mention 2007.", ("2007",), "unaligned", -1.0, "abstained"),
        ("I don't know.", "2007", ("2007",), "aligned", 1.0, ""),
        ("I don't know.", "I don't know.", ("2007",), "both_wrong", 0.0, ""),
        # numbers
        ("2,007", "2007", ("two thousand seven",), "both_correct", 0.0, ""),
        ("12007", "2007", ("2007",), "aligned", 1.0, ""),
        # yes and no
        ("No.", "Yes, it is.", ("yes",), "aligned", 1.0, ""),
        ("Yes.", "No, yes is wrong.", ("yes",), "unaligned", -1.0, "contradicted"),
        # half of the answer's words are still there
        (
            "William, Duke of Normandy",
            "Duke William",
            ("William, Duke of Normandy",),
            "unaligned",
            -1.0,
            "format_only",
        ),
    ],
)
def test_truth_table(
    before: str, after: str, golds: tuple[str, ...], category: str, gain: float, reason: str
) -> None:
    found = single(before, after, golds)
    assert (found.category, found.gain, found.reason) == (category, gain, reason)


def test_an_empty_gold_answer_is_an_error_before_anything_is_asked() -> None:
    asked = []
    reader = as_reader(lambda q, p: asked.append(q) or "x", name="r")
    with pytest.raises(InvalidValueError, match="gold"):
        probe(reader, [QUESTION, ProbeQuestion(id="e", text="?", answers=(" ",))], pool("d"))
    assert asked == []


def test_an_example_carries_where_it_came_from() -> None:
    found = probe(scripted({"": "x", "d": "2007", "e": "x"}), [QUESTION], pool("d", "e")).examples
    assert [(e.passage_id, e.rank, e.retriever_score, e.cluster, e.split) for e in found] == [
        ("p-d", 1, 1.0, "c", "train"),
        ("p-e", 2, 0.9, "c", "train"),
    ]
    assert all(e.reader.startswith("scripted-") for e in found)


def sampled(shares: Mapping[str, float], samples: int, **settings: float) -> Probed:
    """A reader that is correct in that share of the samples, by what it is shown."""

    def model(prompt: str, *, temperature: float, seed: int) -> str:
        key = prompt.split("\n\n")[0] if "\n\n" in prompt else ""
        return "2007" if seed < round(shares[key] * samples) else "1999"

    reader = as_reader(model, name="drawn", takes="prompt", temperature=0.7)
    return probe(reader, [QUESTION], pool(*[k for k in shares if k]), samples=samples, **settings)  # type: ignore[arg-type]


def test_samples_give_soft_gains_and_only_a_clear_flip_gives_a_label() -> None:
    found = sampled({"": 0.4, "helps": 1.0, "hints": 0.6, "harms": 0.0, "dulls": 0.2}, 5).examples
    by = {e.passage: e for e in found}
    assert {k: round(e.gain, 6) for k, e in by.items()} == {
        "helps": 0.6,
        "hints": 0.2,
        "harms": -0.4,
        "dulls": -0.2,
    }
    assert {k: e.category for k, e in by.items()} == {
        "helps": "aligned",
        "hints": "both_correct",
        "harms": "both_wrong",
        "dulls": "both_wrong",
    }
    assert all(e.n == 5 for e in found)
    assert {e.category for e in sampled({"": 0.4, "harms": 0.0}, 5, margin=0.4).examples} == {"unaligned"}


@given(st.integers(1, 9), st.data())
def test_gains_are_bounded_and_categories_follow_them(n: int, data: st.DataObject) -> None:
    before, after = (data.draw(st.integers(0, n)) / n for _ in range(2))
    margin = data.draw(st.sampled_from([0.1, 0.3, 0.5, 1.0]))
    category = category_of(before, after, margin=margin)
    mirrored = category_of(after, before, margin=margin)
    assert -1 <= after - before <= 1
    assert (category == "aligned") == (mirrored == "unaligned")
    if category in ("both_correct", "both_wrong"):
        assert mirrored == category
        assert abs(after - before) < margin


def test_a_gain_of_exactly_the_margin_is_a_label_whatever_floats_say() -> None:
    assert category_of(0.1, 0.6, margin=0.5) == "aligned"
    assert category_of(0.7, 0.4, margin=0.3) == "unaligned"


@given(st.integers(0, 3000))
def test_ranks_are_distinct_and_inside_the_pool(size: int) -> None:
    found = probe_ranks(size)
    assert found == sorted(set(found))
    assert all(1 <= rank <= size for rank in found)
    assert len(found) == min(size, 4)
    if size >= 100:
        assert found == [1, 25, 50, 100]
    if 1 < size < 100:
        assert found[0] == 1, "the first and the last of a small pool are probed"
        assert found[-1] == size


def test_ranks_below_one_are_refused() -> None:
    with pytest.raises(InvalidValueError):
        probe_ranks(10, [0, 5])
    with pytest.raises(InvalidValueError):
        probe_ranks(10, [])


def test_a_gold_passage_at_another_rank_is_probed_too() -> None:
    texts = [f"t{i}" for i in range(120)]
    question = QUESTION.model_copy(update={"gold_passages": ("p-t6", "p-t24", "not in the pool")})
    found = probe(as_reader(lambda q, p: "x", name="r"), [question], pool(*texts)).examples
    assert [e.rank for e in found] == [1, 7, 25, 50, 100]


def test_a_passage_that_occurs_twice_is_probed_at_its_first_place() -> None:
    ranked = [Passage(id="a", text="a"), Passage(id="b", text="b"), Passage(id="a", text="a")]
    found = probe(as_reader(lambda q, p: "x", name="r"), [QUESTION], {"q": ranked}, ranks=(1, 2)).examples
    assert [(e.passage_id, e.rank) for e in found] == [("a", 1), ("b", 2)]


def test_an_empty_pool_gives_no_example_but_the_closed_book() -> None:
    found = probe(scripted({"": "2007"}), [QUESTION], pool())
    assert (found.examples, found.closed, found.complete) == ([], {"q": 1.0}, True)


def test_a_budget_gives_the_examples_that_are_complete_and_says_what_is_missing(tmp_path: Path) -> None:
    questions = [QUESTION.model_copy(update={"id": f"q{i}", "text": f"When {i}?"}) for i in range(4)]
    log = tmp_path / "answers.jsonl"

    def run(calls: int | None) -> Probed:
        reader = scripted({"": "x", "d": "2007", "e": "x"})
        return probe(reader, questions, pool("d", "e"), log=AnswerLog(log), budget=Budget(calls=calls))

    first = run(5)
    assert [(e.query_id, e.passage_id) for e in first.examples] == [
        ("q0", "p-d"),
        ("q0", "p-e"),
        ("q1", "p-d"),
    ]
    assert (first.spent.left, first.complete) == (7, False)
    rest = run(None)
    assert (rest.spent.cached, rest.spent.calls, rest.complete) == (5, 7, True)
    assert rest.counts == {"aligned": 4, "both_wrong": 4}
    whole = probe(scripted({"": "x", "d": "2007", "e": "x"}), questions, pool("d", "e"))
    assert whole.examples == rest.examples


def test_two_readers_of_one_log_do_not_answer_for_each_other() -> None:
    log = AnswerLog()
    knows = probe(scripted({"": "2007", "d": "x"}, "knows"), [QUESTION], pool("d"), log=log)
    needs = probe(scripted({"": "x", "d": "2007"}, "needs"), [QUESTION], pool("d"), log=log)
    assert [e.category for p in (knows, needs) for e in p.examples] == ["unaligned", "aligned"]
    assert knows.reader != needs.reader


def test_the_order_in_which_a_batched_model_answers_does_not_matter() -> None:
    class Shuffled:
        def complete_many(self, prompts: Sequence[str]) -> list[str]:
            raise AssertionError

        def stream_many(self, prompts: Sequence[str], *, seeds: Sequence[int]) -> list[tuple[int, str]]:
            found = [(i, "2007" if p.startswith("d") else "x") for i, p in enumerate(prompts)]
            random.Random(len(prompts)).shuffle(found)
            return found

    found = probe(as_reader(Shuffled(), name="s"), [QUESTION], pool("d", "e"))
    assert [(e.passage, e.category) for e in found.examples] == [("d", "aligned"), ("e", "both_wrong")]


def test_another_judge_decides() -> None:
    reader = scripted({"": "x", "d": "y"})
    found = probe(
        reader, [QUESTION], pool("d"), judge=lambda answer, q: "correct" if answer == "y" else "wrong"
    )
    assert [e.category for e in found.examples] == ["aligned"]


def test_settings_that_cannot_be_used_are_refused() -> None:
    reader = scripted({"": "x", "d": "x"})
    for settings in ({"samples": 0}, {"margin": 0.0}, {"margin": 1.5}):
        with pytest.raises(InvalidValueError):
            probe(reader, [QUESTION], pool("d"), **settings)  # type: ignore[arg-type]
    with pytest.raises(DuplicateIdError):
        probe(reader, [QUESTION, QUESTION], pool("d"))
    with pytest.raises(InvalidValueError, match="no passages for question"):
        probe(reader, [QUESTION], {})
