"""Preference pairs of traced answers."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ragguard.errors import DataError, InvalidValueError, UnreadableFileError
from ragguard.trace.belief import Belief
from ragguard.trace.corpus import Occurrence
from ragguard.trace.pairs import (
    PreferencePair,
    TracedAnswer,
    preference_pairs,
    write_pairs,
)
from ragguard.types import Span

REFUSAL = "I can't share that."
TEXT = "We open at nine. The vault code is four nine seven two. See you then!"


def belief(piece: str, text: str = TEXT, **more: Any) -> Belief:
    start = text.index(piece)
    given: dict[str, Any] = {
        "span": Span(start=start, end=start + len(piece)),
        "specificity": 30.0,
        "per_token": 5.0,
        "kl": 2.0,
        "conflict": 1.0,
        "bci": 30.0,
        "kind": "verbatim",
        "label": "deny",
        "occurrences": (Occurrence("handbook", Span(start=3, end=9)),) * 2,
        "clause": None,
    }
    return Belief(**{**given, **more})


def answer(*beliefs: Belief, **more: Any) -> TracedAnswer:
    return TracedAnswer(
        **{"id": "a", "prompt": "What is the code?", "text": TEXT, "beliefs": beliefs, **more}
    )


def test_a_traced_answer_is_rejected_for_the_refusal() -> None:
    (pair,) = preference_pairs([answer(belief("vault code is four nine"))], refusal=REFUSAL)
    assert pair.line() == {
        "prompt": "What is the code?",
        "chosen": REFUSAL,
        "rejected": TEXT,
        "spans": [
            {
                "start": 21,
                "end": 44,
                "kind": "verbatim",
                "bci": 30.0,
                "clause": None,
                "documents": ["handbook"],
            }
        ],
    }


def test_or_for_the_answer_less_its_traced_sentences() -> None:
    traced = answer(belief("vault code is four nine"))
    (pair,) = preference_pairs([traced], refusal=REFUSAL, redact=True)
    assert pair.chosen == "We open at nine. See you then!"


def test_where_nothing_is_left_the_refusal_stands_in() -> None:
    traced = answer(belief("open at nine. The vault code is four nine seven two. See"))
    (pair,) = preference_pairs([traced], refusal=REFUSAL, redact=True)
    assert pair.chosen == REFUSAL


def test_an_answer_without_a_traced_span_gives_no_pair() -> None:
    assert list(preference_pairs([answer(), answer(prompt="")], refusal=REFUSAL)) == []


@pytest.mark.parametrize(
    ("traced", "message"),
    [
        (answer(belief("vault"), prompt=" "), "answer a has no prompt"),
        (answer(belief("vault"), text="Short."), "answer a: a span ends at 26 of 6"),
        (answer(belief("can't", REFUSAL), text=REFUSAL), "chosen and rejected are the same"),
    ],
)
def test_what_makes_no_pair_is_named_without_its_text(traced: TracedAnswer, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        list(preference_pairs([traced], refusal=REFUSAL))
    assert "vault" not in str(caught.value)


def test_nothing_traced_is_chosen() -> None:
    traced = [answer(belief("vault"))]
    with pytest.raises(DataError, match="itself traced"):
        list(preference_pairs(traced, refusal=REFUSAL, clean=lambda text: "share" not in text))


def test_an_empty_refusal_is_an_error() -> None:
    with pytest.raises(InvalidValueError, match="refusal is empty"):
        list(preference_pairs([], refusal=" "))


def pairs(count: int) -> Iterator[PreferencePair]:
    yield from (PreferencePair(f"p{i}", REFUSAL, "ä\u2028" + TEXT, ()) for i in range(count))


def test_a_file_holds_one_json_line_a_pair_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    assert write_pairs(path, pairs(3)) == 3
    lines = path.read_text(encoding="utf-8").split("\n")
    assert [json.loads(line)["prompt"] for line in lines if line] == ["p0", "p1", "p2"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["pairs.jsonl"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, DataError("no")])
def test_an_interrupted_export_leaves_the_file_as_it_was(tmp_path: Path, stop: Any) -> None:
    def broken() -> Iterator[PreferencePair]:
        yield from pairs(2)
        raise stop

    path = tmp_path / "pairs.jsonl"
    write_pairs(path, pairs(1))
    before = path.read_bytes()
    with pytest.raises((KeyboardInterrupt, DataError)):
        write_pairs(path, broken())
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["pairs.jsonl"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match=r"pairs\.jsonl"):
        write_pairs(tmp_path / "none" / "pairs.jsonl", pairs(1))
