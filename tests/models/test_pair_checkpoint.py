"""The published checkpoints: read whole, without their code, or refused by name."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard.errors import ConfigurationError, InvalidValueError, RagGuardError, UnreadableFileError
from ragguard.models.pair_checkpoint import convert_checkpoint, load_checkpoint
from ragguard.models.pair_model import PairModel, load_pair_model
from ragguard.models.pair_storage import read_weights
from tests.models.random_models import (
    bert_tokenizer,
    logits_of,
    published_checkpoint,
    published_state,
    random_pair_model,
    write_checkpoint,
)

PAIRS = [
    ("The bridge opened in 1978.", "The bridge opened in 1987."),
    ("Ada founded Acme. " * 9, "Rex bought Dino."),
]
HEAD_KEYS = [f"{head}_layer.{part}" for head in ("bin", "tri", "reg") for part in ("weight", "bias")]
POOLER = "base_model.pooler.dense.weight"


@pytest.fixture(scope="module")
def model() -> PairModel:
    return random_pair_model()


@pytest.fixture(scope="module")
def checkpoint(model: PairModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("released") / "AlignScore-base.ckpt", model)


def with_state(path: Path, model: PairModel, **changed: torch.Tensor | None) -> Path:
    """A checkpoint whose state holds the changed tensors, and lacks those set to None."""
    state = published_state(model)
    for name, tensor in changed.items():
        state.pop(name, None)
        if tensor is not None:
            state[name] = tensor
    return write_checkpoint(path, model, state_dict=state)


def test_a_published_checkpoint_loads_with_its_own_weights(model: PairModel, checkpoint: Path) -> None:
    loaded = load_pair_model(checkpoint)
    assert torch.equal(logits_of(loaded, PAIRS), logits_of(model, PAIRS))
    assert loaded.name == "AlignScore-base"
    assert loaded.tokens.max_tokens == 128  # positions, less the two that RoBERTa leaves unused
    assert not loaded.encoder.training
    assert not loaded.uses_segments


def test_the_size_is_read_off_the_weights_and_not_off_the_settings_kept_beside_them(tmp_path: Path) -> None:
    wide = random_pair_model(layers=3, width=128)
    path = write_checkpoint(tmp_path / "odd.ckpt", wide, hyper_parameters={"model": "roberta-large"})
    config = load_checkpoint(path).encoder.base_model.config
    assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (3, 128, 2)
    assert torch.equal(logits_of(load_checkpoint(path), PAIRS), logits_of(wide, PAIRS))


def test_a_checkpoint_without_the_table_of_positions_or_the_language_head_is_as_good(
    model: PairModel, tmp_path: Path
) -> None:
    state = dict(model.encoder.state_dict())
    loaded = load_checkpoint(write_checkpoint(tmp_path / "slim.ckpt", model, state_dict=state))
    assert torch.equal(logits_of(loaded, PAIRS), logits_of(model, PAIRS))


@pytest.mark.parametrize("key", [*HEAD_KEYS, POOLER, "base_model.encoder.layer.1.output.dense.bias"])
def test_a_missing_weight_is_named_and_never_made_up(key: str, model: PairModel, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError) as caught:
        load_checkpoint(with_state(tmp_path / "lacks.ckpt", model, **{key: None}))
    assert key in str(caught.value)
    assert caught.value.details["missing"] == [key]


def test_an_unknown_weight_is_named(model: PairModel, tmp_path: Path) -> None:
    path = with_state(tmp_path / "more.ckpt", model, **{"extra_layer.weight": torch.zeros(2, 2)})
    with pytest.raises(UnreadableFileError, match=r"extra_layer\.weight"):
        load_checkpoint(path)


def test_swapped_heads_are_told_by_the_shape_of_a_named_weight(model: PairModel, tmp_path: Path) -> None:
    state = published_state(model)
    swapped = {
        "bin_layer.weight": state["tri_layer.weight"],
        "tri_layer.weight": state["bin_layer.weight"],
        "bin_layer.bias": state["tri_layer.bias"],
        "tri_layer.bias": state["bin_layer.bias"],
    }
    with pytest.raises(UnreadableFileError, match=r"bin_layer\.bias .*\(3,\), needed \(2,\)") as caught:
        load_checkpoint(with_state(tmp_path / "swapped.ckpt", model, **swapped))
    assert caught.value.details["wrong_shape"] == sorted(swapped)


def test_a_whole_layer_that_is_missing_in_the_middle_is_noticed(model: PairModel, tmp_path: Path) -> None:
    deep = random_pair_model(layers=3)
    gone = {name: None for name in published_state(deep) if ".layer.1." in name}
    with pytest.raises(UnreadableFileError, match=r"layer\.1\."):
        load_checkpoint(with_state(tmp_path / "gap.ckpt", deep, **gone))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_named(value: float, model: PairModel, tmp_path: Path) -> None:
    path = with_state(tmp_path / "nan.ckpt", model, **{"tri_layer.bias": torch.full((3,), value)})
    with pytest.raises(UnreadableFileError, match=r"tri_layer\.bias .*NaN"):
        load_checkpoint(path)


def test_whole_numbers_are_no_weights(model: PairModel, tmp_path: Path) -> None:
    path = with_state(tmp_path / "int.ckpt", model, **{POOLER: torch.zeros(64, 64, dtype=torch.long)})
    with pytest.raises(UnreadableFileError, match=r"pooler\.dense\.weight .*int64"):
        load_checkpoint(path)


def test_half_precision_weights_are_read_as_float32(model: PairModel, tmp_path: Path) -> None:
    halves = {n: t.half() if t.is_floating_point() else t for n, t in published_state(model).items()}
    loaded = load_checkpoint(write_checkpoint(tmp_path / "half.ckpt", model, state_dict=halves))
    assert {p.dtype for p in loaded.encoder.parameters()} == {torch.float32}
    torch.testing.assert_close(logits_of(loaded, PAIRS), logits_of(model, PAIRS), atol=0.05, rtol=0.05)


class Runs:
    """A pickle that would write a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_holds_code_is_refused_unrun(zipped: bool, model: PairModel, tmp_path: Path) -> None:
    path, trace = tmp_path / "code.ckpt", tmp_path / "ran"
    (tmp_path / "tokenizer.json").write_text(model.tokens.definition, encoding="utf-8")
    checkpoint = published_checkpoint(model, callbacks={"evil": Runs(trace)})
    torch.save(checkpoint, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UnreadableFileError, match="never run"):
        load_checkpoint(path)
    assert not trace.exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(share: float, checkpoint: Path, tmp_path: Path) -> None:
    whole = checkpoint.read_bytes()
    path = tmp_path / "short.ckpt"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UnreadableFileError, match=r"short\.ckpt"):
        load_checkpoint(path, tokenizer=checkpoint.parent)


@pytest.fixture(scope="module")
def place(checkpoint: Path) -> Path:
    """A path beside a tokenizer, for files that are no checkpoints."""
    return checkpoint.parent / "any.ckpt"


@given(content=st.binary(max_size=300))
@settings(max_examples=60)
def test_no_bytes_make_it_fail_otherwise(content: bytes, place: Path) -> None:
    place.write_bytes(content)
    with pytest.raises(UnreadableFileError):
        load_checkpoint(place)


@given(
    content=st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
        max_leaves=8,
    )
)
@settings(max_examples=40)
def test_no_plain_pickle_makes_it_fail_otherwise(content: object, place: Path) -> None:
    torch.save({"state_dict": content}, place)
    with pytest.raises(UnreadableFileError):
        load_checkpoint(place)
    place.write_bytes(pickle.dumps(content))
    with pytest.raises(UnreadableFileError):
        load_checkpoint(place)


def test_a_zip_that_is_no_checkpoint_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "hello")
    path = tmp_path / "zip.ckpt"
    path.write_bytes(buffer.getvalue())
    with pytest.raises(UnreadableFileError, match="no checkpoint"):
        load_checkpoint(path, tokenizer=checkpoint.parent)


def test_a_file_of_another_model_is_refused_by_what_it_lacks(model: PairModel, tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "cnn.ckpt", model, state_dict={"conv.weight": torch.zeros(3, 3)})
    with pytest.raises(UnreadableFileError, match="word_embeddings"):
        load_checkpoint(path)


def test_a_width_whose_attention_heads_cannot_be_told_is_refused(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "narrow.ckpt", random_pair_model(width=32))
    with pytest.raises(UnreadableFileError, match="width 32"):
        load_checkpoint(path)


def test_without_a_tokenizer_it_says_what_would_do(model: PairModel, tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "alone.ckpt", model, with_tokenizer=False)
    with pytest.raises(ConfigurationError, match=r"tokenizer\.json.*beside"):
        load_checkpoint(path)
    with pytest.raises(ConfigurationError, match=r"none is there"):
        load_checkpoint(path, tokenizer=tmp_path / "elsewhere")


@pytest.mark.parametrize("as_file", [True, False])
def test_the_tokenizer_may_lie_elsewhere(as_file: bool, model: PairModel, tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "alone.ckpt", model, with_tokenizer=False)
    folder = tmp_path / "roberta"
    folder.mkdir()
    (folder / "tokenizer.json").write_text(model.tokens.definition, encoding="utf-8")
    loaded = load_pair_model(path, tokenizer=folder / "tokenizer.json" if as_file else folder)
    assert torch.equal(logits_of(loaded, PAIRS), logits_of(model, PAIRS))


def test_another_models_tokenizer_is_refused(model: PairModel, tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "alone.ckpt", model, with_tokenizer=False)
    (tmp_path / "tokenizer.json").write_text(bert_tokenizer(), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="pads with id 0"):
        load_checkpoint(path)


@pytest.mark.parametrize("definition", ["", "{}", "[1]", '{"model": {"type": "BPE"}}', "\x00", "nonsense"])
def test_a_tokenizer_that_is_none_is_refused(definition: str, model: PairModel, tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "alone.ckpt", model, with_tokenizer=False)
    (tmp_path / "tokenizer.json").write_text(definition, encoding="utf-8")
    with pytest.raises(UnreadableFileError, match=r"tokenizer\.json"):
        load_checkpoint(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match=r"no file gone\.ckpt"):
        load_pair_model(tmp_path / "gone.ckpt")


def test_a_converted_checkpoint_scores_the_same_and_knows_its_source(
    model: PairModel, checkpoint: Path, tmp_path: Path
) -> None:
    folder = convert_checkpoint(checkpoint, tmp_path / "converted")
    loaded = load_pair_model(folder)
    assert torch.equal(logits_of(loaded, PAIRS), logits_of(model, PAIRS))
    assert loaded.card["source_sha256"] == load_checkpoint(checkpoint).weights_sha256
    assert loaded.name == "AlignScore-base"
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "ragguard.json",
        "tokenizer.json",
    ]
    assert not any(
        "mlm" in name or "position_ids" in name for name in read_weights(folder / "model.safetensors")
    )


def test_conversion_drops_the_two_thirds_that_are_the_optimisers(checkpoint: Path, tmp_path: Path) -> None:
    folder = convert_checkpoint(checkpoint, tmp_path / "converted")
    assert (folder / "model.safetensors").stat().st_size < checkpoint.stat().st_size / 3


def test_a_folder_converts_to_another_storage(checkpoint: Path, tmp_path: Path) -> None:
    folder = convert_checkpoint(checkpoint, tmp_path / "float")
    smaller = convert_checkpoint(folder, tmp_path / "small", storage="int8")
    sizes = [(each / "model.safetensors").stat().st_size for each in (folder, smaller)]
    assert sizes[1] < 0.3 * sizes[0]
    assert json.loads((smaller / "ragguard.json").read_text())["storage"] == "int8"


def test_conversion_leaves_a_strangers_folder_alone(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(InvalidValueError, match="mine exists"):
        convert_checkpoint(checkpoint, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_a_failed_conversion_leaves_nothing_behind(model: PairModel, tmp_path: Path) -> None:
    path = with_state(tmp_path / "in" / "lacks.ckpt", model, **{POOLER: None})
    with pytest.raises(RagGuardError):
        convert_checkpoint(path, tmp_path / "out")
    assert [each.name for each in tmp_path.iterdir()] == ["in"]
