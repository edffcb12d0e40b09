from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from ragguard.alignment.training.examples import Example
from ragguard.alignment.training.mixture import counts, mixture, repeated
from ragguard.alignment.training.recipe import Recipe, read_recipe
from ragguard.errors import ConfigurationError, UnknownNameError, UnreadableFileError
from tests.alignment.training.cases import NAMES, data_of, lines, put, recipe_of


def test_paths_count_from_the_recipes_folder(tmp_path: Path) -> None:
    (tmp_path / "here" / "encoder").mkdir(parents=True)
    put(tmp_path / "here/r.yaml", "data: ../data\noutput: run\nbackbone: encoder\nstart: ../first\n")
    found = read_recipe(tmp_path / "here/r.yaml")
    assert (found.data, found.output) == (tmp_path / "data", tmp_path / "here/run")
    assert (found.backbone, found.start) == (str(tmp_path / "here/encoder"), tmp_path / "first")


def test_the_bundled_backbone_is_a_name_and_no_path(tmp_path: Path) -> None:
    (tmp_path / "bundled").mkdir()
    put(tmp_path / "r.yaml", "data: .\noutput: run\n")
    assert read_recipe(tmp_path / "r.yaml").backbone == "bundled"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: .\noutput: o\nepoch: 3\n", "epoch: Extra inputs"),
        ("data: .\n", "output: Field required"),
        ("data: .\noutput: o\nlearning_rate: 0\n", "learning_rate"),
        ("data: .\noutput: o\nsets: {fever: often}\n", "sets.fever"),
        ("data: .\noutput: o\nmax_tokens: 9\n", "max_tokens"),
        ("- a\n", "holds no mapping"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, message: str) -> None:
    put(tmp_path / "r.yaml", text)
    with pytest.raises(ConfigurationError, match=message):
        read_recipe(tmp_path / "r.yaml")


@pytest.mark.parametrize("data", [b"a: [", b"\xff\xfe", None])
def test_what_is_no_yaml_is_unreadable(tmp_path: Path, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / "r.yaml").write_bytes(data)
    with pytest.raises(UnreadableFileError, match=r"cannot read r\.yaml"):
        read_recipe(tmp_path / "r.yaml")


@pytest.mark.parametrize("name", sorted(p.name for p in Path("scripts/recipes").glob("align-*.yaml")))
def test_the_recipes_of_the_project_are_read(name: str) -> None:
    found = read_recipe(Path("scripts/recipes") / name)
    assert found.sets
    assert found.output.parent.name == ".training"


# The mixture


def whole(tmp_path: Path, **change: Any) -> Recipe:
    data = data_of(tmp_path / "data", count=12)
    texts = [
        f"{a} founded a firm of bicycles near {b} in 19{i}0. The firm sells lamps in {b}."
        for i, (a, b) in enumerate(zip(NAMES, NAMES[::-1], strict=True))
    ]
    lines(data / "corpus.json", [{"title": str(i), "text": text} for i, text in enumerate(texts)])
    return recipe_of(tmp_path, corpora=("corpus.json",), made_per_passage=1, questions=1.0, **change)


def test_the_same_recipe_makes_the_same_mixture(tmp_path: Path) -> None:
    recipe = whole(tmp_path)
    assert mixture(recipe) == mixture(recipe)
    assert mixture(recipe) != mixture(recipe.model_copy(update={"seed": 1}))


def test_every_part_of_a_recipe_is_in_its_mixture(tmp_path: Path) -> None:
    found = counts(mixture(whole(tmp_path, sets={"fever": 2.5})))
    assert found["fever"] == 30
    assert found["made: kept"] == 6
    assert found["made: question"] > 0
    none = counts(
        mixture(whole(tmp_path, sets={}).model_copy(update={"made_per_passage": 0, "questions": 0.0}))
    )
    assert none == {}


def test_examples_are_used_as_often_as_asked() -> None:
    examples = [Example("s", str(i)) for i in range(10)]
    assert len(repeated(examples, 0.3, random.Random(0))) == 3
    twice = repeated(examples, 2.5, random.Random(0))
    assert len(twice) == 25
    assert {twice.count(one) for one in examples} == {2, 3}


def test_an_unknown_set_is_named_and_the_known_ones_listed(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown data set 'fewer'.*fever"):
        mixture(recipe_of(tmp_path, sets={"fewer": 1}))


def test_a_missing_corpus_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match=r"none\.json"):
        mixture(recipe_of(tmp_path, sets={}, corpora=("none.json",)))
