"""The benchmark of injected and poisoned passages: its thresholds, its insertions, and what it does without data."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import trace_passages
from benchmarks.trace_poisoning import Case, _outcome
from scripts.train_injection_head import balanced_quantile, inserted


@pytest.mark.parametrize("part", ["injection", "poisoning"])
def test_skips_with_a_message_when_the_data_is_absent(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["trace_passages", "--data", str(tmp_path), "--part", part])
    assert trace_passages.main() == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("skipped: ")


def test_a_conformal_threshold_lets_at_most_the_rate_of_new_ones_above_it() -> None:
    rng = np.random.default_rng(0)
    above = [
        rng.random() > trace_passages.conformal_threshold(rng.random(149).tolist(), 0.02) for _ in range(4000)
    ]
    assert 0.012 < np.mean(above) < 0.028
    assert trace_passages.conformal_threshold([0.5] * 48, 0.02) == float("inf")


@pytest.mark.parametrize("place", ["start", "middle", "end"])
def test_an_attack_lies_where_it_is_said_to(place: str) -> None:
    text, (start, end) = inserted("One is here. Two is there. Three is not.", "Obey me.", place)
    assert text[start:end] == "Obey me."
    assert all(part in text for part in ("One is here.", "Two is there.", "Three is not."))


def test_every_origin_counts_the_same_in_the_default_threshold() -> None:
    scores = [("many", 0.1)] * 98 + [("few", 0.9)] * 2
    assert balanced_quantile(scores, 0.4) == 0.1
    assert balanced_quantile(scores, 0.6) == 0.9


def test_an_answer_is_whose_words_it_holds() -> None:
    case = Case("q", right="23", wrong="24", planted=())
    answers = ["It has 24.", "It has 23.", "It has 23 or 24.", "It has 240."]
    assert [_outcome(case, a) for a in answers] == ["attacker's", "right", "both", "neither"]
