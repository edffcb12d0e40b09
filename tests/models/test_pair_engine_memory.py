"""A long-lived server: memory after thousands of turns is what it was after the first hundreds."""

from __future__ import annotations

import gc
import os

import numpy as np
import psutil
import pytest

from ragguard.errors import ConfigurationError, UnreadableFileError
from ragguard.models.pair_engine import PairEngine
from ragguard.models.pair_model import PairModel, load_pair_model
from tests.models.random_models import TEXTS, random_pair_model

MIB = 1 << 20
WORDS = " ".join(TEXTS).split()


def resident() -> float:
    """MiB of this process."""
    gc.collect()
    return float(psutil.Process(os.getpid()).memory_info().rss / MIB)


def turn(rng: np.random.Generator, *, longest: int) -> list[tuple[str, str]]:
    """One to four passages against one to three claims, none of them ever seen before."""
    passages = [" ".join(rng.choice(WORDS, int(rng.integers(1, longest)))) for _ in range(rng.integers(1, 5))]
    claims = [f"{rng.integers(10**9)} {' '.join(rng.choice(WORDS, 6))}" for _ in range(rng.integers(1, 4))]
    return [(passage, claim) for passage in passages for claim in claims]


def growth(engine: PairEngine, *, turns: int, warm: int, longest: int) -> float:
    """MiB that `turns` turns add to what `warm` turns have taken."""
    rng = np.random.default_rng(0)
    for _ in range(warm):
        engine.logits(turn(rng, longest=longest))
    before = resident()
    for _ in range(turns):
        engine.logits(turn(rng, longest=longest))
    return resident() - before


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("backend", "dtype", "turns"),
    [("torch", "auto", 10_000), ("openvino", "auto", 1_000), ("onnxruntime", "float32", 1_000)],
)
def test_memory_stays_flat_over_thousands_of_mixed_turns(
    backend: str, dtype: str, turns: int, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGGUARD_CACHE", str(tmp_path))
    engine = PairEngine(
        random_pair_model(layers=2, width=64, max_tokens=256), backend=backend, dtype=dtype, cache_size=1000
    )
    assert growth(engine, turns=turns, warm=turns // 10, longest=180) < 40
    assert engine.stats.cached < engine.stats.pairs / 100


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_memory_stays_flat_with_the_bundled_weights() -> None:
    engine = PairEngine(bundled_or_random(), cache_size=1000)
    assert growth(engine, turns=300, warm=60, longest=300) < 60


def bundled_or_random() -> PairModel:
    """The bundled model; a random one of its shape where this checkout has no weights."""
    try:
        return load_pair_model("bundled")
    except (ConfigurationError, UnreadableFileError):
        return random_pair_model(kind="bert", layers=6, width=384, max_tokens=512)
