from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import consistency
from benchmarks.consistency_aligners import by_claims, claims_of, highest, one_by_one, passages_of, softmax
from benchmarks.consistency_report import FAMILIES, Scored, counts, report
from benchmarks.consistency_scorers import BASELINES, SCORERS, Setting, build_length, build_overlap
from benchmarks.consistency_sets import SETS, document_key, halved
from benchmarks.consistency_tables import markdown
from benchmarks.consistency_vectors import SentenceVectors
from ragguard.alignment.aligner import AlignmentAligner
from ragguard.alignment.lexical import LexicalAligner
from ragguard.models.pair_model import save_pair_model
from ragguard.protocols import FloatArray, Progress
from tests.benchmarks.consistency_case import facts, halueval, item, texts
from tests.models.random_models import bert_tokenizer, random_pair_model

ROOT = Path(__file__).resolve().parents[2]


def setting(folder: Path) -> Setting:
    return Setting("bundled", "auto", folder, lambda what, done, total: None)


# --- scorers --------------------------------------------------------------------------------


def test_overlap_is_recall_of_content_words_in_the_whole_source(tmp_path: Path) -> None:
    two = item("The red pump weighs 4 tonnes.", passages=("A red thing.", "The pump weighs 4 kg."))
    found = build_overlap(setting(tmp_path)).score([two, item("Is it so?"), item("The pumps weighed 4 kg.")])
    assert found[""] == pytest.approx([4 / 5, 0.0, 1.0])


def test_length_prefers_the_shorter_answer(tmp_path: Path) -> None:
    found = build_length(setting(tmp_path)).score([item("Delhi"), item("It is Delhi.")])[""]
    assert found[0] > found[1]


def test_an_aligner_is_asked_claim_by_claim() -> None:
    found = by_claims(one_by_one(LexicalAligner()), prod)(
        [item("The red pump weighs 4 kg. The price doubled last year."), item("pump"), item("...")]
    )
    assert found["min"] == pytest.approx([0.0, 1.0, 0.0])
    assert found["mean"] == pytest.approx([0.5, 1.0, 0.0])
    assert found["share"] == pytest.approx([0.5, 1.0, 0.0])
    assert found["all"] == pytest.approx([0.0, 1.0, 0.0])


class Letters:
    """An embedder that counts what it embeds: a text's vector is its first letter."""

    dimension = 26

    def __init__(self) -> None:
        self.seen: list[str] = []

    def fingerprint(self) -> dict[str, Any]:
        return {"name": "letters"}

    def embed_passages(self, texts: Sequence[str], /, *, progress: Progress | None = None) -> FloatArray:
        self.seen += texts
        rows = np.zeros((len(texts), 26), dtype=np.float32)
        rows[np.arange(len(texts)), [ord(t[0]) - 97 for t in texts]] = 1
        return rows


def test_no_sentence_is_embedded_twice_not_even_in_the_next_run(tmp_path: Path) -> None:
    first, second = Letters(), Letters()
    vectors = SentenceVectors(first, tmp_path, lambda what, done, total: None)  # type: ignore[arg-type]
    assert vectors(["b", "a", "b"]).argmax(axis=1).tolist() == [1, 0, 1]
    assert vectors(["a", "c"]).argmax(axis=1).tolist() == [0, 2]
    assert first.seen == ["b", "a", "c"]
    again = SentenceVectors(second, tmp_path, lambda what, done, total: None)  # type: ignore[arg-type]
    assert again(["c", "b", "a", "d"]).argmax(axis=1).tolist() == [2, 1, 0, 3]
    assert second.seen == ["d"]


def test_the_highest_chunk_of_each_item_counts() -> None:
    assert highest(np.array([0.1, 0.7, 0.4]), [0, 2, 2], 3).tolist() == [0.1, 0.0, 0.7]
    assert softmax(np.array([[0.0, np.log(3)], [1000.0, 0.0]])) == pytest.approx(
        np.array([[0.25, 0.75], [1, 0]])
    )


def test_every_baseline_can_be_asked_for() -> None:
    assert set(BASELINES) == {"length", "overlap", "embedding", "lexical"}
    assert set(SCORERS) > set(BASELINES)


# --- figures --------------------------------------------------------------------------------


def scored(good: bool, even: int = 6, odd: int = 6) -> Scored:
    items = halved(
        [
            item(f"{text}{y}", source=text, document=document_key(text), label=y)
            for text in texts("d", even, odd)
            for y in (0, 1)
        ]
    )
    truth = np.array([float(i.label) for i in items])
    return Scored(items, {"overlap": np.full(len(items), 0.6), "sure": truth if good else 1 - truth})


def test_figures_come_from_one_half_and_thresholds_from_the_other() -> None:
    sets = {name: scored(good=True) for family in FAMILIES.values() for name in family}
    found = report(sets, {"overlap": 0.7, "sure": None}, "evaluation", resamples=200, seed=0)
    sure, flat = found["sure"]["q2"], found["overlap"]["q2"]
    assert sure["auc"] == 1.0
    assert sure["auc_gain_interval"] == pytest.approx([0.5, 0.5])
    assert sure["balanced_accuracy_tuned"] == 1.0
    assert sure["threshold_tuned"] == pytest.approx(0.5)
    assert "balanced_accuracy_fixed" not in sure
    assert flat["auc"] == 0.5
    assert flat["balanced_accuracy_fixed"] == 0.5
    assert found["sure"]["mean"]["auc"] == 1.0
    assert "in_sample" not in sure
    assert report(sets, {"sure": None}, "tuning", resamples=20, seed=0)["sure"]["q2"]["in_sample"]


def test_the_mean_counts_families_alike_and_is_none_when_a_set_is_missing() -> None:
    sets = {name: scored(good=name != "q2") for family in FAMILIES.values() for name in family}
    whole = report(sets, {"sure": 0.5}, "evaluation", resamples=20, seed=0)
    assert whole["sure"]["mean"]["auc"] == pytest.approx(3 / 4)
    del sets["wice"]
    assert report(sets, {"sure": 0.5}, "evaluation", resamples=20, seed=0)["sure"]["mean"] is None


def test_a_gain_is_over_the_baseline_that_is_best_on_the_set_and_the_half() -> None:
    sets = {name: scored(good=name != "q2") for family in FAMILIES.values() for name in family}
    for each in sets.values():
        each.rows["trained"] = np.array([float(i.label) for i in each.items])  # type: ignore[index]
    rows = {"overlap": 0.7, "sure": None, "trained": 0.5}
    found = report(sets, rows, "evaluation", ["overlap", "sure"], resamples=50, seed=0)
    assert found["trained"]["q2"]["best_baseline"] == "overlap"  # there "sure" is always wrong
    assert found["trained"]["q2"]["auc_above_best"] == pytest.approx(0.5)
    assert found["trained"]["wice"]["best_baseline"] == "sure"
    assert found["trained"]["wice"]["auc_above_best_interval"] == pytest.approx([0.0, 0.0])
    assert found["trained"]["mean"]["auc_above_best"] == pytest.approx(1 - 3 / 4)
    assert found["trained"]["mean"]["auc_above_best_interval"] == pytest.approx([0.25, 0.25])
    assert "auc_above_best" not in found["sure"]["mean"]


def test_a_set_with_one_label_alone_has_no_gain_and_its_tables_are_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts(tmp_path)
    given = trained(tmp_path)
    more = ("--limit", "1", "--aligner", "overlap", "aligner", "--model", given.model, "--json")
    document, _ = run(tmp_path, capsys, *more)
    found = document["results"]["evaluation"]["aligner:min"]["summedits_sales_call"]
    assert found["auc"] is None
    assert "auc_above_best" not in found
    assert "| summedits_sales_call | - |" in markdown(document)


def test_counts_name_items_supported_ones_and_documents_of_each_half() -> None:
    assert counts(scored(good=True, even=2, odd=3).items) == {
        "tuning": {"items": 4, "supported": 2, "documents": 2},
        "evaluation": {"items": 6, "supported": 3, "documents": 3},
    }


# --- the trained model ----------------------------------------------------------------------


def trained(folder: Path) -> Setting:
    model, definition = random_pair_model(kind="bert"), bert_tokenizer()
    saved = save_pair_model(folder / "m", model.encoder, tokenizer=definition, max_tokens=128, card={})
    return Setting(str(saved), "float32", folder, lambda what, done, total: None)


def test_the_model_alone_reads_every_chunk_and_the_highest_counts(tmp_path: Path) -> None:
    model = SCORERS["model"](trained(tmp_path))
    claim, parts = "Acme is in Oslo.", [f"Ada founded Acme {n}. " * 12 for n in range(6)]
    whole = model.score([item(claim, passages=tuple(parts))])
    apart = model.score([item(claim, passages=(part,)) for part in parts])
    assert set(whole) == {"three_way", "binary", "not_contradicted"}
    assert whole["three_way"] == pytest.approx(apart["three_way"].max(), abs=1e-5)
    assert whole["not_contradicted"] == pytest.approx(apart["not_contradicted"].min(), abs=1e-5)


def test_the_trained_aligner_reads_many_items_at_once_and_gives_what_one_at_a_time_gives(
    tmp_path: Path,
) -> None:
    given = trained(tmp_path)
    items = [
        item(f"Acme {n} is in Oslo. It has {n} pumps.", source=f"Ada founded Acme {n}.") for n in range(20)
    ]
    items += [item("..."), item("Oslo", question="Where is Acme?"), item("Acme is old.", passages=("",))]
    found = SCORERS["aligner"](given).score(items)
    aligner = AlignmentAligner(given.model, dtype="float32")
    apart = [aligner.align(claims_of(i), passages_of(i), question=i.question or "") for i in items]
    scores = [[e.score or 0.0 for e in evidence] for evidence in apart]
    assert set(found) == {"min", "mean", "share", "all"}
    assert found["min"] == pytest.approx([min(s) for s in scores], abs=1e-5)
    assert found["mean"] == pytest.approx([np.mean(s) for s in scores], abs=1e-5)
    assert found["all"] == pytest.approx([aligner.combiner.all_supported(s) for s in scores], abs=1e-5)
    assert found["share"].tolist() == [
        sum(e.outcome == "supported" for e in evidence) / len(evidence) for evidence in apart
    ]


def test_a_fixed_threshold_is_for_claims_and_not_for_a_mean_of_them(tmp_path: Path) -> None:
    assert set(SCORERS["lexical"](setting(tmp_path)).thresholds) == {"min"}
    assert set(SCORERS["aligner"](trained(tmp_path)).thresholds) == {"min"}


def test_a_pair_model_in_a_folder_is_scored_by_the_published_profile(tmp_path: Path) -> None:
    compat = SCORERS["compat"](trained(tmp_path))
    found = compat.score([item("Ada founded Acme. Acme is in Oslo."), item("...")])[""]
    assert 0 < found[0] < 1
    assert found[1] == 0  # nothing to check is no support
    assert compat.fingerprint["profile"] == "published"


def test_a_model_that_is_not_there_is_named_and_the_others_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts(tmp_path)
    document, said = run(tmp_path, capsys, "--aligner", "overlap", "compat", "--model", str(tmp_path / "no"))
    assert next(iter(document["absent"])) == "compat"
    assert list(document["results"]["tuning"]) == ["overlap"]
    assert "skipped compat: " in said


def test_the_tables_name_the_best_baseline_of_each_set_and_what_length_alone_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts(tmp_path)
    halueval(tmp_path / "consistency")
    given = trained(tmp_path)
    more = ("--aligner", "length", "aligner", "--model", given.model, "--dtype", "float32", "--json")
    document, _ = run(tmp_path, capsys, *more)
    shown = markdown(document)
    gains = shown.partition("AUC-ROC less that of the best baseline of the set, evaluation half")[2]
    assert "| set | best baseline | trained aligner, least claim |" in gains
    assert "| summedits_sales_call | answer length alone (0." in gains
    assert "| row | all answers | as many of each length |" in shown
    assert "| AlignScore-base (published) | q2 | 0.761 |" in shown
    assert "Mean over" not in shown  # most of its sets are not there


# --- the command ----------------------------------------------------------------------------


def run(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[Any, str]:
    names = ["--aligner", "overlap", "lexical", "--resamples", "50", "--cache", str(folder / "cache")]
    assert consistency.main(["--data", str(folder), *names, *more]) == 0
    out = capsys.readouterr()
    return json.loads(out.out), out.err


def test_the_command_reports_what_is_there_and_names_what_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts(tmp_path)
    document, said = run(tmp_path, capsys, "--json", "--output", str(tmp_path / "out.json"))
    assert set(document["sets"]) == {"summedits_sales_call"}
    assert set(document["absent"]) == set(SETS) - {"summedits_sales_call"}
    assert document["results"]["evaluation"]["overlap"]["summedits_sales_call"]["auc"] == 1.0
    assert document["results"]["evaluation"]["overlap"]["mean"] is None
    assert {row["status"] for row in document["published"]} == {"published"}
    assert "skipped q2: q2/cross_annotation.csv is not in the data folder" in said
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8")) == document
    assert "| summedits_sales_call |" in markdown(document)


def test_the_tuning_half_alone_never_scores_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts(tmp_path)
    document, said = run(tmp_path, capsys, "--half", "tuning", "--limit", "5")
    assert list(document["results"]) == ["tuning"]
    assert list(document["sets"]["summedits_sales_call"]) == ["tuning"]
    assert document["sets"]["summedits_sales_call"]["tuning"]["items"] == 5
    assert "AUC-ROC, tuning half" in said


def test_without_data_the_command_says_so_and_exits_0(tmp_path: Path) -> None:
    script = ROOT / "benchmarks/consistency.py"
    command = [sys.executable, str(script), "--data", str(tmp_path / "none"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
    assert "skipped: no consistency sets at" in done.stderr
    assert "skipped" in json.loads(done.stdout)


def test_the_committed_figures_make_tables() -> None:
    path = ROOT / "benchmarks/results/consistency.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["settings"]["limit"] is None
    assert document["settings"]["resamples"] >= 2000
    assert document["absent"] == {}
    assert set(document["sets"]) == set(SETS)
    shown = markdown(document)
    assert "AUC-ROC, evaluation half" in shown
    assert "| AlignScore-base (published) | q2 | 0.761 |" in shown
    assert "trained aligner, least claim" in shown
    assert "best baseline" in shown
