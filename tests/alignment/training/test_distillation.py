"""A teacher's logits as soft labels, and adapters trained by the same loop, on tiny random models."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from ragguard.alignment.training.distilling import distillation_loss, soft_labels, unlabelled
from ragguard.alignment.training.examples import IGNORE, Example
from ragguard.alignment.training.export import card_of, export
from ragguard.alignment.training.recipe import Recipe, read_recipe
from ragguard.alignment.training.teaching import soft_labels_of, unlabelled_of
from ragguard.alignment.training.trainer import progressed, train, trained
from ragguard.errors import ConfigurationError, InvalidValueError, UnreadableFileError
from ragguard.models.lora import adapter_state
from ragguard.models.pair_engine import PairEngine
from ragguard.models.pair_model import load_pair_model, save_pair_model
from tests.alignment.training.cases import backbone, data_of, recipe_of
from tests.models.random_decoders import write_base
from tests.models.random_models import TEXTS, logits_of, random_pair_model

EXAMPLES = [Example(source, claim) for source in TEXTS for claim in TEXTS]
PAIRS = [("The bridge opened in 1978.", "The bridge opened."), ("Ada founded Acme.", "Acme sells lamps.")]
Made = Callable[..., Recipe]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    backbone(tmp_path / "backbone")
    write_base(tmp_path / "llama")
    data_of(tmp_path / "data")
    teacher = random_pair_model(seed=4)
    save_pair_model(
        tmp_path / "teacher", teacher.encoder, tokenizer=teacher.tokens.definition, max_tokens=128, card={}
    )

    def make(name: str = "run", **change: Any) -> Recipe:
        return recipe_of(tmp_path, output=tmp_path / name, **change)

    return make


class Recording:
    """A teacher that says something of each pair, and what it was asked; it dies where told to."""

    def __init__(self, *, dies_after: int = 10**9) -> None:
        self.asked: list[tuple[str, str]] = []
        self.dies_after = dies_after

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        if len(self.asked) + len(pairs) > self.dies_after:
            raise KeyboardInterrupt
        self.asked += pairs
        return np.array([[len(a), len(b), 1, 2, 3, 4] for a, b in pairs], dtype=np.float32)


def test_equal_logits_cost_nothing_up_to_a_constant_and_others_cost_their_divergence() -> None:
    teacher = torch.randn(7, 6)
    moved = teacher.clone()
    moved[:, 1:3] += 3.0
    moved[:, 3:6] -= 2.0
    moved[:, 0] = 9.0
    assert distillation_loss(moved, teacher).item() == pytest.approx(0.0, abs=1e-6)
    student = torch.randn(7, 6)
    p, q = teacher[:, 1:3].softmax(1), student[:, 1:3].softmax(1)
    r, s = teacher[:, 3:].softmax(1), student[:, 3:].softmax(1)
    expected = (p * (p / q).log()).sum(1).mean() / np.log(2) + (r * (r / s).log()).sum(1).mean() / np.log(3)
    torch.testing.assert_close(distillation_loss(student, teacher), expected.float())


def test_a_student_that_follows_the_loss_comes_to_agree_with_the_teacher() -> None:
    teacher = 3 * torch.randn(16, 6, generator=torch.Generator().manual_seed(0))
    student = torch.zeros(16, 6, requires_grad=True)
    optimiser = torch.optim.Adam([student], lr=0.2)
    for _ in range(150):
        optimiser.zero_grad()
        distillation_loss(student, teacher).backward()
        optimiser.step()
    torch.testing.assert_close(student[:, 3:].softmax(1), teacher[:, 3:].softmax(1), atol=0.02, rtol=0)
    torch.testing.assert_close(student[:, 1:3].softmax(1), teacher[:, 1:3].softmax(1), atol=0.02, rtol=0)


def test_what_a_teacher_said_is_kept_and_only_the_rest_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragguard.alignment.training.distilling._BLOCK", 4)
    dying = Recording(dies_after=10)
    with pytest.raises(KeyboardInterrupt):
        soft_labels(EXAMPLES, dying, tmp_path, name="t")
    again = Recording()
    found = soft_labels(EXAMPLES, again, tmp_path, name="t")
    assert len(dying.asked) == 8
    assert again.asked == [(one.source, one.claim) for one in EXAMPLES[8:]]
    assert found[:, 0].tolist() == [len(one.source) for one in EXAMPLES]
    silent = Recording(dies_after=0)
    assert torch.equal(soft_labels(EXAMPLES, silent, tmp_path, name="t"), found)


@pytest.mark.parametrize("change", ["teacher", "pairs", "order", "damage", "no table"])
def test_what_was_said_of_other_pairs_or_by_another_teacher_is_not_used(tmp_path: Path, change: str) -> None:
    soft_labels(EXAMPLES, Recording(), tmp_path, name="t")
    examples = {"pairs": EXAMPLES[:-1], "order": EXAMPLES[::-1]}.get(change, EXAMPLES)
    if change == "damage":
        (tmp_path / "teacher.json").write_text('{"done": ')
    if change == "no table":
        (tmp_path / "teacher.npy").unlink()
    teacher = Recording()
    found = soft_labels(examples, teacher, tmp_path, name="another" if change == "teacher" else "t")
    assert len(teacher.asked) == len(examples)
    assert found[:, 1].tolist() == [len(one.claim) for one in examples]


def test_a_teacher_that_says_nothing_of_use_is_an_error(tmp_path: Path) -> None:
    for bad in (np.full((25, 6), np.nan), np.zeros((25, 3)), np.zeros((24, 6))):
        with pytest.raises(InvalidValueError, match="teacher"):
            soft_labels(EXAMPLES, lambda _, bad=bad: bad, tmp_path, name="t")


def test_pairs_without_labels_say_nothing_but_their_texts() -> None:
    found = list(unlabelled(TEXTS, random.Random(0), per_passage=2))
    assert found == list(unlabelled(TEXTS, random.Random(0), per_passage=2))
    assert {(e.binary, e.three_way, e.similarity) for e in found} == {(IGNORE, IGNORE, None)}
    assert {e.origin for e in found} == {"unlabelled: made", "unlabelled: neighbour"}
    assert all(e.source.strip() and e.claim.strip() for e in found)
    for one in found:
        if one.origin == "unlabelled: neighbour":
            assert one.claim not in one.source
    assert list(unlabelled([], random.Random(0), per_passage=2)) == []
    assert all("neighbour" not in e.origin for e in unlabelled(TEXTS[:1], random.Random(0), per_passage=1))


def test_a_student_moves_towards_its_teacher(made: Made, tmp_path: Path) -> None:
    teacher = load_pair_model(tmp_path / "teacher")
    recipe = made(teacher=str(tmp_path / "teacher"), distil_weight=1.0, epochs=6, learning_rate=3e-3)
    train(made("before", most_steps=1, learning_rate=1e-9))
    train(recipe)
    student = load_pair_model(export(recipe.output, tmp_path / "student", storage="float32"))
    before = load_pair_model(export(tmp_path / "before", tmp_path / "untaught", storage="float32"))
    wanted = logits_of(teacher, PAIRS)
    assert distillation_loss(logits_of(student, PAIRS), wanted) < distillation_loss(
        logits_of(before, PAIRS), wanted
    )
    assert card_of(recipe.output)["teacher"] == "teacher", "its name, not somebody's path"


def test_the_labels_kept_are_the_logits_of_the_teacher_over_all_pairs(made: Made, tmp_path: Path) -> None:
    recipe = made(teacher=str(tmp_path / "teacher"))
    recipe.output.mkdir()
    found = soft_labels_of(recipe, EXAMPLES)
    assert found is not None
    expected = PairEngine(tmp_path / "teacher").logits([(e.source, e.claim) for e in EXAMPLES])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert soft_labels_of(made(), EXAMPLES) is None
    assert unlabelled_of(made()) == []


def test_pairs_without_labels_join_a_run_only_for_a_teacher(made: Made, tmp_path: Path) -> None:
    (tmp_path / "data" / "more.json").write_text(
        '[{"text": "The old mill by the river was sold in 1950 for a small sum."},'
        ' {"text": "Anna Berg wrote nine long novels about the northern coast."}]'
    )
    with pytest.raises(ValueError, match="teacher"):
        made(unlabelled=("more.json",))
    recipe = made(unlabelled=("more.json",), teacher=str(tmp_path / "teacher"), most_steps=2)
    train(recipe)
    assert card_of(recipe.output)["examples"]["unlabelled: made"] > 0
    assert ("more.json", "not known") in {(d["name"], d["licence"]) for d in card_of(recipe.output)["data"]}


def test_an_adapter_is_trained_stopped_gone_on_with_and_exported(made: Made, tmp_path: Path) -> None:
    change = {"backbone": str(tmp_path / "llama"), "lora_rank": 4, "learning_rate": 5e-3}
    whole, parted = made("whole", **change), made("parted", **change)
    train(whole)
    train(parted, watch=lambda done: done.step < 3)
    assert progressed(parted.output).step == 3
    train(parted)
    kept, same = (adapter_state(trained(one.output)) for one in (whole, parted))
    assert kept.keys() == same.keys()
    for name in kept:
        torch.testing.assert_close(kept[name], same[name], rtol=0, atol=1e-6)
    assert any(bool(kept[name].any()) for name in kept if name.endswith("lora_b")), "it learned something"
    model = load_pair_model(export(whole.output, tmp_path / "large"))
    raw = trained(whole.output)
    with torch.inference_mode():
        for row, one in zip(logits_of(model, PAIRS), model.tokens.encode(PAIRS), strict=True):
            ids = torch.tensor([one.ids])
            torch.testing.assert_close(row, raw(ids, torch.ones_like(ids))[0], atol=5e-3, rtol=1e-2)
    assert model.card["backbone"] == "llama"


def test_the_state_of_an_adapter_holds_nothing_of_its_base(made: Made, tmp_path: Path) -> None:
    recipe = made(backbone=str(tmp_path / "llama"), lora_rank=4, most_steps=2)
    train(recipe)
    names = {k for k in load_file(recipe.output / "state.safetensors") if k.startswith("model.")}
    assert {name.rsplit(".", 1)[-1] for name in names} == {"lora_a", "lora_b", "weight", "bias"}
    assert all("lora" in name or name.startswith(("model.bin", "model.tri", "model.reg")) for name in names)


def test_an_adapter_goes_on_from_an_adapter_and_not_from_an_encoder(made: Made, tmp_path: Path) -> None:
    change = {"backbone": str(tmp_path / "llama"), "lora_rank": 4}
    first = made("first", **change)
    train(first)
    folder = export(first.output, tmp_path / "large")
    second = made("second", **change, start=folder, most_steps=1, learning_rate=1e-9)
    train(second)
    begun, found = adapter_state(trained(first.output)), adapter_state(trained(second.output))
    for name in begun:
        torch.testing.assert_close(found[name], begun[name], atol=1e-3, rtol=1e-3)
    with pytest.raises(UnreadableFileError):
        train(made("third", **change, start=tmp_path / "teacher"))


def test_an_encoder_has_nothing_to_look_both_ways_with(made: Made) -> None:
    with pytest.raises(InvalidValueError, match="decoders alone"):
        train(made(bidirectional=True))


def test_a_teacher_is_found_from_the_folder_of_the_recipe(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("data: data\noutput: out\nteacher: models/large\nbackbone: smollm2\n")
    assert read_recipe(path).teacher == str((tmp_path / "models/large").resolve())
    assert read_recipe(path).backbone == "smollm2"
    path.write_text("data: data\noutput: out\nteacher: bundled-large\n")
    assert read_recipe(path).teacher == "bundled-large"
    path.write_text("data: data\noutput: out\nunlabelled: [x.json]\n")
    with pytest.raises(ConfigurationError, match="teacher"):
        read_recipe(path)


def test_the_recipe_of_the_large_model_can_be_read() -> None:
    recipe = read_recipe(Path(__file__).parents[3] / "scripts" / "recipes" / "align-large.yaml")
    assert (recipe.backbone, recipe.lora_rank, recipe.learning_rate) == ("smollm2", 16, 5e-4)
