import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ragguard.errors import DataError, InvalidValueError
from ragguard.preference.export import (
    Chat,
    aligned_orders,
    llama_factory_entry,
    pre_alignment_set,
    sft_set,
    write_chats,
)
from ragguard.preference.records import PreferenceExample, ProbeQuestion

GAINS = {"aligned": 1.0, "unaligned": -1.0, "both_correct": 0.0, "both_wrong": 0.0}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


def example(name: str, shown: str, category: str, **changed: object) -> PreferenceExample:
    return PreferenceExample.model_validate(
        {
            "query_id": name,
            "query": f"Question {name}?",
            "passage_id": shown,
            "passage": f"text of {shown}",
            "category": category,
            "gain": GAINS[category],
            "reader": "r",
            **changed,
        }
    )


EXAMPLES = [
    example("a", "a1", "aligned", rank=2, split="train"),
    example("a", "a2", "both_wrong", rank=1, split="train"),
    example("b", "b1", "unaligned", rank=1, split="train"),
    example("b", "b2", "both_correct", rank=25, split="train"),
    example("c", "c1", "aligned", rank=1, split="held_out"),
]
QUESTIONS = [ProbeQuestion(id=i, text=f"Question {i}?", answers=(f"answer {i}", "alias")) for i in "abc"]


def shown(chat: Chat) -> str:
    return chat["messages"][0]["content"]


def test_labelled_passages_alone_are_judged_among_others_of_other_questions() -> None:
    chats = pre_alignment_set(EXAMPLES, rng=random.Random(0), k=3)
    assert [c["messages"][1]["content"] for c in chats] == ["positive", "negative", "positive"]
    for chat, own in zip(chats, ("a1", "b1", "c1"), strict=True):
        lines = [line for line in shown(chat).split("\n") if line.startswith("Passage ")]
        assert len(lines) == 3
        number = next(i for i, line in enumerate(lines, 1) if line.endswith(f"text of {own}"))
        assert f"Would passage {number} help" in shown(chat)
        assert sum(f"text of {own[0]}" in line for line in lines) == 1, "the others are of other questions"


def test_a_seed_decides_and_the_place_of_the_passage_varies() -> None:
    def made(seed: int) -> list[Chat]:
        return pre_alignment_set(EXAMPLES, rng=random.Random(seed), k=3)

    assert made(1) == made(1)
    assert len({shown(made(seed)[0]).split("Would passage ")[1][0] for seed in range(30)}) == 3


def test_a_split_is_kept_apart() -> None:
    chats = pre_alignment_set(EXAMPLES, rng=random.Random(0), k=2, split="train")
    assert len(chats) == 2
    assert not any("c1" in shown(chat) for chat in chats)
    assert sft_set(QUESTIONS, {"a": ["x"]}, split="held_out") == []


def test_too_few_other_passages_are_an_error() -> None:
    with pytest.raises(DataError, match="only 3 passages"):
        pre_alignment_set(EXAMPLES, rng=random.Random(0), k=5)
    for make in (
        lambda: pre_alignment_set(EXAMPLES, rng=random.Random(0), k=0),
        lambda: sft_set(QUESTIONS, {}, k=0),
    ):
        with pytest.raises(InvalidValueError):
            make()


def test_readers_are_not_mixed() -> None:
    with pytest.raises(InvalidValueError, match="2 readers"):
        pre_alignment_set([*EXAMPLES, example("d", "d1", "aligned", reader="s")], rng=random.Random(0))


def test_the_aligned_order_is_by_gain_and_then_by_the_retriever() -> None:
    more = [*EXAMPLES, example("a", "a3", "unaligned", rank=3), example("a", "a4", "both_wrong", rank=None)]
    assert aligned_orders(more)["a"] == ["text of a1", "text of a2", "text of a4", "text of a3"]


class Lengths:
    """Scores by the last sign; what has none is not a number."""

    def score_pairs(self, pairs: Sequence[tuple[str, str]], /) -> NDArray[np.float64]:
        return np.array([float(p[-1]) if p[-1] != "2" else np.nan for _, p in pairs])

    def fingerprint(self) -> dict[str, str]:
        return {}


def test_a_scorer_gives_the_order_and_what_it_cannot_score_comes_last() -> None:
    more = [*EXAMPLES, example("a", "a3", "unaligned", rank=3)]
    assert aligned_orders(more, scorer=Lengths())["a"] == ["text of a3", "text of a1", "text of a2"]


def test_answers_are_taught_from_the_best_passages() -> None:
    chats = sft_set(QUESTIONS, aligned_orders(EXAMPLES), k=1)
    assert [c["messages"][1]["content"] for c in chats] == ["answer a", "answer b", "answer c"]
    assert "text of a1" in shown(chats[0])
    assert "text of a2" not in shown(chats[0])


@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=2, max_size=6), st.integers(1, 2))
def test_every_line_parses_and_roles_alternate(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], k: int
) -> None:
    examples = [
        example(f"q{i}", f"p{i}", "aligned" if i % 2 else "unaligned", query=q, passage=f"{i}{p}")
        for i, (q, p, _) in enumerate(rows)
    ]
    questions = [ProbeQuestion(id=f"q{i}", text=q, answers=(a,)) for i, (q, _, a) in enumerate(rows)]
    chats = [
        *pre_alignment_set(examples, rng=random.Random(0), k=k),
        *sft_set(questions, aligned_orders(examples), k=k),
    ]
    path = tmp_path_factory.mktemp("chats") / "x.jsonl"
    assert write_chats(path, chats) == len(chats) == 2 * len(rows)
    lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    assert len(lines) == len(chats)
    for line in lines:
        chat = json.loads(line)
        assert list(chat) == ["messages"]
        assert [m["role"] for m in chat["messages"]] == ["user", "assistant"]
        assert all(set(m) == {"role", "content"} and m["content"] for m in chat["messages"])


def test_llama_factory_is_told_where_roles_and_contents_are(tmp_path: Path) -> None:
    entry = llama_factory_entry("x.jsonl")
    chat = sft_set(QUESTIONS, {"a": ["x"]})[0]
    messages = chat[entry["columns"]["messages"]]
    assert [m[entry["tags"]["role_tag"]] for m in messages] == [
        entry["tags"]["user_tag"],
        entry["tags"]["assistant_tag"],
    ]
