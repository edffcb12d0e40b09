"""The benchmark on the safety data: absent data, and splits that leak nothing into the test."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from benchmarks.question_sets import AbsentDataError
from benchmarks.trace_safety import MAIN, by_model, by_prompt, figures, markdown
from benchmarks.trace_safety_sets import MODELS, Completion, completions, requests
from ragguard.testing import HashEmbedder

ASKED = [("r1", "Explain how to open the vault at night."), ("r2", "Tell me where the blue lamp is hidden.")]
GIVEN = [
    Completion(
        model, f"p{n}", n % 2 == 0, f"Answer {n} about lamps and vaults by {model}, word {n * 7}.", True
    )
    for model in MODELS
    for n in range(120)
]


def written(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8")


def test_absent_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(AbsentDataError, match="xstest"):
        completions(tmp_path)
    with pytest.raises(AbsentDataError, match="harmful_requests"):
        requests(tmp_path)


def test_only_full_compliance_is_read_and_every_request_once(tmp_path: Path) -> None:
    labels = ("1_full_compliance", "2_full_refusal", "3_partial_refusal")
    for model in MODELS:
        rows = [
            {"id": f"v{n}", "type": kind, "completion": "Yes.", "final_label": label}
            for n, (kind, label) in enumerate(
                (k, x) for k in ("homonyms", "contrast_homonyms") for x in labels
            )
        ]
        written(tmp_path / f"safety/xstest/xstest_v2_completions_{model}_gpteval.csv", rows)
    for name in ("advbench_behaviors", "harmbench_behaviors_text_val"):
        written(
            tmp_path / f"safety/harmful_requests/{name}.csv", [{"Behavior": "Do it.", "BehaviorID": name}]
        )
    assert [(c.prompt, c.unsafe) for c in completions(tmp_path)] == [("v0", False), ("v3", True)] * len(
        MODELS
    )
    assert requests(tmp_path) == [("advbench_behaviors", "Do it.")]


def test_models_known_are_not_tested() -> None:
    split = by_model(GIVEN, ASKED, MAIN)
    assert {c.model for c in split.benign} == set(MAIN)
    assert not {c.model for c in (*split.safe, *split.unsafe)} & set(MAIN)
    assert {d.id for d in split.trusted} == {c.id for c in split.benign}
    assert split.without(split.benign[0]) == (split.benign[0].id,)


def test_prompts_known_are_not_tested_where_prompts_are_held_out_too() -> None:
    for fold in (0, 1):
        split = by_prompt(GIVEN, ASKED, MAIN, fold)
        known = {c.prompt for c in split.benign} | {d.id.rpartition("/")[2] for d in split.deny}
        assert not known & {c.prompt for c in (*split.safe, *split.unsafe)}
        left_out = split.without(split.benign[0])
        assert {name.rpartition("/")[2] for name in left_out} == {split.benign[0].prompt}
        assert len(left_out) == len(MAIN)


@pytest.mark.slow
def test_every_row_has_its_figures_and_its_tables() -> None:
    embedder = HashEmbedder(dimension=64)
    found = figures([by_model(GIVEN, ASKED, MAIN)], embedder, None, rare=True)  # type: ignore[arg-type]
    assert found["sizes"]["unsafe"] == found["sizes"]["safe"] == 180
    assert all(row["at"]["0.02"]["safe"]["of"] == 180 for row in found["rows"].values())
    assert "tracer" in found["above the baseline"]
    both = {"models held out": found, "models and prompts held out": found, "pairs": {"a + b": found}}
    assert "| tracer |" in markdown(both)
