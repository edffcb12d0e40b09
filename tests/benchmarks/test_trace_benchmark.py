from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.trace import markdown, rounded
from benchmarks.trace_corpora import read, write_answers, write_corpus, write_single, zipf
from benchmarks.trace_engines import exponent
from benchmarks.trace_index import summarise
from benchmarks.trace_process import measured

_WORD = re.compile(r"[^\W_]+")


def count(path: Path) -> list[int]:
    return [len(_WORD.findall(text)) for _, text in read(path)]


def row(engine: str, asked: int, seconds: float, **more: Any) -> dict[str, Any]:
    match = {"median_ms": seconds * 10, "p95_ms": seconds * 20}
    return {
        "engine": engine,
        "text": "one document",
        "asked": asked,
        "tokens": asked,
        "build_seconds": seconds,
        "match": match,
    } | more


# --- texts ----------------------------------------------------------------------------------


def test_zipf_words_become_rarer_as_their_rank_grows() -> None:
    words = " ".join(text for _, text in itertools.islice(zipf(np.random.default_rng(0)), 50)).split()
    tally = sorted((words.count(w) for w in set(words[:200])), reverse=True)
    assert len(words) == 40_000
    assert 0.08 < tally[0] / len(words) < 0.2  # 1 / sum of k**-1.1 up to 200,000 is 0.117
    assert 1.5 < tally[0] / tally[1] < 3  # 2**1.1 is 2.14


@pytest.mark.slow
def test_a_corpus_has_the_tokens_asked_for_from_files_first(tmp_path: Path) -> None:
    counts = write_corpus(tmp_path / "c.jsonl", 20_000, zipf_share=0.25)
    assert sum(count(tmp_path / "c.jsonl")) == 20_000
    assert (counts["sources"], counts["zipf"]) == (15_000, 5_000)
    write_corpus(tmp_path / "again.jsonl", 20_000, zipf_share=0.25)
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "c.jsonl").read_bytes()


@pytest.mark.slow
def test_the_repeated_text_says_one_passage_over_and_over(tmp_path: Path) -> None:
    write_single(tmp_path / "c.jsonl", 1050, repeated=100)
    words = _WORD.findall(next(read(tmp_path / "c.jsonl"))[1])
    assert len(words) == 1050
    assert words[:950] == words[100:]


def test_answers_have_200_tokens_and_runs_of_the_corpus(tmp_path: Path) -> None:
    texts = [text for _, text in itertools.islice(zipf(np.random.default_rng(0)), 5)]
    body = "".join(json.dumps({"id": str(n), "text": text}) + "\n" for n, text in enumerate(texts))
    (tmp_path / "c.jsonl").write_text(body, encoding="utf-8")
    write_answers(tmp_path / "a.jsonl", tmp_path / "c.jsonl", count=30)
    answers = [text for _, text in read(tmp_path / "a.jsonl")]
    runs = {tuple(words[i : i + 6]) for words in map(str.split, texts) for i in range(len(words) - 5)}
    found = 0
    for answer in answers:
        words = answer.split()
        assert len(words) == 200
        found += any(tuple(words[i : i + 6]) in runs for i in range(195))
    assert found >= 28


# --- figures --------------------------------------------------------------------------------


def test_the_exponent_of_a_power_law_is_found_and_one_size_has_none() -> None:
    sizes = [1e3, 1e4, 1e5]
    assert exponent(sizes, [3e-6 * n for n in sizes]) == pytest.approx(1.0)
    assert exponent(sizes, [2e-9 * n**2 for n in sizes]) == pytest.approx(2.0)
    assert exponent([1000, 1000], [1.0, 2.0]) is None


def test_ratios_compare_engines_at_equal_text_and_size() -> None:
    rows = [
        row("reference", 100, 8.0, sort_seconds=6.0),
        row("ours", 100, 2.0),
        row("array", 100, 0.5),
        row("reference", 200, 9.0),
        row("ours", 300, 3.0),
        {"engine": "infini_gram", "text": "one document", "asked": 300, "skipped": "not installed"},
    ]
    found = summarise(rows)
    (ratio,) = found["ratios"]
    assert (ratio["against"], ratio["tokens"]) == ("reference", 100)
    assert ratio["build_times_faster"] == 4.0
    assert ratio["array_times_faster"] == 12.0
    assert ratio["lookup_over_theirs"] == 0.25
    assert found["build_exponents"]["ours, one document"] == pytest.approx(0.369, abs=1e-3)


def test_tables_name_what_failed_and_show_what_did_not() -> None:
    rows = [
        row("reference", 100, 8.0, sort_seconds=6.0, peak_bytes_per_token=40.0),
        row("ours", 100, 2.0),
        {"engine": "reference", "text": "files", "asked": 90_000, "failed": "more than 5 bytes of memory"},
    ]
    text = markdown({"index": {"rows": rows, **summarise(rows)}})
    assert "| reference design | one document | 100 | 8.0 s | 40.0 B | - |" in text
    assert "4.0 times faster" in text
    assert "reference design, files, 90,000 tokens: more than 5 bytes of memory" in text


def test_figures_are_rounded_and_what_is_not_finite_is_none() -> None:
    assert rounded({"a": [1 / 3, float("nan")], "b": 7, "c": (1.0,)}) == {
        "a": [0.333333, None],
        "b": 7,
        "c": [1.0],
    }


# --- processes ------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_reference_design_dies_of_memory_without_taking_the_benchmark_along(tmp_path: Path) -> None:
    write_single(tmp_path / "c.jsonl", 12_000)
    write_answers(tmp_path / "a.jsonl", tmp_path / "c.jsonl", count=2)
    found = measured("reference", tmp_path / "c.jsonl", tmp_path / "a.jsonl", memory=450 << 20)
    assert "memory" in found["failed"]


@pytest.mark.slow
def test_every_answer_has_the_same_matches_here_and_in_infini_gram(tmp_path: Path) -> None:
    pytest.importorskip("infini_gram")
    write_corpus(tmp_path / "c.jsonl", 20_000)
    write_answers(tmp_path / "a.jsonl", tmp_path / "c.jsonl", count=20)
    found = []
    for engine in ("ours", "infini_gram"):
        built = measured(f"{engine}_build", tmp_path / "c.jsonl", tmp_path / engine)
        assert built["peak"] > built["base"] > 0
        found.append(measured(f"{engine}_lookup", tmp_path / engine, tmp_path / "a.jsonl")["spans"])
    assert found[0] == found[1]
    assert sum(map(len, found[0])) > 20
