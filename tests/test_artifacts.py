"""What every artifact shares: two files, checksums, and the comparison of settings."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict

from ragguard.artifacts import content_id, read_artifact, require_same, write_artifact
from ragguard.errors import ArtifactCorruptedError, CalibrationMismatchError, InvalidValueError


class Statement(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    kind: str = "a"
    value: float = 0.5
    settings: dict[str, float] = {}


ARRAYS = {"scores": np.arange(3.0)}


def test_two_artifacts_lie_in_one_folder_and_each_keeps_its_arrays(tmp_path: Path) -> None:
    for name in ("calibration", "other-calibration"):
        write_artifact(
            Statement(value=len(name)), {"scores": np.full(2, len(name))}, tmp_path / f"{name}.json"
        )
    write_artifact(Statement(value=1.0), ARRAYS, tmp_path / "calibration.json")
    assert len(list(tmp_path.iterdir())) == 4
    statement, arrays = read_artifact(Statement, "a", tmp_path / "other-calibration.json")
    assert statement.value == len("other-calibration")
    assert arrays["scores"].tolist() == [17, 17]


def test_another_kind_is_foreign(tmp_path: Path) -> None:
    path = write_artifact(Statement(kind="b"), ARRAYS, tmp_path / "x.json")
    with pytest.raises(ArtifactCorruptedError, match="not a c calibration"):
        read_artifact(Statement, "c", path)


def test_arrays_swapped_for_those_of_another_artifact_are_noticed(tmp_path: Path) -> None:
    one = write_artifact(Statement(), ARRAYS, tmp_path / "x.json")
    write_artifact(Statement(), {"scores": np.zeros(3)}, tmp_path / "y.json")
    next(tmp_path.glob("y-*.npz")).replace(next(tmp_path.glob("x-*.npz")))
    with pytest.raises(ArtifactCorruptedError, match="checksum"):
        read_artifact(Statement, "a", one)


def test_what_json_does_not_have_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError):
        write_artifact(Statement(settings={"a": float("nan")}), ARRAYS, tmp_path / "x.json")


def test_the_id_follows_the_content() -> None:
    assert content_id(Statement()) == content_id(Statement()) != content_id(Statement(value=0.6))


def test_settings_are_compared_at_any_depth_and_differences_named() -> None:
    require_same({"a": {"b": (1, 2)}}, {"a": {"b": [1, 2]}})
    with pytest.raises(CalibrationMismatchError, match=r"a\.b was 1, is 2; c was None, is 3"):
        require_same({"a": {"b": 1}}, {"a": {"b": 2}, "c": 3})
