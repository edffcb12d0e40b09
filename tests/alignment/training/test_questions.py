from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ragguard.alignment.training.examples import ENTAILED, IGNORE
from ragguard.alignment.training.questions import asked_examples, read_trecqa, squad_examples
from ragguard.alignment.training.sources import training_half
from tests.alignment.training.cases import put

TRAINED = next(f"Article {i}" for i in range(99) if training_half(f"Article {i}"))
HELD_OUT = next(f"Article {i}" for i in range(99) if not training_half(f"Article {i}"))


def answered(question: str, answer: str) -> dict[str, Any]:
    return {"question": question, "answers": [{"text": answer}], "is_impossible": False}


def article(title: str) -> dict[str, Any]:
    impossible = {
        "question": "Who founded Dino?",
        "answers": [],
        "plausible_answers": [{"text": "Rex"}],
        "is_impossible": True,
    }
    first = {
        "context": "Ada founded Acme in Oslo, and Rex sold it.",
        "qas": [answered("Who founded Acme?", "Ada"), answered("Who sold Acme?", "Rex"), impossible],
    }
    second = {"context": "Bicycles have two wheels.", "qas": [answered("What has wheels?", "Bicycles")]}
    return {"title": title, "paragraphs": [first, second]}


def squad(folder: Path, *titles: str) -> Path:
    put(folder / "dev.json", json.dumps({"data": [article(title) for title in titles]}))
    return folder / "dev.json"


def test_an_answer_follows_its_question(tmp_path: Path) -> None:
    found = squad_examples(squad(tmp_path, TRAINED), random.Random(0))
    by_origin: dict[str, set[tuple[str, int]]] = {}
    for one in found:
        by_origin.setdefault(one.origin, set()).add((one.claim, one.binary))
    assert by_origin["squad: answer"] == {
        ("Who founded Acme? Ada", 1), ("Who sold Acme? Rex", 1), ("What has wheels? Bicycles", 1),
    }  # fmt: skip
    assert by_origin["squad: other answer"] == {("Who founded Acme? Rex", 0), ("Who sold Acme? Ada", 0)}
    assert by_origin["squad: no answer"] == {("Who founded Dino? Rex", 0)}


def test_relevance_teaches_the_binary_head_only(tmp_path: Path) -> None:
    path = squad(tmp_path, TRAINED)
    found = [one for seed in range(8) for one in squad_examples(path, random.Random(seed))]
    about = [one for one in found if one.origin in ("squad: relevant", "squad: other passage")]
    assert {one.binary for one in about} == {0, 1}
    for one in about:
        assert one.three_way == IGNORE
        assert one.claim.endswith("?")
        assert (one.binary == 1) == (one.origin == "squad: relevant")


def test_the_half_for_evaluation_is_never_read(tmp_path: Path) -> None:
    assert squad_examples(squad(tmp_path, HELD_OUT), random.Random(0)) == []
    both = squad_examples(squad(tmp_path, TRAINED, HELD_OUT), random.Random(0))
    assert both == squad_examples(squad(tmp_path, TRAINED), random.Random(0))


PASSAGE = "Ada Lovett founded a firm of bicycles near Oslo in 1978. Rex Harding was a painter of large ships."


@given(st.integers(0, 999))
def test_defining_sentences_ask_for_their_subject(seed: int) -> None:
    for one in asked_examples(PASSAGE, random.Random(seed), names=("Zanzibar",)):
        question, _, answer = one.claim.partition("? ")
        assert question.split(" ", 1)[0] in ("Who", "What")
        if one.origin == "made: question":
            assert (one.binary, one.three_way) == (1, ENTAILED)
            assert answer in ("Ada Lovett", "Rex Harding")
            assert f"{answer} {question.split(' ', 1)[1].removeprefix('or what ')}." in PASSAGE
        elif one.origin == "made: question, other":
            assert (one.binary, one.three_way) == (0, IGNORE)
            assert answer
        else:
            assert answer == ""
            assert one.binary == int(one.origin == "made: relevant")
            if one.origin == "made: not relevant":
                assert one.source in PASSAGE
                assert one.source != PASSAGE


def test_a_pronoun_is_no_subject() -> None:
    passage = "It founded a firm of bicycles near Oslo in 1978."
    assert [list(asked_examples(passage, random.Random(i), names=())) for i in range(9)] == [[]] * 9


def test_trecqa_tells_which_sentence_answers(tmp_path: Path) -> None:
    put(
        tmp_path / "retrieval/trecqa/train.csv",
        'qtext,label,atext\nwho left ?,1,"Ada left , then"\nwho ?,0,No\n',
    )
    one, other = read_trecqa(tmp_path, random.Random(0))
    assert (one.source, one.claim, one.binary, one.three_way) == ("Ada left , then", "who left ?", 1, IGNORE)
    assert other.binary == 0
