"""The engine over small random models: right rows, whatever the company, the thread or the moment."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ragguard.errors import (
    DeadlineExceededError,
    InvalidValueError,
    ScoringError,
    UnknownNameError,
    UnreadableFileError,
)
from ragguard.models.backends.protocol import Backend, IntArray
from ragguard.models.backends.torch_cpu import TorchBackend
from ragguard.models.pair_engine import PairEngine
from ragguard.models.pair_model import PairModel, save_pair_model
from ragguard.protocols import FloatArray
from ragguard.worker import deadline
from tests.models.random_models import TEXTS, logits_of, random_pair_model

SECRET = "The password is swordfish"


def pairs_of(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Sources of one word to more than the model takes, with claims of a few words."""
    rng = np.random.default_rng(seed)
    words = " ".join(TEXTS).split()
    drawn = [
        (list(rng.choice(words, 1 + int(rng.integers(0, 60)))), list(rng.choice(words, 5)))
        for _ in range(count)
    ]
    return [(" ".join(source), f"{i} {' '.join(claim)}") for i, (source, claim) in enumerate(drawn)]


class Watched:
    """The torch back end, with the shapes it saw; it can be held back, killed or spoilt."""

    name, dtype, library, most_rows = "watched", "float32", "torch", None

    def __init__(self, model: PairModel) -> None:
        self._torch = TorchBackend(model, dtype="float32")
        self.shapes: list[tuple[int, int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.threads: set[str] = set()
        self.dead = False
        self.nan = False

    def run(self, ids: IntArray, mask: IntArray, types: IntArray | None, /) -> FloatArray:
        self.entered.set()
        assert self.gate.wait(20)
        self.threads.add(threading.current_thread().name)
        self.shapes.append((ids.shape[0], ids.shape[1]))
        if self.dead:
            raise RuntimeError(f"killed while reading: {SECRET}")
        logits = self._torch.run(ids, mask, types)
        return np.full_like(logits, np.nan) if self.nan else logits


@pytest.fixture(scope="module", params=["roberta", "bert"])
def model(request: pytest.FixtureRequest) -> PairModel:
    return random_pair_model(kind=request.param)


@pytest.fixture
def watched(model: PairModel) -> Iterator[Watched]:
    backend = Watched(model)
    yield backend
    backend.gate.set()


def fresh(model: PairModel, **settings: int) -> PairEngine:
    return PairEngine(model, dtype="float32", **settings)


def test_gives_the_logits_of_the_model_itself_in_order(model: PairModel) -> None:
    pairs = pairs_of(60)
    found = fresh(model).logits(pairs)
    assert (found.dtype, found.shape) == (np.float32, (60, 6))
    np.testing.assert_allclose(found, logits_of(model, pairs), atol=1e-4)
    assert fresh(model).logits([]).shape == (0, 6)


def test_a_pair_scores_alike_alone_shuffled_and_in_batches_of_any_size(model: PairModel) -> None:
    pairs = pairs_of(64)
    engine = fresh(model, cache_size=0)
    alone = np.concatenate([engine.logits([pair]) for pair in pairs])
    order = np.random.default_rng(3).permutation(64)
    np.testing.assert_allclose(engine.logits([pairs[i] for i in order]), alone[order], atol=1e-5)
    for size in (1, 7, 64):
        parts = [engine.logits(pairs[first : first + size]) for first in range(0, 64, size)]
        np.testing.assert_allclose(np.concatenate(parts), alone, atol=1e-5)
    for tokens in (300, 10**6):
        np.testing.assert_allclose(
            fresh(model, cache_size=0, batch_tokens=tokens).logits(pairs), alone, atol=1e-5
        )


def test_shapes_are_few_and_of_each_pairs_own_length(model: PairModel, watched: Watched) -> None:
    engine = PairEngine(model, backend=watched, cache_size=0)
    for count in range(1, 40, 3):
        engine.logits(pairs_of(count, seed=count))
    assert {length for _, length in watched.shapes} <= {32, 64, 96, 128}
    assert len({length for _, length in watched.shapes}) >= 3
    assert all(rows & (rows - 1) == 0 and rows * length <= 2048 for rows, length in watched.shapes)
    assert watched.threads == {"ragguard-scorer_0"}
    assert isinstance(watched, Backend)


def test_what_was_scored_is_not_scored_again(model: PairModel, watched: Watched) -> None:
    engine, pairs = PairEngine(model, backend=watched, cache_size=10), pairs_of(10)
    first = engine.logits(pairs + pairs)
    passes = engine.stats.passes
    np.testing.assert_array_equal(engine.logits(pairs[::-1] * 2), np.tile(first[:10][::-1], (2, 1)))
    stats = engine.stats
    assert stats.passes == passes == len(watched.shapes)
    assert (stats.pairs, stats.unique, stats.cached, stats.scored) == (40, 20, 10, 10)
    assert stats.tokens == sum(rows * length for rows, length in watched.shapes)
    engine.logits(pairs_of(10, seed=1))
    engine.logits(pairs)
    assert engine.stats.scored == 30


def test_more_pairs_than_the_queue_holds_are_scored_in_parts(model: PairModel) -> None:
    pairs = pairs_of(30)
    engine = fresh(model, max_waiting=4)
    np.testing.assert_allclose(engine.logits(pairs), fresh(model).logits(pairs), atol=1e-5)


def test_threads_share_batches_and_each_gets_its_own(model: PairModel, watched: Watched) -> None:
    engine, pairs = PairEngine(model, backend=watched), pairs_of(48)
    expected = fresh(model).logits(pairs)
    watched.gate.clear()
    with ThreadPoolExecutor(12) as pool:
        calls = [pool.submit(engine.logits, pairs[i : i + 4]) for i in range(0, 48, 4)]
        assert watched.entered.wait(10)
        while engine.stats.pairs < 48:
            threading.Event().wait(0.01)
        watched.gate.set()
        found = np.concatenate([call.result(20) for call in calls])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert engine.stats.passes < 20


async def test_hundreds_of_tasks_get_their_own_rows_while_the_loop_goes_on(model: PairModel) -> None:
    pairs = pairs_of(120)
    expected = fresh(model).logits(pairs)
    engine, rng, beats = fresh(model, max_waiting=32), np.random.default_rng(0), 0
    wanted = [rng.integers(0, 120, int(rng.integers(0, 6))) for _ in range(300)]

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    beating = asyncio.ensure_future(beat())
    found = await asyncio.gather(*(engine.alogits([pairs[i] for i in each]) for each in wanted))
    beating.cancel()
    for rows, each in zip(found, wanted, strict=True):
        np.testing.assert_allclose(rows, expected[each], atol=1e-5)
    assert engine.stats.scored <= 120
    assert beats > 300


async def test_a_cancelled_task_leaves_the_others_fine(model: PairModel, watched: Watched) -> None:
    engine, pairs = PairEngine(model, backend=watched), pairs_of(40)
    expected = fresh(model).logits(pairs)
    watched.gate.clear()
    tasks = [asyncio.ensure_future(engine.alogits(pairs[i : i + 4])) for i in range(0, 40, 2)]
    async with asyncio.timeout(10):
        while engine.stats.pairs < 20:  # noqa: ASYNC110 - nothing tells when a worker has queued them
            await asyncio.sleep(0.01)
    for task in tasks[::2]:
        task.cancel()
    watched.gate.set()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in done[::2])
    for i, rows in list(enumerate(done))[1::2]:
        assert isinstance(rows, np.ndarray)
        np.testing.assert_allclose(rows, expected[2 * i : 2 * i + 4], atol=1e-5)


def test_a_passed_deadline_ends_the_call_and_drops_its_pairs(model: PairModel, watched: Watched) -> None:
    engine, (held, *pairs) = PairEngine(model, backend=watched), pairs_of(9)
    with deadline(0), pytest.raises(DeadlineExceededError):
        engine.logits(pairs)
    watched.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(engine.logits, [held])
        assert watched.entered.wait(10)
        with deadline(0.05), pytest.raises(DeadlineExceededError):
            engine.logits(pairs)
        watched.gate.set()
        assert waiting.result(10).shape == (1, 6)
    assert engine.stats.scored == 1
    assert engine.logits(pairs).shape == (8, 6)


async def test_a_passed_deadline_ends_a_task_too(model: PairModel, watched: Watched) -> None:
    engine = PairEngine(model, backend=watched)
    watched.gate.clear()
    with deadline(0.2), pytest.raises(DeadlineExceededError):
        await engine.alogits(pairs_of(3))
    with deadline(0), pytest.raises(DeadlineExceededError):
        await engine.alogits(pairs_of(3))
    watched.gate.set()
    assert (await engine.alogits(pairs_of(3))).shape == (3, 6)


def test_nan_and_a_killed_back_end_are_errors_without_text_and_pass(
    model: PairModel, watched: Watched
) -> None:
    engine = PairEngine(model, backend=watched)
    pairs = [(SECRET, "It is swordfish.")]
    watched.nan = True
    with pytest.raises(ScoringError, match="NaN or infinity") as spoilt:
        engine.logits(pairs)
    watched.nan, watched.dead = False, True
    with pytest.raises(ScoringError, match=r"failed \(RuntimeError\)") as killed:
        engine.logits(pairs)
    assert "swordfish" not in str(spoilt.value) + str(killed.value)
    watched.dead = False
    assert np.isfinite(engine.logits(pairs)).all()


async def test_every_task_that_waits_hears_of_a_killed_back_end(model: PairModel, watched: Watched) -> None:
    engine, pairs = PairEngine(model, backend=watched), pairs_of(30)
    watched.dead = True
    done = await asyncio.gather(
        *(engine.alogits(pairs[i : i + 3]) for i in range(27)), return_exceptions=True
    )
    assert all(isinstance(each, ScoringError) for each in done)


def test_nan_weights_are_never_a_score() -> None:
    broken = random_pair_model()
    broken.encoder.tri_layer.weight.data[1, 0] = float("nan")
    with pytest.raises(ScoringError):
        PairEngine(broken).logits(pairs_of(2))


def test_a_back_end_of_another_shape_is_an_error(model: PairModel, watched: Watched) -> None:
    class Narrow(Watched):
        def run(self, ids: IntArray, mask: IntArray, types: IntArray | None, /) -> FloatArray:
            return super().run(ids, mask, types)[:, :3]

    with pytest.raises(ScoringError, match=r"shape \(1, 3\)"):
        PairEngine(model, backend=Narrow(model)).logits(pairs_of(1))


def test_constructing_loads_nothing_and_several_threads_load_once(tmp_path: Path) -> None:
    model = random_pair_model()
    engine = PairEngine(tmp_path / "model", dtype="float32")
    with pytest.raises(UnreadableFileError, match="model"):
        engine.warm_up()
    save_pair_model(
        tmp_path / "model", model.encoder, tokenizer=model.tokens.definition, max_tokens=128, card={}
    )
    pairs = pairs_of(5)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(engine.logits, [pairs] * 4))
    for rows in found:
        np.testing.assert_allclose(rows, fresh(model).logits(pairs), atol=1e-5)
    assert engine.tokens.max_tokens == 128


def test_the_fingerprint_names_model_back_end_dtype_and_buckets(model: PairModel) -> None:
    import torch

    found = fresh(model).fingerprint()
    assert found == {
        **model.fingerprint(),
        "backend": "torch",
        "library": f"torch {'.'.join(torch.__version__.split('.')[:2])}",
        "dtype": "float32",
        "buckets": "own length, steps of 32",
    }
    engine = fresh(model)
    engine.logits(pairs_of(3))
    assert engine.fingerprint() == found


def test_settings_out_of_range_are_refused_at_once() -> None:
    with pytest.raises(UnknownNameError, match="tensorrt"):
        PairEngine(backend="tensorrt")
    for settings in ({"backend": "onnxruntime", "dtype": "bfloat16"}, {"dtype": "int8"}, {"dtype": "half"}):
        with pytest.raises(InvalidValueError, match="dtype"):
            PairEngine(**settings)
    for name in ("batch_tokens", "cache_size", "max_waiting"):
        with pytest.raises(InvalidValueError, match=name):
            PairEngine(**{name: -1})
