"""`ragguard align train`, and the commands that need a process of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from ragguard.alignment.training.trainer import progressed
from ragguard.models.pair_model import load_pair_model
from tests.alignment.training.cases import backbone, data_of
from tests.cli.align_case import run, save_model
from tests.cli.running import lines_of, listening_to_ctrl_c

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    backbone(tmp_path / "backbone")
    data_of(tmp_path / "data")
    settings = {
        "data": "data", "output": "run", "backbone": "backbone", "sets": {"fever": 1}, "made_per_passage": 0,
        "questions": 0, "max_tokens": 64, "batch_tokens": 256, "learning_rate": 1e-3, "epochs": 2, "save_every": 50,
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path / "recipe.yaml"


def change(recipe: Path, **settings: Any) -> None:
    recipe.write_text(yaml.safe_dump({**yaml.safe_load(recipe.read_text()), **settings}))


def test_a_trained_model_is_exported_and_scores(recipe: Path, tmp_path: Path) -> None:
    done = run("train", recipe, "--export", tmp_path / "model", "--json")
    assert (done.code, done.err.strip()) == (
        0,
        "",
    )  # older versions of rich end a hidden bar with a line break
    body = done.body
    assert set(body) == {"run", "steps", "pairs", "seconds", "loss", "model"}
    assert (body["run"], body["model"]) == (str(tmp_path / "run"), str(tmp_path / "model"))
    model = load_pair_model(tmp_path / "model")
    assert (model.card["steps"], model.card["pairs_seen"]) == (body["steps"], body["pairs"])
    record = {"id": 1, "claim": "Ada founded the company.", "context": "Rex founded the company in Oslo."}
    scored = run("score", "--model", tmp_path / "model", stdin=lines_of([record])).body
    assert 0 <= scored["score"] <= 1


def test_the_same_command_again_trains_nothing_and_exports(recipe: Path, tmp_path: Path) -> None:
    first = run("train", recipe, "--json").body
    again = run("train", recipe, "--export", tmp_path / "model", "--storage", "float32", "--json").body
    assert {k: v for k, v in again.items() if k != "model"} == first
    assert (tmp_path / "model" / "ragguard.json").exists()


def test_the_runs_folder_may_be_given(recipe: Path, tmp_path: Path) -> None:
    assert run("train", recipe, "--output", tmp_path / "other", "--json").body["run"] == str(
        tmp_path / "other"
    )
    assert not (tmp_path / "run").exists()


def test_a_recipe_that_cannot_be_used_ends_with_2(recipe: Path, tmp_path: Path) -> None:
    change(recipe, sets={"nothing": 1})
    unknown = run("train", recipe)
    change(recipe, data="nowhere")
    nowhere = run("train", recipe)
    change(recipe, data="data", epoch=1)
    misspelt = run("train", recipe)
    for done, message in (
        (unknown, "unknown data set 'nothing'"),
        (nowhere, "no folder nowhere"),
        (misspelt, "recipe.yaml: epoch"),
        (run("train", tmp_path / "none.yaml"), "cannot read none.yaml"),
    ):
        assert (done.code, done.out) == (2, "")
        assert message in done.err


# In a process of their own


def started(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from ragguard.cli import main; main()", "align", *map(str, args)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    with listening_to_ctrl_c():
        return subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)


@pytest.mark.slow
def test_ctrl_c_lets_the_step_end_and_the_same_command_goes_on(recipe: Path, tmp_path: Path) -> None:
    change(recipe, epochs=400, sets={"fever": 8})
    process = started("train", recipe)
    log = tmp_path / "run" / "log.jsonl"
    while not log.exists() or not log.read_text():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"")
    done = progressed(tmp_path / "run")
    assert 20 <= done.step < done.steps
    assert done.step == json.loads((tmp_path / "run" / "progress.json").read_text())["step"]
    expected = f"stopped after step {done.step} of {done.steps}; the same command goes on from there\n"
    assert err.decode() == expected
    process = started("train", recipe)
    lines = log.read_text().count("\n")
    while log.read_text().count("\n") <= lines:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert progressed(tmp_path / "run").step > done.step


@pytest.mark.slow
def test_a_line_from_a_pipe_is_answered_before_the_next_and_ctrl_c_ends(tmp_path: Path) -> None:
    model = save_model(tmp_path / "model")
    process = started("score", "--model", model, stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    for number in range(3):
        record = {"id": number, "claim": "Ada founded Acme.", "context": "Ada founded Acme."}
        process.stdin.write(lines_of([record]))
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        assert (answer["id"], answer["outcome"]) == (number, "supported")
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)  # the pipe's end must not overtake the signal
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"")


@pytest.mark.slow
def test_the_commands_list_themselves() -> None:
    process = started("--help")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    for command in ("score", "explain", "convert", "train", "evaluate"):
        assert command in out.decode()
