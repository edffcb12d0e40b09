from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ragguard.conformal.artifact import FILE_NAME, Artifact, Category, load_artifact, save_artifact
from ragguard.conformal.calibration import Calibration
from ragguard.conformal.scores import SCORES
from ragguard.errors import ArtifactCorruptedError, InvalidValueError
from tests.conformal.populations import NOW, artifact, examples

ARRAYS = {"tops": np.linspace(0.1, 0.9, 40)}

FINITE = st.floats(allow_nan=False, allow_infinity=False)
LEVEL = st.floats(0.001, 0.999)
TEXT = st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | FINITE | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
ARTIFACTS = st.builds(
    Artifact,
    created=st.just(NOW),
    expires=st.integers(1, 10_000).map(lambda d: NOW + timedelta(days=d)),
    alpha=LEVEL,
    delta=st.none() | LEVEL,
    target=st.sampled_from(["any", "all", "recall"]),
    n=st.integers(1, 10**6),
    score=st.sampled_from(SCORES),
    parameters=st.dictionaries(TEXT, FINITE, max_size=2),
    cap=st.none() | st.integers(1, 100),
    categories=st.dictionaries(
        TEXT,
        st.builds(
            Category, threshold=FINITE, n=st.integers(1, 99), members=st.lists(TEXT, max_size=2).map(tuple)
        ),
        min_size=1,
        max_size=3,
    ),
    upstream=st.lists(TEXT, max_size=2).map(tuple),
    fingerprints=st.dictionaries(TEXT, JSON, max_size=3),
    informative=st.dictionaries(TEXT, JSON, max_size=3),
)


def saved(folder: Path, **changes: Any) -> Path:
    return save_artifact(artifact(**changes), ARRAYS, folder)


def arrays_file(folder: Path) -> Path:
    (found,) = folder.glob("*.npz")
    return found


def rewritten(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the JSON and make its checksum match, as a forger would."""
    path = folder / FILE_NAME
    body = json.loads(path.read_text(encoding="utf-8"))
    body.pop("checksum")
    change(body)
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    body["checksum"] = hashlib.sha256(canonical.encode()).hexdigest()
    path.write_text(json.dumps(body, ensure_ascii=False), encoding="utf-8")


# --- round trip --------------------------------------------------------------------------


@examples(30)
@given(ARTIFACTS, st.lists(st.floats(allow_nan=False), max_size=5))
def test_what_is_saved_is_loaded(tmp_path: Path, written: Artifact, tops: list[float]) -> None:
    save_artifact(written, {"tops": np.array(tops), "passages": np.arange(3, dtype=np.uint64)}, tmp_path)
    read, arrays = load_artifact(tmp_path)
    assert read == written
    assert read.id == written.id
    assert arrays["tops"].tolist() == tops
    assert arrays["passages"].dtype == np.uint64


def test_the_id_follows_the_content() -> None:
    assert artifact(0.5).id == artifact(0.5).id != artifact(0.6).id


def test_saving_again_replaces_both_files_and_leaves_nothing_behind(tmp_path: Path) -> None:
    saved(tmp_path)
    before = arrays_file(tmp_path).name
    save_artifact(artifact(0.7), {"tops": np.zeros(3)}, tmp_path)
    assert arrays_file(tmp_path).name != before
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([FILE_NAME, arrays_file(tmp_path).name])
    read, arrays = load_artifact(tmp_path)
    assert read.categories[""].threshold == 0.7
    assert arrays["tops"].tolist() == [0, 0, 0]


def test_other_files_of_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "questions.jsonl").write_text("{}", encoding="utf-8")
    (tmp_path / "index.npz").write_bytes(b"other")
    saved(tmp_path)
    saved(tmp_path)
    assert {"questions.jsonl", "index.npz"} <= {p.name for p in tmp_path.iterdir()}


# --- a kill while saving -----------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("halfway", ["replace", "fsync"])
def test_a_kill_between_the_writes_leaves_the_old_calibration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, halfway: str
) -> None:
    saved(tmp_path)
    old = load_artifact(tmp_path)[0]
    calls = 0

    def dies(*args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == step:
            raise KeyboardInterrupt
        if halfway == "replace":
            kept(*args)

    target, kept = (Path, Path.replace) if halfway == "replace" else ("ragguard.artifacts.os.fsync", None)
    with monkeypatch.context() as patch:
        if isinstance(target, str):
            patch.setattr(target, dies)
        else:
            patch.setattr(target, "replace", dies)
        with pytest.raises(KeyboardInterrupt):
            save_artifact(artifact(0.9), {"tops": np.ones(9)}, tmp_path)
    found, arrays = load_artifact(tmp_path)
    assert found == old
    np.testing.assert_array_equal(arrays["tops"], ARRAYS["tops"])
    save_artifact(artifact(0.9), {"tops": np.ones(9)}, tmp_path)
    assert load_artifact(tmp_path)[0].categories[""].threshold == 0.9


def test_a_kill_before_the_old_arrays_are_removed_leaves_the_new_calibration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path)

    def dies(self: Path, missing_ok: bool = False) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", dies)
        with pytest.raises(KeyboardInterrupt):
            save_artifact(artifact(0.9), {"tops": np.ones(9)}, tmp_path)
    assert load_artifact(tmp_path)[0].categories[""].threshold == 0.9


# --- corruption --------------------------------------------------------------------------


def test_every_flipped_byte_of_the_arrays_is_noticed(tmp_path: Path) -> None:
    saved(tmp_path)
    path = arrays_file(tmp_path)
    good = path.read_bytes()
    for position in range(len(good)):
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        with pytest.raises(ArtifactCorruptedError):
            load_artifact(tmp_path)


@pytest.mark.parametrize(("mask", "step"), [(0x01, 1), (0x10, 9), (0xFF, 9)])
def test_every_flipped_byte_of_the_json_is_noticed(tmp_path: Path, mask: int, step: int) -> None:
    saved(tmp_path, fingerprints={"embedder": "mini", "é": 7})
    path = tmp_path / FILE_NAME
    good = path.read_bytes()
    for position in range(0, len(good), step):
        path.write_bytes(good[:position] + bytes([good[position] ^ mask]) + good[position + 1 :])
        with pytest.raises(ArtifactCorruptedError):
            load_artifact(tmp_path)


@examples(60)
@given(st.data(), st.integers(0, 255))
def test_any_replaced_byte_is_noticed_or_changes_nothing(
    tmp_path: Path, data: st.DataObject, byte: int
) -> None:
    # "Nothing" is another whitespace between two values, or a digit beyond what a float holds.
    saved(tmp_path)
    path = tmp_path / FILE_NAME
    good, meant = path.read_bytes(), load_artifact(tmp_path)[0]
    position = data.draw(st.integers(0, len(good) - 1))
    path.write_bytes(good[:position] + bytes([byte]) + good[position + 1 :])
    try:
        found = load_artifact(tmp_path)[0]
    except ArtifactCorruptedError:
        return
    assert found == meant


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_truncated_files_are_noticed(tmp_path: Path, share: float) -> None:
    saved(tmp_path)
    for path in (tmp_path / FILE_NAME, arrays_file(tmp_path)):
        good = path.read_bytes()
        # The newline at the end is not content.
        path.write_bytes(good[: int(share * (len(good) - 1))])
        with pytest.raises(ArtifactCorruptedError, match=path.name):
            load_artifact(tmp_path)
        path.write_bytes(good)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"3", b"null", b"{}", b'{"a": 1}', b"\xff\xfe", b"[" * 100_000]
)
def test_foreign_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(ArtifactCorruptedError, match="cannot be used"):
        load_artifact(tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactCorruptedError, match=FILE_NAME):
        load_artifact(tmp_path)
    saved(tmp_path)
    path = arrays_file(tmp_path)
    path.unlink()
    with pytest.raises(ArtifactCorruptedError, match=path.name):
        Calibration.load(tmp_path)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_schema_version_is_named(tmp_path: Path, version: object) -> None:
    saved(tmp_path)
    rewritten(tmp_path, lambda body: body.update(schema_version=version))
    with pytest.raises(ArtifactCorruptedError, match=f"schema version is {version!r}, known is 1"):
        load_artifact(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [{"alpha": 1.5}, {"target": "some"}, {"extra": 1}, {"n": "many"}, {"categories": {"": {"n": 1}}}],
)
def test_a_forged_field_is_refused_by_its_name(tmp_path: Path, changes: dict[str, Any]) -> None:
    saved(tmp_path)
    rewritten(tmp_path, lambda body: body.update(changes))
    with pytest.raises(ArtifactCorruptedError, match=next(iter(changes))):
        load_artifact(tmp_path)


@pytest.mark.parametrize(
    "name", ["../x.npz", "sub/x.npz", "/etc/passwd", "..", ".", "", "a\0b", "x" * 5000, None, 3, ["x.npz"]]
)
def test_the_arrays_lie_in_the_folder_or_nowhere(tmp_path: Path, name: object) -> None:
    folder = tmp_path / "sub"
    saved(folder)
    data = arrays_file(folder).read_bytes()
    (tmp_path / "x.npz").write_bytes(data)
    (folder / "sub").mkdir()
    (folder / "sub" / "x.npz").write_bytes(data)
    rewritten(folder, lambda body: body["arrays"].update(file=name))
    with pytest.raises(ArtifactCorruptedError):
        load_artifact(folder)


def test_arrays_must_be_named(tmp_path: Path) -> None:
    for value in (None, "x", {}):
        saved(tmp_path)
        rewritten(tmp_path, lambda body, value=value: body.update(arrays=value))
        with pytest.raises(ArtifactCorruptedError, match="does not name its arrays file"):
            load_artifact(tmp_path)


def npz(**arrays: Any) -> bytes:
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    return packed.getvalue()


def npy(array: np.ndarray, *, pickled: bool = False) -> bytes:
    packed = io.BytesIO()
    np.save(packed, array, allow_pickle=pickled)
    return packed.getvalue()


def zipped(name: str, content: bytes) -> bytes:
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, content)
    return packed.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        npz(tops=np.array([{"a": 1}, None], dtype=object)),
        npy(np.array([{"a": 1}], dtype=object), pickled=True),
        npy(np.zeros(3)),
        zipped("tops.npy", b"not an array"),
        zipped("tops", b"cos\nsystem\n(S'true'\ntR."),
        b"",
        b"PK\x03\x04 broken",
    ],
    ids=["object array", "pickle", "bare npy", "no npy inside", "pickle inside", "empty", "broken zip"],
)
def test_only_plain_arrays_are_read(tmp_path: Path, content: bytes) -> None:
    saved(tmp_path)
    arrays_file(tmp_path).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    rewritten(tmp_path, lambda body: body["arrays"].update(sha256=digest))
    with pytest.raises(ArtifactCorruptedError, match="not an npz file of plain arrays"):
        load_artifact(tmp_path)


# --- numbers that JSON does not have -----------------------------------------------------


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_no_threshold_is_infinite(tmp_path: Path, number: float) -> None:
    with pytest.raises(ValidationError):
        Category(threshold=number, n=3)
    with pytest.raises(ValidationError):
        artifact(effective_size=number)
    saved(tmp_path)
    for text in (repr(number).replace("nan", "NaN").replace("inf", "Infinity"), "1e999"):
        good = (tmp_path / FILE_NAME).read_text(encoding="utf-8")
        (tmp_path / FILE_NAME).write_text(
            good.replace('"threshold": 0.5', f'"threshold": {text}'), encoding="utf-8"
        )
        with pytest.raises(ArtifactCorruptedError):
            load_artifact(tmp_path)
        (tmp_path / FILE_NAME).write_text(good, encoding="utf-8")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_the_file_is_json_even_for_a_fingerprint_that_is_no_number(tmp_path: Path, number: float) -> None:
    def no_constant(name: str) -> float:
        raise AssertionError(name)

    saved(tmp_path, fingerprints={"a": number, "b": [{"c": number}]})
    json.loads((tmp_path / FILE_NAME).read_text(encoding="utf-8"), parse_constant=no_constant)
    load_artifact(tmp_path)


def test_a_fingerprint_that_is_no_json_value_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    saved(tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(InvalidValueError, match="cannot be written as JSON"):
        saved(tmp_path, fingerprints={"a": object()})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
