"""A run of a few steps on a tiny backbone: it learns, stops, goes on, and is exported."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ragguard.alignment.training.export import card_of, export
from ragguard.alignment.training.recipe import Recipe
from ragguard.alignment.training.trainer import Progressed, progressed, train, trained
from ragguard.errors import ConfigurationError, UnreadableFileError
from ragguard.models.pair_logits import ALIGNED, BINARY
from ragguard.models.pair_model import load_pair_model
from tests.alignment.training.cases import backbone, data_of, recipe_of
from tests.models.random_models import logits_of

Made = Callable[..., Recipe]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    backbone(tmp_path / "backbone")
    data_of(tmp_path / "data")

    def make(name: str = "run", **change: Any) -> Recipe:
        return recipe_of(tmp_path, output=tmp_path / name, **change)

    return make


def weights(output: Path) -> dict[str, torch.Tensor]:
    return dict(trained(output).state_dict())


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=1e-6, msg=name)


def until(step: int) -> Callable[[Progressed], bool]:
    return lambda done: done.step < step


@pytest.mark.parametrize("stop", [2, 3, 7])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(made: Made, stop: int) -> None:
    whole, parted = made("whole"), made("parted")
    train(whole)
    train(parted, watch=until(stop))
    assert progressed(parted.output).step == stop
    train(parted)
    assert progressed(parted.output).steps == progressed(whole.output).steps > 7
    assert progressed(parted.output).pairs == progressed(whole.output).pairs
    same(weights(parted.output), weights(whole.output))


def test_the_epoch_after_a_stop_is_in_the_same_order(made: Made) -> None:
    whole, parted = made("whole", epochs=3), made("parted", epochs=3)
    train(whole)
    steps = progressed(whole.output).steps
    train(parted, watch=until(steps - 1))  # within the last epoch
    train(parted)
    same(weights(parted.output), weights(whole.output))


def test_a_run_killed_between_its_two_files_goes_on_from_its_weights(made: Made) -> None:
    whole, killed = made("whole"), made("killed")
    train(whole)
    train(killed, watch=until(3))
    before = (killed.output / "progress.json").read_bytes()
    train(killed, watch=until(6))
    (killed.output / "progress.json").write_bytes(before)
    assert progressed(killed.output).step == 6
    train(killed)
    same(weights(killed.output), weights(whole.output))


def test_a_state_that_does_not_name_its_progress_is_read_by_the_file_beside_it(made: Made) -> None:
    from safetensors.torch import save_file

    recipe = made()
    train(recipe, watch=until(4))
    state = recipe.output / "state.safetensors"
    save_file(load_file(state), state)
    assert progressed(recipe.output).step == 4


def test_a_finished_run_is_not_trained_on(made: Made) -> None:
    recipe = made()
    train(recipe)
    before = (recipe.output / "state.safetensors").read_bytes()
    steps: list[int] = []
    train(recipe, watch=lambda done: bool(steps.append(done.step)) or True)
    assert steps == []
    assert (recipe.output / "state.safetensors").read_bytes() == before


def test_every_step_is_seen(made: Made) -> None:
    seen, shown = [], []
    train(made(), progress=lambda *one: shown.append(one), watch=lambda done: seen.append(done) is None)
    steps = seen[-1].steps
    assert [done.step for done in seen] == list(range(1, steps + 1))
    assert shown == [("training", step, steps) for step in range(1, steps + 1)]
    assert [done.pairs for done in seen] == sorted({done.pairs for done in seen})


@pytest.mark.slow
def test_training_learns_what_the_data_says(made: Made) -> None:
    recipe = made(epochs=40, freeze_embeddings=False, learning_rate=3e-3)
    train(recipe)
    losses = [json.loads(line)["loss"] for line in (recipe.output / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.5 * losses[0]
    model = load_pair_model(export(recipe.output, recipe.output.parent / "model", storage="float32"))
    folder = recipe.data / "train/fever_dev"
    source, claim, label = (
        (folder / f"RTE-Fever__processed__dev.{part}").read_text().splitlines()
        for part in ("raw.input0", "raw.input1", "label")
    )
    logits = logits_of(model, [(s.replace(" .", "."), c) for s, c in zip(source, claim, strict=True)])[
        :, BINARY
    ]
    aligned = logits[:, ALIGNED] > logits[:, 1 - ALIGNED]
    assert sum(a == (one == "entailment") for a, one in zip(aligned.tolist(), label, strict=True)) >= 54


def test_embeddings_stay_as_they_were_where_they_are_frozen(made: Made) -> None:
    name = "base_model.embeddings.word_embeddings.weight"
    frozen, free = made("frozen"), made("free", freeze_embeddings=False)
    before = load_file(Path(frozen.backbone) / "model.safetensors")["embeddings.word_embeddings.weight"]
    train(frozen, watch=until(3))
    train(free, watch=until(3))
    torch.testing.assert_close(weights(frozen.output)[name], before)
    assert not torch.equal(weights(free.output)[name], before)


def test_a_folder_holds_one_recipe(made: Made) -> None:
    train(made(), watch=until(2))
    with pytest.raises(ConfigurationError, match="run of another recipe"):
        train(made(learning_rate=2e-3))
    train(made(save_every=50, threads=1), watch=until(4))  # neither shapes the weights
    assert progressed(made().output).step == 4


def test_a_run_starts_from_another_run_or_from_a_model(made: Made) -> None:
    first = made("first")
    train(first)
    model = export(first.output, first.output.parent / "model", storage="float32")
    one, other = made("one", start=first.output), made("other", start=model)
    train(one, watch=until(2))
    train(other, watch=until(2))
    same(weights(one.output), weights(other.output))
    apart = weights(one.output)["bin_layer.weight"] - weights(first.output)["bin_layer.weight"]
    assert apart.abs().max() < 0.05  # two steps away, not fresh heads


def test_too_little_data_is_an_error(made: Made) -> None:
    with pytest.raises(ConfigurationError, match="too few examples for a batch"):
        train(made(sets={}))
    with pytest.raises(ConfigurationError, match="too few examples for a batch"):
        train(made("other", sets={"fever": 0.05}, batch_tokens=4096))


def test_what_is_no_run_is_said_so(made: Made, tmp_path: Path) -> None:
    for ask in (progressed, trained, card_of):
        with pytest.raises(UnreadableFileError, match="holds no run"):
            ask(tmp_path)
    recipe = made()
    train(recipe, watch=until(2))
    state = recipe.output / "state.safetensors"
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(UnreadableFileError):
        train(recipe)


# Export


def test_the_exported_model_gives_the_trained_ones_logits(made: Made, tmp_path: Path) -> None:
    recipe = made()
    train(recipe)
    encoder = trained(recipe.output)
    pairs = [("Ada founded Acme.", "Acme was founded."), ("Rex left.", "Rex stayed in Oslo.")]
    for storage, most in (("float32", 1e-6), ("int8", 0.2)):
        model = load_pair_model(export(recipe.output, tmp_path / storage, storage=storage, name="tiny"))
        assert (model.name, model.tokens.max_tokens) == ("tiny", 64)
        for pair in pairs:
            (one,) = model.tokens.encode([pair])
            ids, types = torch.tensor([one.ids]), torch.tensor([one.types])
            with torch.inference_mode():
                expected = encoder(ids, torch.ones_like(ids), types)
            torch.testing.assert_close(logits_of(model, [pair]), expected, rtol=0, atol=most)


def test_the_card_says_what_the_model_was_made_of(made: Made, tmp_path: Path) -> None:
    recipe = made(sets={"fever": 0.5})
    train(recipe)
    card = load_pair_model(export(recipe.output, tmp_path / "model")).card
    done = progressed(recipe.output)
    assert card["data"] == [{"name": "fever", "licence": "CC BY-SA 3.0", "licensed": True, "times": 0.5}]
    assert (card["licensed"], card["examples"]) == (True, {"fever": 30})
    assert (card["steps"], card["pairs_seen"]) == (done.steps, done.pairs)
    digest = hashlib.sha256((recipe.output / "recipe.json").read_bytes()).hexdigest()
    assert (card["recipe_sha256"], card["backbone"]) == (digest, "backbone")
    assert str(tmp_path) not in json.dumps(dict(card))


def test_a_set_without_a_licence_shows_in_the_card(made: Made, tmp_path: Path) -> None:
    from tests.alignment.training.cases import table

    recipe = made(sets={"fever": 1, "rte": 1})
    rows = [{"sentence1": "Ada left.", "sentence2": "Ada left Oslo.", "label": "not_entailment"}]
    table(recipe.data / "train/rte/train.tsv", rows)
    train(recipe, watch=until(1))
    card = card_of(recipe.output)
    assert card["licensed"] is False
    assert {"name": "rte", "licence": "none stated", "licensed": False, "times": 1.0} in card["data"]
