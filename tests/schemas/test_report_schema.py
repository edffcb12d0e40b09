from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from ragguard.pipeline import Pipeline
from ragguard.types import (
    Action,
    Certificate,
    Claim,
    ErrorInfo,
    Evidence,
    Passage,
    Reason,
    Report,
    Span,
    Stage,
    Turn,
    Verdict,
)
from scripts.report_schema import PATH, report_schema

TURN = Turn(
    question="Which module reads TOML?",
    passages=(Passage(id="tomllib", text="tomllib parses TOML.", score=0.8, span=Span(start=0, end=20)),),
    answer="tomllib does.",
    metadata={"group": "standard library"},
)


class Says:
    """A guard that gives one verdict, or fails."""

    def __init__(self, stage: Stage, verdict: Verdict | Exception) -> None:
        self.name = f"says-{stage}"
        self.stages = frozenset({stage})
        self.verdict = verdict

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        return self.check(turn, stage)


def verdict(stage: Stage, action: Action, reason: Reason = Reason.OK, **fields: Any) -> Verdict:
    return Verdict(guard=f"says-{stage}", stage=stage, action=action, reason=reason, **fields)


CUT = verdict(
    Stage.PASSAGES,
    Action.REVISE,
    revised=TURN.replace(passages=()),
    dropped=("tomllib",),
    score=0.2,
    threshold=0.4,
    certificate=Certificate(status="valid", statement="It was kept.", alpha=0.1, n=200),
)
UNSUPPORTED = verdict(
    Stage.ANSWER,
    Action.REFUSE,
    Reason.UNSUPPORTED_ANSWER,
    error=ErrorInfo(type="GuardError", code="guard_error"),
    evidence=(Evidence(claim=Claim(text="tomllib does.", span=Span(start=0, end=13)), outcome="not_found"),),
)


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return dict(json.loads(PATH.read_text(encoding="utf-8")))


def test_the_published_file_is_the_models_schema(schema: dict[str, Any]) -> None:
    assert schema == report_schema(), "run `make schema`; does the change need a new REPORT_SCHEMA_VERSION?"


def test_the_published_file_is_a_schema(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    "guards",
    [
        [],
        [Says(Stage.PASSAGES, CUT)],
        [Says(Stage.QUESTION, verdict(Stage.QUESTION, Action.ABSTAIN, Reason.NOVEL_QUESTION))],
        [Says(Stage.ANSWER, UNSUPPORTED)],
        [Says(Stage.ANSWER, RuntimeError("it broke"))],
    ],
    ids=["no guard", "revise", "abstain", "refuse", "failure"],
)
def test_what_the_loop_reports_validates(schema: dict[str, Any], guards: list[Says]) -> None:
    report = Pipeline(guards).check(TURN)
    jsonschema.validate(json.loads(report.model_dump_json()), schema)
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_a_field_that_is_not_ours_is_noticed(schema: dict[str, Any]) -> None:
    document = {**json.loads(Pipeline([]).check(TURN).model_dump_json()), "verdict": "fine"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)
