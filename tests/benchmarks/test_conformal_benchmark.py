from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import conformal
from benchmarks.conformal_checks import checks
from benchmarks.conformal_tables import markdown
from benchmarks.published import cutoffs, expected_coverage, published_splits
from benchmarks.question_sets import (
    AbsentDataError,
    Question,
    answer_span,
    cranfield,
    hotpotqa,
    load,
    merged,
    musique,
    policyqa,
    split_documents,
    squad,
)
from benchmarks.recall_report import published_recall_cell, recall_cell
from benchmarks.set_report import capped
from benchmarks.splits_report import agreement, below_in_population, below_in_test, cell, pac_cell, shift
from ragguard.conformal.observations import Observation
from ragguard.conformal.ranks import conformal_rank
from ragguard.conformal.scores import make_score
from ragguard.conformal.thresholds import find_threshold
from ragguard.protocols import FloatArray, Progress

ROOT = Path(__file__).resolve().parents[2]


class Words:
    """An embedder for chunking: a token is a word, and no vector is ever asked for."""

    dimension = 2
    max_tokens = 256

    def embed_passages(self, texts: Sequence[str], /, *, progress: Progress | None = None) -> FloatArray:
        raise NotImplementedError

    def embed_queries(self, texts: Sequence[str], /) -> FloatArray:
        raise NotImplementedError

    def token_spans(self, text: str, /) -> list[tuple[int, int]]:
        spans, start = [], 0
        for word in text.split():
            start = text.index(word, start)
            spans.append((start, start + len(word)))
            start += len(word)
        return spans

    def fingerprint(self) -> dict[str, Any]:
        return {"name": "words"}


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def uniform_pool(count: int, seed: int, *, depth: int = 200, clusters: int = 10) -> list[Observation]:
    """Questions whose first relevant passage has a uniform distance to the question."""
    rng = np.random.default_rng(seed)
    pool = []
    for i in range(count):
        similarities = np.sort(rng.random(depth))[::-1]
        place = int(rng.integers(0, depth))
        pool.append(Observation(f"q{i}", similarities, (place,), cluster=f"c{i % clusters}"))
    return pool


# --- the published rule ------------------------------------------------------------------


def test_cutoffs_are_numpys_percentiles_of_the_questions_not_dropped() -> None:
    rng = np.random.default_rng(0)
    distances = rng.random((50, 23))
    distances[rng.random((50, 23)) < 0.2] = np.inf
    for alpha in (0.2, 0.1, 0.05):
        expected = [np.percentile(row[np.isfinite(row)], 100 * (1 - alpha)) for row in distances]
        np.testing.assert_allclose(cutoffs(distances, alpha), expected, rtol=1e-12)


def test_no_cutoff_without_a_question_left() -> None:
    assert np.isnan(cutoffs(np.full((1, 5), np.inf), 0.1)).all()


@pytest.mark.parametrize(("n", "alpha"), [(20, 0.1), (20, 0.2), (50, 0.05)])
def test_the_published_cutoff_covers_uniform_scores_as_its_law_says(n: int, alpha: float) -> None:
    # On uniform scores the coverage of a cut-off is the cut-off itself.
    coverage = cutoffs(np.random.default_rng(1).random((20_000, n)), alpha)
    error = coverage.std(ddof=1) / np.sqrt(len(coverage))
    assert abs(coverage.mean() - expected_coverage(n, alpha)) < 4 * error
    assert coverage.mean() + 4 * error < 1 - alpha
    # The rank of the theory holds on the very same draws.
    assert conformal_rank(n, alpha) / (n + 1) >= 1 - alpha


def test_the_published_law_at_twenty_questions_is_that_of_the_direct_sum() -> None:
    # Position 19 * 0.9 = 17.1 from 0: nine tenths of the 18th and one tenth of the 19th smallest.
    assert expected_coverage(20, 0.1) == pytest.approx(0.9 * 18 / 21 + 0.1 * 19 / 21)


def test_published_splits_equal_a_plain_loop() -> None:
    pool = uniform_pool(40, 2, depth=150)
    found = published_splits(pool, n=15, alpha=0.1, splits=7, rng=np.random.default_rng(3))
    chosen = np.random.default_rng(3).random((7, 40)).argpartition(15, axis=1)[:, :15]
    for r, calibration in enumerate(chosen):
        first = [
            1 - pool[i].similarities[pool[i].positions[0]] for i in calibration if pool[i].positions[0] < 100
        ]
        limit = np.percentile(first, 90)
        tested = [o for i, o in enumerate(pool) if i not in set(calibration)]
        kept = [int((1 - o.similarities < limit).sum()) for o in tested]
        hit = [o.positions[0] < k for o, k in zip(tested, kept, strict=True)]
        assert found.coverage[r] == pytest.approx(np.mean(hit))
        assert found.passages[r] == pytest.approx(np.mean(kept))


def test_the_published_rule_loses_the_boundary_passage_and_ours_keeps_it() -> None:
    pool = [Observation(f"q{i}", np.array([0.5, 0.25]), (0,)) for i in range(30)]
    found = published_splits(pool, n=10, alpha=0.2, splits=3, rng=np.random.default_rng(0))
    assert found.coverage.max() == 0.0
    assert find_threshold(pool, make_score("cosine"), alpha=0.2).value == 0.5


def test_the_published_rule_is_judged_by_the_target_of_the_set() -> None:
    pool = [Observation(f"q{i}", np.array([0.9 - i / 1000, 0.5, 0.1]), (0, 2)) for i in range(60)]
    kwargs: dict[str, Any] = {"n": 30, "alpha": 0.2, "splits": 5}
    found = published_splits(pool, rng=np.random.default_rng(0), target="all", **kwargs)
    assert found.coverage.max() == 0.0
    assert found.coverage_any.min() > 0.4
    shares = published_splits(pool, rng=np.random.default_rng(0), target="recall", **kwargs)
    np.testing.assert_allclose(shares.coverage, found.coverage_any / 2)


# --- the laws beside the figures ---------------------------------------------------------


def test_a_cell_agrees_with_the_law_without_ties() -> None:
    pool = uniform_pool(300, 4)
    row = cell(pool, "cosine", make_score("cosine"), n=20, alpha=0.1, splits=2000, seed=0, target="any")
    assert row["verdict"] == "within"
    assert row["expected"] == pytest.approx(19 / 21)


def test_a_cell_says_which_size_has_no_rank() -> None:
    pool = uniform_pool(60, 5)
    row = cell(pool, "rank", make_score("rank"), n=10, alpha=0.05, splits=10, seed=0, target="any")
    assert "at least 19 are needed" in row["skipped"]


def test_agreement_tells_ties_from_defects() -> None:
    assert agreement(0.91, 0.90, 0.003) == "within"
    assert agreement(0.95, 0.90, 0.003) == "above"
    assert agreement(0.85, 0.90, 0.003) == "below"


def test_the_population_law_is_simulated_right() -> None:
    rng = np.random.default_rng(6)
    size, n, rank, alpha = 200, 50, 48, 0.1
    draws = np.sort(rng.integers(0, size, size=(40_000, n)), axis=1)[:, rank - 1]
    below = np.mean((draws + 1) / size < 1 - alpha - 1e-12)
    law = below_in_population(size, n, rank, alpha)
    assert abs(below - law) < 4 * np.sqrt(law / 40_000)


def test_the_test_law_is_simulated_right() -> None:
    rng = np.random.default_rng(7)
    tested, n, rank, alpha = 60, 50, 48, 0.1
    covered = rng.binomial(tested, rng.beta(rank, n + 1 - rank, size=40_000))
    below = np.mean(covered < (1 - alpha) * tested - 1e-9)
    law = below_in_test(tested, n, rank, alpha)
    assert abs(below - law) < 4 * np.sqrt(law / 40_000)


def test_training_conditional_splits_miss_at_most_delta() -> None:
    pool = uniform_pool(400, 8)
    row = pac_cell(
        pool, "cosine", make_score("cosine"), n=100, alpha=0.1, delta=0.05, splits=2000, seed=0, target="any"
    )
    assert row["below_expected_law"] <= 0.05
    assert abs(row["below_expected"] - row["below_expected_law"]) < 4 * np.sqrt(0.05 / 2000)
    assert abs(row["below_observed"] - row["below_observed_law"]) < 4 * np.sqrt(0.05 / 2000)


def test_splits_by_document_show_a_shift_that_random_ones_hide() -> None:
    easy = [Observation(f"e{i}", np.linspace(1, 0, 100), (i % 10,), cluster=f"e{i % 4}") for i in range(80)]
    hard = [
        Observation(f"h{i}", np.linspace(1, 0, 100), (80 + i % 20,), cluster=f"h{i % 4}") for i in range(80)
    ]
    row = shift([*easy, *hard], "cosine", make_score("cosine"), alpha=0.2, splits=200, seed=0)
    assert row["documents"] == 8
    assert row["by_document"]["sd"] > 3 * row["random"]["sd"]


def test_recall_cells_keep_the_mean_risk_at_alpha() -> None:
    rng = np.random.default_rng(9)
    pool = [
        Observation(f"q{i}", np.sort(rng.random(50))[::-1], tuple(rng.permutation(50)[:4].tolist()))
        for i in range(150)
    ]
    row = recall_cell(pool, "cosine", make_score("cosine"), n=50, alpha=0.2, splits=200, seed=0)
    assert row["verdict"] == "holds"
    assert row["risk_floor"] - 4 * row["standard_error"] <= row["risk"]
    published = published_recall_cell(pool, n=50, alpha=0.2, splits=200, seed=0)
    assert published["verdict"] == "above"


def test_the_threshold_of_a_recall_cell_is_that_of_the_whole_observations() -> None:
    from benchmarks.recall_report import _relevant_only

    rng = np.random.default_rng(10)
    score = make_score("softmax")
    pool = [
        Observation(
            f"q{i}", np.sort(rng.random(30))[::-1], (*rng.permutation(30)[:3].tolist(), -1)[: 3 + (i == 0)]
        )
        for i in range(60)
    ]
    whole = find_threshold(pool, score, alpha=0.2, target="recall")
    small = find_threshold(
        [_relevant_only(o, score) for o in pool], make_score("external"), alpha=0.2, target="recall"
    )
    assert small.value == whole.value


def test_a_cap_out_of_reach_is_reported_with_its_numbers() -> None:
    pool = [Observation(f"q{i}", np.linspace(1, 0, 10), (7 if i < 20 else 0,)) for i in range(100)]
    row = capped(pool, cap=5, alpha=0.1)
    assert row["raised"] == "TargetUnattainableError"
    assert row["miss_rate"] == pytest.approx(0.2)
    assert row["smallest_cap"] == 8
    assert capped(pool, cap=9, alpha=0.1)["raised"] is None


# --- question sets ------------------------------------------------------------------------


def test_squad_keeps_answerable_questions_and_each_paragraph_once(tmp_path: Path) -> None:
    yes, no = {"question": "Who?", "is_impossible": False}, {"question": "Why?", "is_impossible": True}
    article = {
        "title": "T",
        "paragraphs": [{"context": c, "qas": [yes, no]} for c in ("One.", "Two.", "One.")],
    }
    write(tmp_path / "squad2/dev-v2.0.json", {"data": [article]})
    found = squad(tmp_path, Words())
    assert dict(found.passages) == {"T#0": "One.", "T#1": "Two."}
    assert found.questions == [Question("Who?", ("T#0", "T#1"), "T")]


def test_covid_qa_finds_the_chunks_that_overlap_the_answer(tmp_path: Path) -> None:
    sentences = [f"Sentence {i} {'word ' * 97}ends." for i in range(6)]  # 100 words each, two fit a passage
    text = " ".join(sentences)
    spanning = "ends. Sentence 2"
    asked = [
        {"question": "First?", "answers": [{"text": "Sentence 0", "answer_start": 0}]},
        {"question": "Both?", "answers": [{"text": spanning, "answer_start": text.index(spanning) + 1}]},
    ]
    write(
        tmp_path / "retrieval/covid_qa/200423_covidQA.json",
        {"data": [{"paragraphs": [{"context": text, "qas": asked}]}]},
    )
    found = load("covid_qa", tmp_path, Words())
    assert [q.relevant for q in found.questions] == [("article-0#0",), ("article-0#0", "article-0#1")]


def test_an_answer_off_its_offset_is_found_at_the_nearest_place() -> None:
    assert answer_span("ab ab ab", "ab", 3) == (3, 5)
    assert answer_span("ab ab ab", "ab", 5) == (6, 8)
    assert answer_span("ab ab ab", "xy", 5) == (5, 7)


def test_policyqa_searches_one_policy_and_joins_what_answers_the_same_question(tmp_path: Path) -> None:
    def policy(title: str) -> dict[str, Any]:
        segments = [{"context": c, "qas": [{"question": "Do you share?"}]} for c in ("We do.", "Never.")]
        return {"title": title, "paragraphs": segments}

    write(tmp_path / "policyqa/dev.json", {"data": [policy("a.com"), policy("b.com")]})
    found = policyqa(tmp_path, Words())
    assert len(found.passages) == 4
    assert found.questions[1] == Question("Do you share?", ("b.com#0", "b.com#1"), "b.com", "b.com")
    assert found.scopes["b.com#1"] == "b.com"


def test_multihop_needs_all_supporting_paragraphs(tmp_path: Path) -> None:
    folder = tmp_path / "multihop"
    facts = [["A", 0], ["B", 2], ["A", 1]]
    write(folder / "hotpotqa_train.json", [{"_id": "1", "question": "?", "supporting_facts": facts}])
    write(folder / "hotpotqa_train_corpus.json", {"A": ["a."], "B": ["b."], "C": ["c."]})
    paragraphs = [
        {"title": "A", "paragraph_text": "a.", "is_supporting": True},
        {"title": "Gone", "paragraph_text": "g.", "is_supporting": True},
        {"title": "C", "paragraph_text": "c.", "is_supporting": False},
    ]
    write(folder / "musique_train.json", [{"id": "1", "question": "?", "paragraphs": paragraphs}])
    write(folder / "musique_train_corpus.json", [{"title": t, "text": f"{t.lower()}."} for t in "AC"])
    write(
        folder / "2wikimultihopqa_corpus.json", [{"title": "D", "text": "d."}, {"title": "A", "text": "a."}]
    )
    assert hotpotqa(tmp_path, Words()).questions[0].relevant == ("A", "B")
    found = musique(tmp_path, Words())
    assert found.questions[0].relevant[0] == "musique#0"
    assert found.questions[0].relevant[1].startswith("absent:")
    assert found.target == "all"


def test_distractors_are_added_once(tmp_path: Path) -> None:
    folder = tmp_path / "retrieval/multihop"
    write(folder / "hotpotqa_train.json", [{"_id": "1", "question": "?", "supporting_facts": [["A", 0]]}])
    write(folder / "hotpotqa_train_corpus.json", {"A": ["a."]})
    write(
        folder / "2wikimultihopqa_corpus.json", [{"title": "D", "text": "d."}, {"title": "A", "text": "a."}]
    )
    found = load("hotpotqa_2wiki", tmp_path, Words())
    assert list(found.passages) == ["A", "2wiki#0"]


def test_cranfield_numbers_its_queries_by_their_place(tmp_path: Path) -> None:
    folder = tmp_path / "cranfield"
    write(
        folder / "cran.all.1400", ".I 1\n.T\nt\n.A\n.B\n.W\nfirst\ntext\n.I 2\n.T\n.W\n.I 3\n.T\n.W\nthird\n"
    )
    write(folder / "cran.qry", "\n.I 001\n.W\nwhat one\n.I 004\n.W\nwhat two\n.I 009\n.W\nnever judged\n")
    write(folder / "cranqrel", "1 1 2 \n1 3 -1\n\n2 2 1 \n2 3 4\n3 1 -1\n")
    found = cranfield(tmp_path, Words())
    assert dict(found.passages) == {"1": "first text", "3": "third"}
    assert [(q.text, q.relevant) for q in found.questions] == [("what one", ("1",)), ("what two", ("2", "3"))]


def test_equal_questions_about_one_document_count_once() -> None:
    asked = [
        Question("Who  ?", ("a",), "d"),
        Question("Who ?", ("b", "a"), "d"),
        Question("Who ?", ("c",), "e"),
    ]
    assert [q.relevant for q in merged(asked)] == [("a", "b"), ("c",)]


def test_tuning_documents_are_whole_and_always_the_same() -> None:
    asked = [Question(f"q{i}", ("p",), f"d{i % 7}") for i in range(70)]
    tuning, rest = split_documents(asked, 0.5)
    assert sorted([*tuning, *rest]) == list(range(70))
    assert not {asked[i].document for i in tuning} & {asked[i].document for i in rest}
    assert len(tuning) == 30
    assert split_documents(asked, 0.5) == (tuning, rest)


def test_a_set_that_is_not_there_is_named_without_the_folder(tmp_path: Path) -> None:
    with pytest.raises(AbsentDataError, match=r"^squad2/dev-v2\.0\.json is not in the data folder$"):
        squad(tmp_path, Words())


# --- the command ---------------------------------------------------------------------------


def test_without_data_the_command_says_so_and_exits_0(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "benchmarks/conformal.py"),
        "--data",
        str(tmp_path / "none"),
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
    assert "skipped: no question sets at" in done.stderr
    assert "skipped" in json.loads(done.stdout)


def test_a_failed_check_shows_in_the_status_and_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = {"checks": [{"check": "ratio", "ratio": 0.51234, "passed": False}], "datasets": {}}
    write(tmp_path / "earlier.json", document)
    assert conformal.main(["--read", str(tmp_path / "earlier.json"), "--markdown"]) == 1
    assert "| ratio | ratio 0.5123 | NO |" in capsys.readouterr().out


def test_checks_name_the_cells_that_break_the_law() -> None:
    good = {"score": "gap", "alpha": 0.1, "n": 20, "expected": 0.9, "verdict": "within"}
    bad = {**good, "n": 50, "verdict": "below"}
    (law,) = checks({"covid_qa": {"cells": [good, bad, {"score": "every", "n": 500, "skipped": "small"}]}})
    assert not law["passed"]
    assert law["below"] == ["covid_qa gap alpha=0.1 n=50"]


def test_the_committed_figures_hold_and_make_tables() -> None:
    path = ROOT / "benchmarks/results/conformal.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    assert all(check["passed"] for check in document["checks"])
    assert document["settings"]["splits"] >= 5000
    assert "### SQuAD 2.0" in markdown(document)
