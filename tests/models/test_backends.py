"""Every back end against the three heads in torch, and the cache of exported models."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from ragguard.errors import InvalidValueError, MissingDependencyError
from ragguard.models.backends import exported
from ragguard.models.backends.choose import DTYPES, make_backend
from ragguard.models.backends.protocol import Backend, version_of
from ragguard.models.cpu import has_bfloat16
from ragguard.models.pair_engine import PairEngine
from ragguard.models.pair_model import PairModel
from tests.models.random_models import logits_of, random_pair_model
from tests.models.test_pair_engine import pairs_of

KINDS = [(backend, dtype) for backend, dtypes in DTYPES.items() for dtype in dtypes]
# Least correlation with float32; of random weights, which rounding hits harder than trained ones.
ALIKE = {"bfloat16": 0.995, "int8": 0.98}


@pytest.fixture(scope="module", params=["roberta", "bert"])
def model(request: pytest.FixtureRequest) -> PairModel:
    return random_pair_model(kind=request.param)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the module: an export takes half a second."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAGGUARD_CACHE", str(folder))
        yield folder


@pytest.mark.parametrize(("backend", "dtype"), KINDS)
def test_a_back_end_gives_the_logits_of_the_three_heads(model: PairModel, backend: str, dtype: str) -> None:
    engine = PairEngine(model, backend=backend, dtype=dtype, cache_size=0)
    if dtype == "bfloat16" and not has_bfloat16():
        with pytest.raises(InvalidValueError, match="bfloat16"):
            engine.warm_up()
        return
    pairs = pairs_of(48)
    reference, found = logits_of(model, pairs).numpy(), engine.logits(pairs)
    if dtype == "float32":
        np.testing.assert_allclose(found, reference, atol=1e-4)
    else:
        assert np.corrcoef(found.ravel(), reference.ravel())[0, 1] > ALIKE[dtype]
    assert engine.fingerprint()["backend"] == backend
    assert engine.fingerprint()["dtype"] == dtype


@pytest.mark.parametrize(("backend", "dtype"), KINDS)
def test_neighbours_change_no_score(backend: str, dtype: str) -> None:
    if dtype == "bfloat16" and not has_bfloat16():
        dtype = "float32"
    engine = PairEngine(random_pair_model(), backend=backend, dtype=dtype, cache_size=0)
    pairs = pairs_of(24)
    together = engine.logits(pairs)
    alone = np.concatenate([engine.logits([pair]) for pair in pairs])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_auto_is_torch_in_bfloat16_where_the_cpu_has_it(model: PairModel) -> None:
    backend = make_backend(model, backend="auto", dtype="auto")
    assert isinstance(backend, Backend)
    assert (backend.name, backend.dtype) == ("torch", "bfloat16" if has_bfloat16() else "float32")
    assert make_backend(model, backend="onnxruntime", dtype="auto").dtype == "float32"


def test_half_precision_leaves_a_model_it_does_not_own_as_it_was(model: PairModel) -> None:
    before = {name: each.clone() for name, each in model.encoder.state_dict().items()}
    if has_bfloat16():
        make_backend(model, backend="torch", dtype="bfloat16")
    after = model.encoder.state_dict()
    assert all(after[name].dtype == each.dtype and after[name].equal(each) for name, each in before.items())


def test_an_export_is_kept_and_an_altered_one_is_built_anew(
    model: PairModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAGGUARD_CACHE", str(tmp_path))
    built = exported.onnx_of(model)
    (kept,) = tmp_path.glob("pair-models/*.onnx")
    assert kept.read_bytes() == built
    monkeypatch.setattr(exported, "_export", lambda model: pytest.fail("exported twice"))
    assert exported.onnx_of(model) == built
    monkeypatch.undo()
    monkeypatch.setenv("RAGGUARD_CACHE", str(tmp_path))
    kept.write_bytes(built[:-1] + b"\x00")
    again = exported.onnx_of(model)
    assert again != built[:-1] + b"\x00"
    assert kept.read_bytes() == again
    assert sorted(path.name for path in kept.parent.iterdir()) == [kept.name, f"{kept.name}.sha256"]


def test_models_of_other_weights_or_shape_have_other_entries(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAGGUARD_CACHE", str(tmp_path))
    for other in (random_pair_model(seed=1), random_pair_model(seed=2), random_pair_model(seed=1, layers=1)):
        exported.onnx_of(other)
    assert len(list(tmp_path.glob("pair-models/*.onnx"))) == 3


def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(
    model: PairModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("RAGGUARD_CACHE", str(blocked))
    engine = PairEngine(model, backend="onnxruntime", dtype="float32")
    assert engine.logits(pairs_of(2)).shape == (2, 6)
    assert stat.S_ISREG(blocked.stat().st_mode)


@pytest.mark.parametrize(
    ("backend", "dtype", "package", "extra"),
    [
        ("openvino", "float32", "openvino", "openvino"),
        ("onnxruntime", "float32", "onnxruntime", "onnx"),
        ("onnxruntime", "int8", "onnx", "onnx"),
    ],
)
def test_a_back_end_that_is_not_installed_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, backend: str, dtype: str, package: str, extra: str
) -> None:
    monkeypatch.setenv("RAGGUARD_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf"ragguard\[{extra}\]"):
        PairEngine(random_pair_model(layers=1), backend=backend, dtype=dtype).warm_up()


def test_a_version_is_named_without_its_patch() -> None:
    assert version_of("torch", "2.13.0+cpu") == "torch 2.13"
    assert version_of("openvino", "2026.4.1-21923") == "openvino 2026.4"
