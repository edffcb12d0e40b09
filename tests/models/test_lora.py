"""Low-rank adapters change what they should and nothing else, and go only onto the base they were made for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ragguard.errors import ConfigurationError, InvalidValueError, UnreadableFileError
from ragguard.models.decoder_pair import DecoderPairEncoder
from ragguard.models.decoder_pair_base import DecoderBase
from ragguard.models.lora import (
    TARGETS,
    Adapter,
    LoraLinear,
    adapter_state,
    add_lora,
    has_lora,
    load_adapter,
    load_adapter_state,
    merge_lora,
    save_adapter,
)
from ragguard.models.lora_folder import load_adapter_folder, save_adapter_folder
from ragguard.models.pair_model import load_pair_model
from tests.models.random_decoders import learned, random_base

IDS = torch.arange(3, 43).reshape(2, 20)
MASK = torch.ones_like(IDS)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> DecoderBase:
    return random_base(tmp_path_factory.mktemp("base"))


def saved(folder: Path, base: DecoderBase, encoder: DecoderPairEncoder | None = None, **changed: Any) -> Path:
    settings: dict[str, Any] = {"rank": 4, "alpha": 8.0, "max_tokens": 96, "card": {"pairs": 3}, **changed}
    return save_adapter_folder(folder, encoder or learned(base), base=base, **settings)


@torch.inference_mode()
def logits(encoder: nn.Module) -> torch.Tensor:
    found: torch.Tensor = encoder(IDS, MASK)
    return found


def test_an_adapter_that_has_learned_nothing_changes_nothing(base: DecoderBase) -> None:
    torch.manual_seed(0)
    encoder = DecoderPairEncoder.from_base(base).eval()
    before = logits(encoder)
    assert add_lora(encoder.base_model, rank=4, alpha=8.0) == 2 * len(TARGETS)
    assert torch.equal(logits(encoder), before)


def test_merged_it_gives_the_same_within_rounding(base: DecoderBase) -> None:
    encoder = learned(base)
    plain = DecoderPairEncoder.from_base(base).eval()
    plain.load_state_dict({k: v for k, v in adapter_state(encoder).items() if "lora" not in k}, strict=False)
    before = logits(encoder)
    merge_lora(encoder)
    assert not has_lora(encoder)
    torch.testing.assert_close(logits(encoder), before, atol=1e-5, rtol=0)
    assert (before - logits(plain)).abs().max() > 0.01, "the adapter did nothing: the comparison is empty"


def test_the_change_is_the_product_of_the_factors_times_alpha_over_rank() -> None:
    layer = LoraLinear(nn.Linear(5, 3), rank=2, alpha=6.0)
    nn.init.normal_(layer.lora_b)
    x = torch.randn(4, 5)
    expected = x @ (layer.base.weight + 3.0 * layer.lora_b @ layer.lora_a).T + layer.base.bias
    torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(layer.merged()(x), expected)


def test_merging_leaves_the_weights_of_the_base_as_they_were(base: DecoderBase) -> None:
    before = {name: tensor.clone() for name, tensor in base.state.items()}
    merge_lora(learned(base))
    assert all(torch.equal(base.state[name], before[name]) for name in before)


def test_only_factors_and_heads_are_trained(base: DecoderBase) -> None:
    encoder = learned(base)
    trained = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    assert trained == set(adapter_state(encoder))
    assert {name.split(".")[0] for name in trained if "lora" not in name} == {
        "bin_layer",
        "tri_layer",
        "reg_layer",
    }
    encoder(IDS, MASK).sum().backward()
    assert all(p.grad is None for name, p in encoder.named_parameters() if name not in trained)


@pytest.mark.parametrize(("rank", "alpha"), [(0, 1.0), (4, 0.0), (4, float("inf"))])
def test_a_rank_or_scale_of_nothing_is_refused(base: DecoderBase, rank: int, alpha: float) -> None:
    with pytest.raises(InvalidValueError, match="above 0"):
        add_lora(DecoderPairEncoder.from_base(base).base_model, rank=rank, alpha=alpha)


def test_a_module_without_the_layers_meant_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="q_proj"):
        add_lora(nn.Sequential(nn.Linear(2, 2)), rank=2, alpha=2.0)


@pytest.mark.parametrize(("storage", "off_by"), [("float32", 0.0), ("float16", 1e-3)])
def test_an_adapter_read_back_is_what_was_written(
    base: DecoderBase, tmp_path: Path, storage: str, off_by: float
) -> None:
    encoder = learned(base)
    adapter = Adapter(adapter_state(encoder), base.sha256, 4, 8.0, bidirectional=True)
    save_adapter(tmp_path / "a.safetensors", adapter, storage=storage)
    found = load_adapter(tmp_path / "a.safetensors")
    assert (found.base_sha256, found.rank, found.alpha, found.bidirectional) == (base.sha256, 4, 8.0, True)
    other = learned(base, seed=2)
    load_adapter_state(other, found.state, source="a")
    torch.testing.assert_close(logits(other), logits(encoder), atol=10 * off_by, rtol=0)
    assert all(t.dtype == torch.float32 for n, t in found.state.items())
    for name, tensor in adapter.state.items():
        if "lora" not in name:
            assert torch.equal(found.state[name], tensor), "heads are never rounded"


def test_a_folder_of_an_adapter_loads_as_any_model(base: DecoderBase, tmp_path: Path) -> None:
    encoder = learned(base)
    model = load_pair_model(saved(tmp_path / "large", base, encoder, storage="float32"))
    assert (model.name, model.card, model.tokens.max_tokens) == ("large", {"pairs": 3}, 96)
    assert not has_lora(model.encoder)
    assert not any(p.requires_grad for p in model.encoder.parameters())
    assert not model.uses_segments
    torch.testing.assert_close(logits(model.encoder), logits(encoder), atol=1e-5, rtol=0)
    assert model.fingerprint()["architecture"] == "llama"


def test_an_adapter_on_another_base_is_an_error_not_a_score(base: DecoderBase, tmp_path: Path) -> None:
    folder = saved(tmp_path / "large", base)
    other = random_base(tmp_path / "other", seed=5)
    with pytest.raises(ConfigurationError, match=f"{base.sha256[:12]}.*{other.sha256[:12]}"):
        load_adapter_folder(folder, base=other)
    random_base(Path(base.name), seed=5)
    try:
        with pytest.raises(ConfigurationError, match="trained on a base"):
            load_pair_model(folder)
    finally:
        random_base(Path(base.name))


@pytest.mark.parametrize("name", ["adapter.safetensors", "tokenizer.json"])
def test_an_altered_file_is_not_loaded(base: DecoderBase, tmp_path: Path, name: str) -> None:
    folder = saved(tmp_path / "large", base)
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    with pytest.raises(UnreadableFileError, match=name):
        load_pair_model(folder)


@pytest.mark.parametrize("kind", ["missing", "unexpected", "shape", "nan"])
def test_an_adapter_that_does_not_fit_is_not_loaded_in_part(base: DecoderBase, kind: str) -> None:
    encoder = learned(base)
    state = {name: tensor.clone() for name, tensor in adapter_state(encoder).items()}
    name = "base_model.layers.1.mlp.up_proj.lora_b"
    if kind == "missing":
        del state[name]
    elif kind == "unexpected":
        state["base_model.layers.9.mlp.up_proj.lora_b"] = state[name]
    else:
        state[name] = state[name][:, :1] if kind == "shape" else state[name] * float("nan")
    with pytest.raises(UnreadableFileError, match=r"lora_b"):
        load_adapter_state(encoder, state, source="the file")


def test_a_file_of_other_weights_is_no_adapter(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    for path in (tmp_path / "x.safetensors", tmp_path / "none.safetensors"):
        with pytest.raises(UnreadableFileError, match="no adapter"):
            load_adapter(path)


def test_only_an_adapter_is_replaced_by_an_adapter(base: DecoderBase, tmp_path: Path) -> None:
    saved(tmp_path / "large", base)
    folder = saved(tmp_path / "large", base, card={"pairs": 4})
    assert json.loads((folder / "ragguard.json").read_text())["card"] == {"pairs": 4}
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "letter.txt").write_text("keep me")
    with pytest.raises(InvalidValueError, match="no adapter"):
        saved(tmp_path / "else", base)
    assert (tmp_path / "else" / "letter.txt").read_text() == "keep me"


def test_a_merged_encoder_is_not_saved_as_an_adapter(base: DecoderBase, tmp_path: Path) -> None:
    encoder = learned(base)
    merge_lora(encoder)
    with pytest.raises(InvalidValueError, match="merged"):
        saved(tmp_path / "large", base, encoder)
    with pytest.raises(InvalidValueError, match="storage"):
        saved(tmp_path / "large", base, storage="int3")
    assert not (tmp_path / "large").exists()


def test_no_base_weights_are_written(base: DecoderBase, tmp_path: Path) -> None:
    found = load_file(saved(tmp_path / "large", base) / "adapter.safetensors")
    assert {name.rsplit(".", 1)[-1] for name in found} == {"lora_a", "lora_b", "weight", "bias"}
    assert not any("embed" in name or "norm" in name or "base.weight" in name for name in found)
