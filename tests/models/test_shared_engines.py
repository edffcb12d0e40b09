"""Guards that name the same model share its weights and its queue."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest

from ragguard.alignment.aligner import AlignmentAligner
from ragguard.alignment.guard import ConsistencyGuard
from ragguard.errors import UnknownNameError
from ragguard.models.pair_model import save_pair_model
from ragguard.models.shared_engines import shared_engine
from tests.models.random_models import random_pair_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = random_pair_model()
    return save_pair_model(
        tmp_path / "m", model.encoder, tokenizer=model.tokens.definition, max_tokens=128, card={}
    )


def test_guards_with_the_default_model_share_one_engine() -> None:
    guards = [
        ConsistencyGuard(),
        ConsistencyGuard(threshold=0.7, policy="redact"),
        ConsistencyGuard(name="b"),
    ]
    engines = {id(guard.aligner.engine) for guard in guards}  # type: ignore[attr-defined]
    assert len(engines) == 1
    assert AlignmentAligner().engine is shared_engine("bundled")


def test_threads_that_come_at_once_get_the_same() -> None:
    found = []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        found.append(shared_engine("bundled", dtype="float32"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(engine) for engine in found}) == 1


def test_another_dtype_is_another_engine() -> None:
    assert shared_engine(dtype="float32") is not shared_engine(dtype="bfloat16")


def test_a_folder_is_shared_by_whatever_name_and_while_somebody_holds_it(folder: Path) -> None:
    engine = shared_engine(folder)
    assert shared_engine(str(folder)) is engine
    assert shared_engine(folder / ".." / folder.name) is engine
    gone = weakref.ref(engine)
    del engine
    gc.collect()
    assert gone() is None


def test_a_folder_that_was_written_anew_is_another_model(folder: Path) -> None:
    engine = shared_engine(folder)
    weights = folder / "model.safetensors"
    os.utime(weights, ns=(1, 1))
    assert shared_engine(folder) is not engine


def test_what_is_not_there_is_said_when_it_is_used_and_a_wrong_back_end_at_once(tmp_path: Path) -> None:
    assert shared_engine(tmp_path / "none") is not None
    with pytest.raises(UnknownNameError):
        shared_engine(backend="abacus")


def test_a_guard_is_made_without_loading_a_model_library() -> None:
    code = (
        "import sys; from ragguard import ConsistencyGuard; ConsistencyGuard();"
        "sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'onnxruntime')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
