from __future__ import annotations

import json
from typing import Any

import pytest

from ragguard.corpus.question_validation import validate_questions
from ragguard.corpus.questions import Question
from ragguard.types import Passage, Span

PARTS = ("The mill was built in 1714. ", "It burned down in 1820 and was never rebuilt.")
PASSAGES = [
    Passage(id="mill#0", text=PARTS[0], document="mill", span=Span(start=0, end=len(PARTS[0]))),
    Passage(
        id="mill#1", text=PARTS[1], document="mill", span=Span(start=len(PARTS[0]), end=sum(map(len, PARTS)))
    ),
    Passage(id="bridge", text="The bridge opened in 1903.", document="bridge"),
]


def question(id: str, text: str, relevant: Any = ("bridge",), **given: Any) -> Question:
    return Question(id=id, question=text, relevant=relevant, **given)


def test_a_sound_set_has_nothing_against_it() -> None:
    report = validate_questions(
        [
            question("a", "When could one first cross over the bridge?", answer="in 1903"),
            question("b", "Which year saw the fire?", ("mill",), answer="burned\ndown in 1820"),
            question("c", "Who is the mayor now?", ()),
        ],
        PASSAGES,
    )
    assert report.usable
    assert (report.questions, report.unanswerable) == (3, 1)
    assert report.provenance == {"human": 3}
    nothing = (
        report.duplicates,
        report.unlocated,
        report.answers_not_found,
        report.too_short,
        report.pointing,
    )
    assert nothing == ((), (), (), (), ())
    assert set(report.overlaps) == {"a", "b"}


def test_every_finding_is_named_by_id() -> None:
    report = validate_questions(
        [
            question("a", "When did the bridge open?"),
            question("b", "when  did the bridge open"),
            question("gone", "Where is the harbour now?", ("harbour", "bridge")),
            question("lost", "When was it built again?", ("mill",)),
            question("wrong", "When did the crossing open?", answer="in 1999"),
            question("short", "Bridge when?"),
            question("points", "What does the passage say of 1903?"),
            question("bare", "Does anyone know this one?", None),
        ],
        PASSAGES,
    )
    assert not report.usable
    assert report.duplicates == (("a", "b"),)
    assert report.unknown == {"gone": ("harbour",)}
    assert report.unlocated == ("lost",)
    assert report.answers_not_found == ("wrong",)
    assert report.too_short == ("short",)
    assert report.pointing == ("points",)
    assert report.unlabelled == ("bare",)


def test_overlap_is_the_largest_of_the_relevant_passages_and_told_by_provenance() -> None:
    report = validate_questions(
        [
            question("same", "When was the mill built?", ("mill#0", "bridge"), provenance="synthetic"),
            question("half", "Which bridge has towers?"),
            question("none", "When could people cross the river?"),
        ],
        PASSAGES,
    )
    assert report.overlaps == {"same": 1.0, "half": 0.5, "none": 0.0}
    everything = report.overlap["all"]
    assert (everything.count, everything.mean, everything.max) == (3, 0.5, 1.0)
    assert everything.share_high == pytest.approx(2 / 3)
    assert report.overlap["synthetic"].mean == 1.0
    assert report.overlap["human"].mean == 0.25


def test_the_report_is_ready_for_json_and_quotes_nothing() -> None:
    report = validate_questions([question("a", "Which secret bridge is pink?", answer="nowhere")], PASSAGES)
    line = json.dumps(report.to_dict(), allow_nan=False)
    assert json.loads(line)["usable"] is True
    assert "secret" not in line
    assert "nowhere" not in line


def test_an_empty_set_has_no_mean() -> None:
    report = validate_questions([], PASSAGES)
    assert report.overlap["all"].mean is None
    assert json.dumps(report.to_dict(), allow_nan=False)
