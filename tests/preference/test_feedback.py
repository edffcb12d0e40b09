"""What is recorded of rated answers, and that it survives files, crashes and being imported twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from ragguard.errors import UnreadableFileError
from ragguard.preference.feedback import (
    FeedbackLog,
    FeedbackRecord,
    ShownPassage,
    read_feedback,
    write_feedback,
)


def record_of(
    name: str,
    passages: str = "abc",
    *,
    cited: str = "",
    rating: str | None = "up",
    question: str = "What is it?",
    reader: str = "reader-1",
    propensities: tuple[float | None, ...] | None = None,
    **more: object,
) -> FeedbackRecord:
    shown = tuple(
        ShownPassage(
            id=p,
            text=f"text {p}",
            position=i + 1,
            propensity=None if propensities is None else propensities[i],
        )
        for i, p in enumerate(passages)
    )
    return FeedbackRecord(
        id=name,
        question=question,
        passages=shown,
        cited=tuple(cited),
        rating=rating,  # type: ignore[arg-type]
        reader=reader,
        **more,  # type: ignore[arg-type]
    )


def test_records_survive_a_file(tmp_path: Path) -> None:
    records = [record_of("1", cited="a"), record_of("2", rating=None, propensities=(1.0, 0.5, None))]
    assert write_feedback(tmp_path / "f.jsonl", records) == 2
    assert read_feedback(tmp_path / "f.jsonl") == records


def test_a_record_imported_twice_counts_once(tmp_path: Path) -> None:
    log = FeedbackLog(tmp_path / "deep" / "log.jsonl")
    assert log.add([record_of("1"), record_of("2")]) == 2
    assert log.add([record_of("2", rating="down"), record_of("3")]) == 1
    again = FeedbackLog(tmp_path / "deep" / "log.jsonl")
    assert len(again) == 3
    assert [r.rating for r in again.records()] == ["up", "up", "up"]


def test_a_line_that_a_killed_process_left_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    FeedbackLog(path).add([record_of("1")])
    with path.open("a", encoding="utf-8") as file:
        file.write('{"id": "2", "quest')
    assert [r.id for r in FeedbackLog(path).records()] == ["1"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"cited": ("z",)},
        {"passages": ()},
        {"rating": "five stars"},
        {
            "passages": (
                ShownPassage(id="a", text="x", position=1),
                ShownPassage(id="b", text="y", position=1),
            )
        },
    ],
)
def test_refuses_what_cannot_have_happened(wrong: dict[str, object]) -> None:
    fields = record_of("1").model_dump() | wrong
    with pytest.raises(ValidationError):
        FeedbackRecord.model_validate(fields)


@pytest.mark.parametrize("propensity", [0.0, -0.1, 1.5, float("nan")])
def test_a_propensity_is_a_probability_above_zero(propensity: float) -> None:
    with pytest.raises(ValidationError):
        ShownPassage(id="a", text="x", position=1, propensity=propensity)


def test_a_line_that_does_not_fit_is_named_without_its_text(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text('{"id": "1", "question": "swordfish", "rating": "up", "reader": "r"}\n', encoding="utf-8")
    with pytest.raises(UnreadableFileError, match=r"line 1.*passages") as raised:
        read_feedback(path)
    assert "swordfish" not in str(raised.value)
