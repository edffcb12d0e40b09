from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ragguard.errors import ConfigurationError, UnreadableFileError
from ragguard.preference.bases import PairBase
from ragguard.preference.batches import scores_of
from ragguard.preference.groups import groups_of
from ragguard.preference.recipe import Settings
from ragguard.preference.runs import Run, mean_ndcg
from ragguard.preference.simulated import SimulatedReader, world
from ragguard.preference.splits import Splits, split
from tests.preference.worlds import QUICK, tiny_base

IDENTITY = {"data": "made"}


class KilledError(Exception):
    """What a run that is killed dies of."""


@pytest.fixture(scope="module")
def parts() -> Splits:
    return split(groups_of(SimulatedReader("table", world(40)).examples()))


def run(folder: Path, parts: Splits, *, settings: Settings = QUICK, stop: int | None = None) -> Run:
    """One run, killed after step `stop`."""

    def progress(_: str, done: int, __: int) -> None:
        if done == stop:
            raise KilledError

    found = Run(PairBase(tiny_base()), weighting="equal", settings=settings, folder=folder, identity=IDENTITY)
    try:
        found.go(parts.train, parts.validation, parts.clusters, progress=progress)
    except KilledError:
        assert stop is not None
    return found


def test_the_same_seed_gives_the_same_weights(parts: Splits, tmp_path: Path) -> None:
    first, second = run(tmp_path / "a", parts), run(tmp_path / "b", parts)
    assert first.done == second.done
    for name, value in first.parameters.items():
        assert torch.equal(value, second.parameters[name])


@pytest.mark.parametrize("stop", [1, 4, 7])
def test_a_killed_run_goes_on_to_what_it_would_have_been(parts: Splits, tmp_path: Path, stop: int) -> None:
    whole = run(tmp_path / "whole", parts)
    run(tmp_path / "killed", parts, stop=stop)
    resumed = run(tmp_path / "killed", parts)
    assert resumed.done == whole.done
    for name, value in whole.parameters.items():
        assert torch.equal(value, resumed.parameters[name])


def test_a_finished_run_is_not_trained_again(parts: Splits, tmp_path: Path) -> None:
    first = run(tmp_path, parts)
    log = (tmp_path / "log.jsonl").read_bytes()
    again = run(tmp_path, parts)
    assert again.done == first.done
    assert (tmp_path / "log.jsonl").read_bytes() == log


def test_the_best_checkpoint_is_what_is_left(parts: Splits, tmp_path: Path) -> None:
    found = run(tmp_path, parts, settings=Settings(**{**QUICK.model_dump(), "epochs": 6, "patience": 2}))
    steps = [step for step, _ in found.done.history]
    values = [value for _, value in found.done.history]
    assert found.done.best == max(values)
    assert found.done.best_step == steps[int(np.argmax(values))]
    assert mean_ndcg(scores_of(found.base, parts.validation), parts.validation) == pytest.approx(max(values))


def test_training_stops_when_validation_no_longer_improves(parts: Splits, tmp_path: Path) -> None:
    """With a rate far too high every step harms: two evaluations later it is over, with the base's weights."""
    settings = Settings(**{**QUICK.model_dump(), "epochs": 50, "patience": 2, "learning_rate": 0.5})
    found = run(tmp_path, parts, settings=settings)
    assert found.done.step < found.done.steps
    assert found.done.worse == 2 or found.done.best_step > 0
    base = PairBase(tiny_base())
    if found.done.best_step == 0:
        for name, value in base.trainable(freeze_embeddings=True).items():
            assert torch.equal(value, found.parameters[name])


def test_the_log_names_losses_and_weights_of_every_step(parts: Splits, tmp_path: Path) -> None:
    found = run(tmp_path, parts)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(found.done.step))
    for line in lines:
        assert set(line["losses"]) == set(line["weights"]) == {"point", "pair", "contrastive"}


def test_a_folder_of_another_run_is_refused(parts: Splits, tmp_path: Path) -> None:
    run(tmp_path / "r", parts, stop=1)
    other = Settings(**{**QUICK.model_dump(), "seed": 1})
    with pytest.raises(ConfigurationError, match="another output folder"):
        run(tmp_path / "r", parts, settings=other)


def test_a_damaged_state_is_named(parts: Splits, tmp_path: Path) -> None:
    run(tmp_path / "r", parts, stop=6)
    (tmp_path / "r" / "state.safetensors").write_bytes(b"\x10")
    with pytest.raises(UnreadableFileError, match=r"state\.safetensors"):
        run(tmp_path / "r", parts)
