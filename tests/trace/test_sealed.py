from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ragguard.errors import IndexFileError
from ragguard.trace import sealed


def a_folder(tmp_path: Path) -> Path:
    with sealed.written_aside(tmp_path) as aside:
        (aside / "a.bin").write_bytes(b"content")
        np.save(aside / "b.npy", np.arange(5))
        sealed.seal(aside, tmp_path / "whole", {"kind": "test"})
    return tmp_path / "whole"


def test_a_sealed_folder_gives_its_facts_back(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    assert sealed.read_seal(folder) == {"kind": "test"}
    sealed.verify(folder)
    assert sealed.open_array(folder / "b.npy", "i").tolist() == [0, 1, 2, 3, 4]
    assert sealed.open_bytes(folder / "a.bin")[:] == b"content"


def test_what_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with sealed.written_aside(tmp_path) as aside:
            (aside / "a.bin").write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"conten", b"content and more"])
def test_another_size_is_found_at_once(tmp_path: Path, content: bytes) -> None:
    folder = a_folder(tmp_path)
    (folder / "a.bin").write_bytes(content)
    with pytest.raises(IndexFileError, match=r"whole/a\.bin has \d+ bytes instead of 7"):
        sealed.read_seal(folder)


def test_a_missing_file_is_found_at_once(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    (folder / "a.bin").unlink()
    with pytest.raises(IndexFileError, match="missing"):
        sealed.read_seal(folder)


def test_other_bytes_of_the_same_size_are_found_by_verifying(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    (folder / "a.bin").write_bytes(b"c0ntent")
    sealed.read_seal(folder)
    with pytest.raises(IndexFileError, match=r"a\.bin was altered"):
        sealed.verify(folder)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "truncated or not JSON"),
        (b'{"facts": {', "truncated or not JSON"),
        (b"[]", "not of a ragguard index"),
        (b'{"facts": {}, "files": {}}', "not of a ragguard index"),
        (b'{"facts": {}, "files": {}, "checksum": "0"}', "altered"),
        (b"\xff\xfe", "truncated or not JSON"),
        (b"[" * 100_000, "truncated or not JSON"),
    ],
)
def test_a_broken_seal_is_a_typed_error(tmp_path: Path, content: bytes, fault: str) -> None:
    folder = a_folder(tmp_path)
    (folder / "seal.json").write_bytes(content)
    with pytest.raises(IndexFileError, match=fault):
        sealed.read_seal(folder)


def test_an_altered_fact_is_a_typed_error(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    body = json.loads((folder / "seal.json").read_text())
    (folder / "seal.json").write_text(json.dumps({**body, "facts": {"kind": "other"}}))
    with pytest.raises(IndexFileError, match="altered"):
        sealed.read_seal(folder)


def test_an_array_of_objects_is_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(IndexFileError, match="not an array"):
        sealed.open_array(tmp_path / "evil.npy", "iufOV")


@pytest.mark.parametrize(
    "array", [np.zeros(3), np.zeros((2, 2), dtype=int), np.array(["text"])], ids=["float", "shape", "text"]
)
def test_another_array_is_a_typed_error(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(IndexFileError, match="not the array"):
        sealed.open_array(tmp_path / "a.npy", "i")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"not an array", b"PK\x03\x04"])
def test_what_is_no_array_is_a_typed_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(IndexFileError):
        sealed.open_array(tmp_path / "a.npy", "i")


def test_empty_arrays_and_files_are_opened_too(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 0), dtype=np.uint64))
    (tmp_path / "b.bin").touch()
    assert sealed.open_array(tmp_path / "a.npy", "u", 2).shape == (2, 0)
    assert sealed.open_bytes(tmp_path / "b.bin") == b""
