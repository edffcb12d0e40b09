"""`ragguard align evaluate`: figures of labelled answers, and a combiner fitted on them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragguard.alignment.combiner import load_combiner
from ragguard.evaluation.binary import auc, balanced_accuracy
from tests.cli.align_case import run, save_model
from tests.cli.running import lines_of

NAMES = "Ada Bob Cyd Dan Eve Fay Gus Hal Ivy Joe Kim Lea".split()


def answers(count: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Answers, half of them with the wrong name; a tenth of the labels are wrong."""
    rng = random.Random(seed)
    found = []
    for i in range(count):
        right, other = rng.sample(NAMES, 2)
        label = i % 2
        found.append(
            {
                "id": i,
                "claim": f"{right if label else 'Zoe'} founded Acme in Oslo.",
                "context": f"{right} founded Acme in Oslo. {other} sold candles to Rex.",
                "label": label if rng.random() > 0.1 else 1 - label,
                "document": f"d{i // 3}",
            }
        )
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model") / "words")


def measured(model: Path, records: list[dict[str, Any]], *options: Any) -> Any:
    done = run(
        "evaluate", "--model", model, "--dtype", "float32", *options, "--json", stdin=lines_of(records)
    )
    assert (done.code, done.err) == (0, "")
    return done.body


def test_the_figures_are_those_of_the_scores(model: Path) -> None:
    records = answers(40)
    lines = run("score", "--model", model, "--dtype", "float32", stdin=lines_of(records)).lines
    scores = np.array([line["score"] for line in lines])
    labels = np.array([record["label"] for record in records])
    middle = float(np.median(scores))
    body = measured(model, records, "--threshold", middle)
    assert body["auc"] == pytest.approx(auc(scores, labels)[0])
    assert body["balanced_accuracy"] == pytest.approx(balanced_accuracy(scores, labels, middle)[0])
    passed = (body["supported_passed"] + 1 - body["unsupported_passed"]) / 2
    assert passed == pytest.approx(body["balanced_accuracy"])
    assert {
        "n": 40,
        "n_supported": int(labels.sum()),
        "n_documents": 14,
        "n_unread": 0,
    }.items() <= body.items()
    assert body["threshold"] == middle
    assert body["aligner"]["engine"]["dtype"] == "float32"
    for name in ("auc", "balanced_accuracy"):
        low, high = body[f"{name}_ci"]
        assert low <= body[name] <= high
        assert high - low > 0.02


def test_the_same_seed_draws_the_same_documents(model: Path) -> None:
    one, same, other = (measured(model, answers(30), "--seed", seed) for seed in (1, 1, 2))
    assert one == same
    assert one["auc_ci"] != other["auc_ci"]


def test_an_answer_without_anything_to_read_counts_as_not_passed(model: Path) -> None:
    nothing = [
        {"id": "e", "claim": "", "context": "x", "label": 0},
        {"id": "f", "claim": "Ada left.", "context": "", "label": 1},
    ]
    body = measured(model, [*answers(20), *nothing], "--threshold", "0")
    assert (body["n"], body["n_unread"]) == (22, 2)
    assert body["supported_passed"] == 1 - 1 / body["n_supported"]
    assert body["unsupported_passed"] == 1 - 1 / (22 - body["n_supported"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 2}, "label is not 0 or 1"),
        ({"label": "1"}, "label is not 0 or 1"),
        ({"label": 1.0}, "label is not 0 or 1"),
        ({"label": None}, "label is not 0 or 1"),
        ({"document": ["d"]}, "document is no name"),
        ({"claim": 3}, "no claim"),
    ],
)
def test_a_bad_line_stops_the_measurement(model: Path, change: Any, message: str) -> None:
    records = answers(4)
    records[2] |= change
    done = run("evaluate", "--model", model, "--json", stdin=lines_of(records))
    assert (done.code, done.out) == (2, "")
    assert f"stdin, line 3: the {message}" in done.err or f"stdin, line 3: {message}" in done.err


@pytest.mark.parametrize("records", [[], [answers(2)[1]]])
def test_one_label_alone_measures_nothing(model: Path, records: Any) -> None:
    done = run("evaluate", "--model", model, stdin=lines_of(records))
    assert (done.code, done.out) == (2, "")
    assert "both labels" in done.err


@pytest.mark.slow
def test_a_combiner_is_fitted_written_and_used(tmp_path: Path) -> None:
    bare = save_model(tmp_path / "bare", combiner=None)
    before = measured(bare, answers(80))
    file = bare / "combiner.json"
    fitted = measured(bare, answers(80), "--fit", file)["fitted"]
    assert fitted["auc"] >= 0.85 > before["auc"]
    assert fitted["auc_held_out"] >= 0.75
    combiner = load_combiner(file)
    assert dict(combiner.thresholds) == fitted["thresholds"]
    assert json.loads(file.read_text())["fitted"]["n"] == 80
    after = measured(bare, answers(60, seed=1))
    assert after["auc"] >= 0.75
    assert after["threshold"] == combiner.default_threshold


def test_a_combiner_is_not_written_nowhere(model: Path, tmp_path: Path) -> None:
    done = run("evaluate", "--model", model, "--fit", tmp_path / "no" / "c.json", stdin=lines_of(answers(4)))
    assert (done.code, done.out) == (2, "")
    assert "there is no folder no" in done.err


def test_people_get_a_table(model: Path) -> None:
    done = run("evaluate", "--model", model, stdin=lines_of(answers(10)))
    assert done.code == 0
    assert "balanced_accuracy" in done.out
