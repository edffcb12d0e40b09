"""`ragguard rerank`: what goes in, what comes out, and how each command fails."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragguard.models.pair_model import save_pair_model
from ragguard.preference.blend import Blend
from ragguard.preference.card import KIND
from ragguard.preference.records import PreferenceExample, read_examples, write_examples
from ragguard.preference.scorers import write_blend
from tests.cli.running import Done, command, lines_of
from tests.models.random_models import TEXTS, random_pair_model
from tests.preference.test_feedback import record_of


def run(*args: Any, stdin: bytes = b"") -> Done:
    """Run `ragguard rerank ...` here, as its entry point does."""
    return command("rerank", *args, stdin=stdin)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model that learnt from reader-1, with weights that go by words alone."""
    made = random_pair_model(max_tokens=96)
    folder = save_pair_model(
        tmp_path_factory.mktemp("models") / "reranker",
        made.encoder,
        tokenizer=made.tokens.definition,
        max_tokens=96,
        card={"kind": KIND, "reader": "reader-1"},
    )
    write_blend(folder, Blend(0.0, 0.0, 1.0))
    return folder


@pytest.fixture
def jsonl(tmp_path: Path) -> Any:
    def write(name: str, records: Sequence[Any]) -> Path:
        path = tmp_path / name
        path.write_bytes(lines_of(records))
        return path

    return write


def test_scores_come_in_the_order_given_and_the_order_best_first(model: Path) -> None:
    items = [
        {"id": "a", "question": "bridge over the river", "passages": [TEXTS[1], TEXTS[0], TEXTS[2]]},
        {"id": "b", "question": "anything", "passages": []},
        {"id": "c", "question": "bicycles", "passages": [TEXTS[1]]},
        {"id": "d", "question": "nothing shared", "passages": ["x y", "x y"]},
    ]
    done = run("score", "--model", model, stdin=lines_of(items))
    assert done.code == 0
    first, empty, one, tied = done.lines
    assert first["id"] == "a"
    assert first["order"][0] == 1
    assert sorted(first["order"]) == [0, 1, 2]
    assert [first["scores"][i] for i in first["order"]] == sorted(first["scores"], reverse=True)
    assert empty == {"id": "b", "scores": [], "order": []}
    assert one["order"] == [0]
    assert tied["order"] == [0, 1]
    assert tied["scores"][0] == tied["scores"][1]


def test_a_bad_item_is_named_and_the_others_are_scored(model: Path, tmp_path: Path) -> None:
    lines = lines_of(
        [
            {"id": 1, "question": "bridge", "passages": [TEXTS[0]]},
            {"id": 2, "question": " ", "passages": []},
            {"id": 3, "question": "swordfish", "passages": "text"},
            {"id": 4, "question": "swordfish", "passages": [7]},
            {"id": 5, "question": " ".join(TEXTS), "passages": [TEXTS[0]]},
        ]
    )
    out = tmp_path / "out.jsonl"
    weighted = ("--weights", "relevance=1")
    done = run("score", "--model", model, *weighted, "--output", out, stdin=lines + b"{broken\n")
    assert done.code == 3
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["id"] for line in found] == [1, 2, 3, 4, 5, "stdin, line 6"]
    assert [line.get("error", {}).get("code") for line in found] == [
        None, "data", "data", "data", "question_too_long", "data",
    ]  # fmt: skip
    assert "swordfish" not in out.read_text()


def test_a_model_of_another_reader_is_refused_unless_forced(model: Path) -> None:
    items = lines_of([{"id": 1, "question": "bridge", "passages": [TEXTS[0]]}])
    refused = run("score", "--model", model, "--reader", "reader-2", stdin=items)
    assert refused.code == 2
    assert "reader-1" in refused.err
    assert run("score", "--model", model, "--reader", "reader-2", "--force", stdin=items).code == 0
    assert run("score", "--model", model, "--reader", "reader-1", stdin=items).code == 0


@pytest.mark.parametrize(
    "options",
    [
        ("--model", "/nowhere"),
        ("--weights", "relevance"),
        ("--weights", "relevance=2"),
        ("--weights", "cosine=1"),
        ("--input", "/nowhere.jsonl"),
        ("--unknown",),
    ],
)
def test_what_cannot_be_used_exits_with_2(options: tuple[str, ...]) -> None:
    assert run("score", *options).code == 2


def test_feedback_becomes_weak_preferences(jsonl: Any, tmp_path: Path) -> None:
    records = [record_of("1", cited="b"), record_of("2", cited="a", rating="down", question="Other?")]
    source = jsonl("feedback.jsonl", [r.model_dump(mode="json") for r in records])
    done = run("feedback", "--input", source, "--output", tmp_path / "p.jsonl", "--json")
    assert done.code == 0
    assert done.body["examples"] == 2
    assert {(e.passage_id, e.gain, e.weight) for e in read_examples(tmp_path / "p.jsonl")} == {
        ("b", 1.0, 0.3),
        ("a", -1.0, 0.3),
    }


def test_feedback_adds_to_a_log_once(jsonl: Any, tmp_path: Path) -> None:
    source = jsonl("feedback.jsonl", [record_of("1", cited="b").model_dump(mode="json")])
    options = ("--input", source, "--output", tmp_path / "p.jsonl", "--log", tmp_path / "log.jsonl", "--json")
    assert run("feedback", *options).body["added"] == 1
    again = run("feedback", *options).body
    assert (again["added"], again["records"]) == (0, 1)


def test_a_feedback_line_that_does_not_fit_is_named_and_the_others_are_taken(
    jsonl: Any, tmp_path: Path
) -> None:
    good = record_of("1", cited="b").model_dump(mode="json")
    source = jsonl("feedback.jsonl", [good, {"id": "2", "question": "swordfish"}])
    done = run("feedback", "--input", source, "--output", tmp_path / "p.jsonl", "--json")
    assert done.code == 3
    assert [one["id"] for one in done.body["failed"]] == ["2"]
    assert "swordfish" not in done.out
    assert len(read_examples(tmp_path / "p.jsonl")) == 1


def test_weighting_without_logged_propensities_is_refused(jsonl: Any, tmp_path: Path) -> None:
    source = jsonl("feedback.jsonl", [record_of("1", cited="b").model_dump(mode="json")])
    options = ("--input", source, "--output", tmp_path / "p.jsonl", "--weighting", "ips")
    done = run("feedback", *options)
    assert done.code == 2
    assert "missing_propensity" in done.err
    assert not (tmp_path / "p.jsonl").exists()


QUESTIONS = [
    {
        "id": f"q{i}",
        "question": f"In which year was bridge {i} opened?",
        "answers": [str(1900 + i)],
        "cluster": f"c{i}",
    }
    for i in range(6)
]
POOL = [
    {
        "id": f"q{i}",
        "passages": [
            {"id": "near", "text": f"Bridge {i} crosses a river. It is long.", "score": 0.9},
            {"id": "gold", "text": f"Bridge {i} was opened in the year {1900 + i}.", "score": 0.8},
        ],
    }
    for i in range(6)
]


def test_probing_asks_the_reader_and_goes_on_where_it_was_stopped(jsonl: Any, tmp_path: Path) -> None:
    questions, pool, out = jsonl("q.jsonl", QUESTIONS), jsonl("pool.jsonl", POOL), tmp_path / "p.jsonl"
    options = ("--questions", questions, "--pool", pool, "--reader", "extractive", "--out", out, "--json")
    stopped = run("probe", *options, "--max-calls", 5)
    assert stopped.code == 0
    assert stopped.body["complete"] is False
    assert "goes on" in stopped.err
    done = run("probe", *options)
    assert done.body["complete"] is True
    assert done.body["cached"] == 5
    found = {(e.query_id, e.passage_id): e.category for e in read_examples(out)}
    assert len(found) == 12
    assert {found[f"q{i}", "gold"] for i in range(6)} == {"aligned"}
    assert {found[f"q{i}", "near"] for i in range(6)} == {"both_wrong"}


def test_probing_needs_one_pool(jsonl: Any, tmp_path: Path) -> None:
    questions = jsonl("q.jsonl", QUESTIONS)
    options = ("--questions", questions, "--reader", "extractive", "--out", tmp_path / "p.jsonl")
    assert run("probe", *options).code == 2
    bad = jsonl("pool.jsonl", [{"id": "q0", "passages": [{"text": "x"}]}])
    assert run("probe", *options, "--pool", bad).code == 2
    assert run("probe", *options, "--pool", jsonl("pool2.jsonl", POOL), "--ranks", "first").code == 2


def test_augmenting_without_a_language_model_rephrases_by_rules(jsonl: Any, tmp_path: Path) -> None:
    asked = [q | {"question": f"What is the capital of land {i}?"} for i, q in enumerate(QUESTIONS)]
    source = jsonl("q.jsonl", asked)
    out = tmp_path / "more.jsonl"
    done = run("augment", "--input", source, "--output", out, "--aligner", "none", "--json")
    assert done.code == 0
    made = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(made) == done.body["made"] > 0
    assert {line["cluster"] for line in made} <= {f"c{i}" for i in range(6)}
    assert run("augment", "--input", source, "--output", out, "--strategies", "poetry").code == 2
    assert run("augment", "--input", source, "--output", out, "--strategies", "sparql").code == 2


def preferences(count: int = 24) -> list[PreferenceExample]:
    """Questions of which the passage that shares their word helped, and a near one did not."""
    rng = np.random.default_rng(4)
    found = []
    for i in range(count):
        word = f"topic{i}"
        for rank, (name, text, gain) in enumerate(
            [("near", f"something else {rng.integers(99)}", 0.0), ("gold", f"{word} is told here", 1.0)],
            start=1,
        ):
            found.append(
                PreferenceExample(
                    query_id=f"q{i}",
                    query=f"what about {word}",
                    passage_id=f"{name}{i}",
                    passage=text,
                    category="aligned" if gain else "both_wrong",
                    gain=gain,
                    reader="reader-1",
                    rank=rank,
                    retriever_score=1.0 - 0.1 * rank,
                )
            )
    return found


def test_evaluating_measures_within_questions_beside_the_retriever(model: Path, tmp_path: Path) -> None:
    write_examples(tmp_path / "p.jsonl", preferences())
    done = run("evaluate", "--preferences", tmp_path / "p.jsonl", "--model", model, "--json")
    assert done.code == 0
    assert done.body["weights"]["bm25"] == 1.0
    assert done.body["retriever"]["mrr@10"] == 0.5
    assert done.body["reranker"]["mrr@10"] == 1.0
    assert done.body["gains"]["over_retriever"]["mrr@10"]["lower"] > 0
    other = [e.model_copy(update={"reader": "reader-2"}) for e in preferences()]
    write_examples(tmp_path / "other.jsonl", other)
    assert run("evaluate", "--preferences", tmp_path / "other.jsonl", "--model", model).code == 2


def test_weights_are_chosen_on_one_half_and_measured_on_the_other(tmp_path: Path) -> None:
    made = random_pair_model(max_tokens=96)
    folder = save_pair_model(
        tmp_path / "m", made.encoder, tokenizer=made.tokens.definition, max_tokens=96, card={}
    )
    write_examples(tmp_path / "p.jsonl", preferences())
    options = ("--preferences", tmp_path / "p.jsonl", "--model", folder, "--choose", "--store", "--json")
    done = run("evaluate", *options)
    assert done.code == 0
    assert 0 < done.body["chosen_on"] < 24
    assert done.body["chosen_on"] + done.body["reranker"]["questions"] == 24
    assert done.body["weights"]["bm25"] > 0
    assert json.loads((folder / "blend.json").read_text())["weights"] == done.body["weights"]
    assert run("evaluate", *options[:4], "--store").code == 2


@pytest.mark.slow
def test_training_says_whether_the_trained_one_may_serve(tmp_path: Path) -> None:
    made = random_pair_model(max_tokens=96)
    base = save_pair_model(
        tmp_path / "base", made.encoder, tokenizer=made.tokens.definition, max_tokens=96, card={}
    )
    write_examples(tmp_path / "p.jsonl", preferences(60))
    settings = tmp_path / "s.yaml"
    settings.write_text("epochs: 1\nweighting: equal\nthreads: 1\n")
    options = ("--preferences", tmp_path / "p.jsonl", "--base", base, "--settings", settings)
    done = run("train", *options, "--out", tmp_path / "run", "--json")
    assert done.code == 0, done.err
    assert done.body["reader"] == "reader-1"
    assert isinstance(done.body["promoted"], bool)
    assert Path(done.body["model"]).is_dir()
    assert done.body["query_only"]
    items = lines_of([{"id": 1, "question": "bridge", "passages": list(TEXTS)}])
    scored = run("score", "--model", done.body["model"], "--reader", "reader-1", stdin=items)
    assert sorted(scored.body["order"]) == list(range(len(TEXTS)))
    assert run("train", *options, "--out", tmp_path / "run", "--reader", "nobody").code == 2


@pytest.mark.slow
def test_a_folder_calibrated_through_a_reranker_is_refreshed_evaluated_and_served(
    model: Path, jsonl: Any, tmp_path: Path
) -> None:
    lands = [f"land{i}" for i in range(30)]
    corpus = jsonl("corpus.jsonl", [{"id": n, "text": f"The capital of {n} is town {n}."} for n in lands])
    questions = jsonl(
        "questions.jsonl", [{"id": n, "question": f"capital of {n}", "relevant": [n]} for n in lands]
    )
    folder = tmp_path / "guarded"
    options = ("--corpus", corpus, "--questions", questions, "--score", "reranker", "--reranker", model)
    made = command("calibrate", *options, "--reader", "reader-1", "--out", folder, "--json")
    assert made.code == 0, made.err
    assert made.body["score"] == "reranker"
    assert command("calibrate", *options, "--reader", "reader-2", "--out", tmp_path / "x").code == 2
    refreshed = command("calibrate", "--refresh", folder, "--json")
    assert refreshed.code == 0, refreshed.err
    assert refreshed.body["threshold"] == made.body["threshold"]
    measured = command("evaluate", folder, "--questions", questions, "--json")
    assert measured.code == 0, measured.err
    assert measured.body["coverage"] >= 0.9
    asked = command("ask", folder, "capital of land7", "--json")
    assert asked.code == 0, asked.err
    (certificate,) = [c for c in asked.body["certificates"] if c["scope"] == "retrieval"]
    assert certificate["covers"] == ["rerank"]
    runs = jsonl("runs.jsonl", [{"id": "q", "relevant": ["a"], "results": [{"id": "a", "score": 1.0}]}])
    refused = command("calibrate", "--runs", runs, "--score", "reranker", "--out", tmp_path / "y")
    assert refused.code == 2
    assert "passages" in refused.err
