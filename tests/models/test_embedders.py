from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from ragguard.errors import (
    ConfigurationError,
    InvalidValueError,
    InvalidVectorError,
    UnknownNameError,
    UnreadableFileError,
)
from ragguard.models import bundled
from ragguard.models.batches import shaped_batches
from ragguard.models.bundled import BUNDLED_SHA256, bundled_folder, require_sha256, weights_file
from ragguard.models.cpu import has_bfloat16
from ragguard.models.embedders import LangChainEmbedder, SentenceTransformerEmbedder, load_embedder
from ragguard.models.vectors import unit_vectors
from ragguard.protocols import Embedder

BUNDLED = SentenceTransformerEmbedder()
TEXTS = ["tea is hot", "", "a long one " * 200, "\ud800 odd", *("word " * i for i in range(1, 40))]


def test_agrees_with_sentence_transformers_for_every_length() -> None:
    from sentence_transformers import SentenceTransformer

    texts = [t for t in TEXTS if "odd" not in t]
    reference = SentenceTransformer(str(bundled_folder()), device="cpu", local_files_only=True)
    expected = reference.encode(texts, normalize_embeddings=True)
    np.testing.assert_allclose(BUNDLED.embed_passages(texts), expected, atol=2e-6)


def test_gives_unit_float32_vectors_and_tells_progress() -> None:
    told: list[tuple[str, int, int]] = []
    vectors = BUNDLED.embed_passages(TEXTS, progress=lambda *args: told.append(args))
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), BUNDLED.dimension)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert told[-1] == ("embedding", len(TEXTS), len(TEXTS))
    assert BUNDLED.embed_queries([]).shape == (0, 384)
    assert isinstance(BUNDLED, Embedder)


def test_token_spans_are_uncut_offsets_of_the_original() -> None:
    text = "Tea costs 5.50 €, " * 100
    spans = BUNDLED.token_spans(text)
    assert len(spans) > BUNDLED.max_tokens
    assert [text[a:b] for a, b in spans[:4]] == ["Tea", "costs", "5", "."]


def test_batches_have_few_shapes_and_hold_every_text_once() -> None:
    shapes: set[tuple[int, int]] = set()
    for count in range(0, 400, 7):
        lengths = np.random.default_rng(count).integers(2, 257, count).tolist()
        seen: list[int] = []
        for chosen, rows, length in shaped_batches(lengths, batch_tokens=8192, max_tokens=256):
            assert len(chosen) <= rows
            assert max(lengths[i] for i in chosen) <= length
            assert length % 32 == 0
            shapes.add((rows, length))
            seen += chosen
        assert sorted(seen) == list(range(count))
    assert len(shapes) <= 4 * 8


def test_several_threads_load_once_and_agree() -> None:
    embedder = SentenceTransformerEmbedder()
    found: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: found.append(embedder.embed_queries(["tea"]))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(np.allclose(one, found[0], atol=1e-6) for one in found)


def test_fingerprint_names_weights_pooling_backend_and_dtype() -> None:
    assert BUNDLED.fingerprint() == {
        "name": "all-MiniLM-L6-v2",
        "weights_sha256": BUNDLED_SHA256,
        "pooling": "mean",
        "normalised": True,
        "max_tokens": 256,
        "prompts": ["", ""],
        "backend": "torch-cpu",
        "dtype": "float32",
    }


def test_a_model_in_a_folder_is_the_bundled_one_by_its_weights() -> None:
    other = load_embedder(str(bundled_folder()))
    assert other.fingerprint()["weights_sha256"] == BUNDLED_SHA256
    np.testing.assert_allclose(other.embed_queries(["tea"]), BUNDLED.embed_queries(["tea"]), atol=1e-6)


def test_bfloat16_is_near_float32_where_the_cpu_has_it() -> None:
    half = load_embedder({"model": "bundled", "dtype": "bfloat16"})
    if not has_bfloat16():
        with pytest.raises(InvalidValueError, match="bfloat16"):
            half.warm_up()
        return
    similarity = (half.embed_queries(TEXTS) * BUNDLED.embed_queries(TEXTS)).sum(axis=1)
    assert similarity.min() > 0.995
    assert half.fingerprint()["dtype"] == "bfloat16"


def test_a_model_that_is_not_here_is_refused_without_a_network() -> None:
    with pytest.raises(InvalidValueError, match="nobody/no-such-model"):
        SentenceTransformerEmbedder("nobody/no-such-model").warm_up()


def test_folders_that_hold_no_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="safetensors"):
        SentenceTransformerEmbedder(str(tmp_path)).warm_up()
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(InvalidValueError, match="could not be loaded"):
        SentenceTransformerEmbedder(str(tmp_path)).warm_up()


def test_altered_bundled_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_sha256(weights_file(bundled_folder()), BUNDLED_SHA256)
    copy = tmp_path / "model"
    shutil.copytree(bundled_folder(), copy)
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    monkeypatch.setattr(bundled, "bundled_folder", lambda: copy)
    with pytest.raises(UnreadableFileError, match="sha256"):
        SentenceTransformerEmbedder().warm_up()


def test_settings_out_of_range_are_refused_at_once() -> None:
    with pytest.raises(InvalidValueError, match="int8"):
        SentenceTransformerEmbedder(dtype="int8")
    with pytest.raises(InvalidValueError, match="batch_tokens"):
        SentenceTransformerEmbedder(batch_tokens=0)
    with pytest.raises(UnknownNameError, match="modle"):
        load_embedder({"modle": "bundled"})
    with pytest.raises(InvalidValueError, match="type int"):
        BUNDLED.embed_queries([5])  # type: ignore[list-item]


def test_zeros_nan_and_infinity_are_no_directions() -> None:
    for bad in (0.0, np.nan, np.inf):
        with pytest.raises(InvalidVectorError, match="1 of 2"):
            unit_vectors(np.array([[1.0, 0.0], [bad, 0.0]], dtype=np.float32), source="x")


class Doubling:
    """What LangChain calls an Embeddings object."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return [3.0, 4.0 * len(text), 0.0] if text != "bad" else [float("nan")] * 3


def test_a_langchain_object_is_normalised_and_named() -> None:
    embedder = LangChainEmbedder(Doubling(), name="doubling-1")
    assert isinstance(embedder, Embedder)
    assert embedder.dimension == 3
    np.testing.assert_allclose(embedder.embed_passages(["x"]), [[0.6, 0.8, 0.0]], atol=1e-6)
    assert embedder.embed_passages([]).shape == (0, 3)
    assert embedder.fingerprint()["name"] == "doubling-1"
    assert embedder.token_spans("two words") == [(0, 3), (4, 9)]
    with pytest.raises(InvalidVectorError, match="doubling-1"):
        embedder.embed_queries(["bad"])
    with pytest.raises(InvalidValueError, match="embed_documents"):
        LangChainEmbedder(object(), name="x")
    with pytest.raises(InvalidValueError, match="name"):
        LangChainEmbedder(Doubling(), name="")
