from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
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
from benchmarks.consistency_sets import (
    SETS,
    Item,
    begin,
    document_key,
    factcc,
    fever_symmetric,
    halueval_qa,
    halueval_qa_matched,
    halved,
    load_items,
    load_set,
    q2,
    wice,
    wice_oracle,
)
from benchmarks.consistency_tables import markdown
from benchmarks.consistency_vectors import SentenceVectors
from benchmarks.question_sets import AbsentDataError
from ragguard.alignment.aligner import AlignmentAligner
from ragguard.alignment.lexical import LexicalAligner
from ragguard.models.pair_model import save_pair_model
from ragguard.protocols import FloatArray, Progress
from tests.models.random_models import bert_tokenizer, random_pair_model

ROOT = Path(__file__).resolve().parents[2]
HEAD = "model_name\tdata_source\tknowledge\tmessage\tresponse\tbegin_label\n"


def item(claim: str, source: str = "The red pump weighs 4 kg.", label: int = 1, **changed: Any) -> Item:
    return Item(
        **{"id": claim, "document": "d", "question": None, "passages": (source,)} | changed,
        claim=claim,
        label=label,
    )


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def lines(rows: Sequence[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def setting(folder: Path) -> Setting:
    return Setting("bundled", "auto", folder, lambda what, done, total: None)


def parity(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % 2


def texts(start: str, even: int, odd: int, end: str = "") -> list[str]:
    """So many texts with an even hash, and so many with an odd one after them."""
    found = [f"{start}{n}{end}" for n in range(99)]
    return [t for t in found if not parity(t)][:even] + [t for t in found if parity(t)][:odd]


def facts(folder: Path) -> None:
    """SummEdits sales calls in miniature: four documents a half, of each a right and a wrong claim."""
    rows = [
        {"id": "x", "doc": doc, "summary": s, "label": label}
        for doc in texts("Pumps weigh ", 4, 4, " kg.")
        for s, label in ((doc, 1), ("Its price doubled.", 0))
    ]
    write(folder / "consistency/summedits/summedits_sales_call.json", rows)


# --- halves ---------------------------------------------------------------------------------


def test_documents_with_an_even_hash_are_for_tuning_and_odd_ones_for_evaluation() -> None:
    even, odd = texts("text ", 3, 0), texts("text ", 0, 4)
    items = [item(f"{i}{t}", source=t, document=document_key(t)) for t in even + odd for i in range(5)]
    found = halved(items)
    assert {i.context for i in found if i.half == "tuning"} == set(even)
    assert {i.context for i in found if i.half == "evaluation"} == set(odd)
    assert {i.id: i.half for i in halved(items[::-1])} == {i.id: i.half for i in found}


def test_one_even_wording_puts_all_wordings_of_its_document_into_tuning() -> None:
    wordings = [f"A{' ' * n}b." for n in range(1, 20)]  # one document: letters and digits are the same
    odd, even = [w for w in wordings if parity(w)], [w for w in wordings if not parity(w)]
    assert len(odd) > 1 < len(even)

    def halves(sources: list[str]) -> set[str]:
        return {i.half for i in halved([item("c", source=s, document=document_key(s)) for s in sources])}

    assert halves(odd) == {"evaluation"}
    assert halves([*odd, even[0]]) == {"tuning"}


def test_the_text_as_it_was_read_decides_and_not_how_it_is_shown() -> None:
    shown, read = texts("shown ", 1, 0)[0], texts("read ", 0, 1)[0]
    assert [i.half for i in halved([item("c", source=shown)])] == ["tuning"]
    assert [i.half for i in halved([item("c", source=shown)], raw=lambda _: read)] == ["evaluation"]


def test_case_and_tokenisation_make_no_other_document() -> None:
    assert document_key("Rex 's dog , Dino.") == document_key("rex's dog, dino .")
    assert document_key("Rex's dogs, Dino.") != document_key("Rex's dog, Dino.")


# --- readers --------------------------------------------------------------------------------


def test_summedits_label_1_is_consistent_and_repeated_ids_are_told_apart(tmp_path: Path) -> None:
    facts(tmp_path)
    found = load_items(tmp_path, "tuning", ["summedits_sales_call"])["summedits_sales_call"]
    both = load_set("summedits_sales_call", tmp_path)
    assert len(found) == 8
    assert len(both) == 16
    assert len({i.id for i in both}) == 16
    assert all(i.label == (i.claim == i.passages[0]) for i in both)


def test_begin_reads_quotes_as_they_stand_and_drops_what_claims_nothing(tmp_path: Path) -> None:
    rows = [
        't5\twow\tHe said "no.\tWhy?\tHe said no.\tFully attributable\n',
        "t5\twow\tHe left.\tWhy?\tNice!\tGeneric\n",
        'gpt2\twow\tHe left".\tWhy?\tHe stayed.\tNot fully attributable\n',
    ]
    write(tmp_path / "begin/b.tsv", HEAD + "".join(rows))
    found = begin("b.tsv")(tmp_path)
    assert [(i.passages, i.claim, i.label) for i in found] == [
        (('He said "no.',), "He said no.", 1),
        (('He left".',), "He stayed.", 0),
    ]
    assert found[0].question == "Why?"


def test_q2_label_0_is_consistent_and_a_knowledge_text_is_a_document(tmp_path: Path) -> None:
    head = ",topic,message,dodeca_response,memnet_response,knowledge,dodeca_label,memnet_label\n"
    even, odd = texts("K ", 1, 1)
    rows = f'0,Art,Hi?,"one, two",three,{even},0,1\n1,Art,Ho?,four,five,{odd},1,0\n'
    write(tmp_path / "q2/cross_annotation.csv", head + rows)
    found = q2(tmp_path)
    assert [(i.claim, i.label) for i in found] == [("one, two", 1), ("four", 0), ("three", 0), ("five", 1)]
    assert [i.half for i in found] == ["tuning", "evaluation"] * 2
    assert len({i.id for i in found}) == 4


def wice_files(folder: Path, evidence: Sequence[Sequence[str]]) -> None:
    """A claim to each article, and of each article two chunks of two sentences."""
    labels = ("supported", "partially_supported", "not_supported", "supported")
    articles = [
        {"label": labels[n % 4], "claim": f"c{n}", "evidence": found, "meta": {"id": f"dev{n}"}}
        for n, found in enumerate(evidence)
    ]
    chunks = [{**a, "evidence": a["evidence"][:2]} for a in articles for _ in range(2)]
    write(folder / "wice_dev/data__entailment_retrieval__claim__dev.jsonl", lines(articles))
    name = "code_and_resources__entailment_inputs__oracle_chunks__claim__dev.jsonl"
    write(folder / "wice_dev" / name, lines(chunks))


def test_wice_partly_supported_is_not_supported(tmp_path: Path) -> None:
    wice_files(tmp_path, [[f"s{n}", "t", "u"] for n in range(4)])
    found, oracle = wice(tmp_path), wice_oracle(tmp_path)
    assert [i.label for i in found] == [1, 0, 0, 1]
    assert found[0].passages == ("s0\n\nt\n\nu",)
    assert oracle[0].passages == ("s0\n\nt",)
    assert len({i.id for i in oracle}) == 8


def test_wice_and_its_oracle_chunks_share_halves_by_the_lines_of_the_whole_article(tmp_path: Path) -> None:
    wice_files(tmp_path, [[f"s{n}", "t", "u"] for n in range(8)])
    found, oracle = wice(tmp_path), wice_oracle(tmp_path)
    for i in found:
        assert i.half == ("evaluation" if parity(i.context.replace("\n\n", "\n")) else "tuning")
    assert {i.half for i in found} == {"tuning", "evaluation"}
    assert [(i.document, i.half) for i in oracle] == [(i.document, i.half) for i in found for _ in range(2)]


def test_factcc_keeps_the_label_of_its_file(tmp_path: Path) -> None:
    write(tmp_path / "factcc/factcc.json", {"f0": {"claim": "c", "label": 0, "document": "D."}})
    assert [(i.id, i.label, i.context) for i in factcc(tmp_path)] == [("f0", 0, "D.")]


def test_fever_symmetric_keeps_what_shares_a_claim_or_an_evidence_in_one_half(tmp_path: Path) -> None:
    odd = texts("e", 0, 3)
    pairs = [(odd[0], odd[1]), (odd[2], texts("e", 1, 0)[0])]
    rows = [
        {"id": f"{n}{c}{e}", "claim": f"{n}c{c}", "evidence": pairs[n][e], "label": label}
        for n in range(2)
        for c, e, label in ((0, 0, "SUPPORTS"), (0, 1, "REFUTES"), (1, 1, "SUPPORTS"), (1, 0, "REFUTES"))
    ]
    write(tmp_path / "fever_symmetric_dev/symmetric_v0.2__fever_symmetric_dev.jsonl", lines(rows))
    found = fever_symmetric(tmp_path)
    assert len({i.document for i in found}) == 2
    assert [i.half for i in found] == ["evaluation"] * 4 + ["tuning"] * 4  # one even evidence is enough
    assert [i.label for i in found[:4]] == [1, 0, 1, 0]


def halueval(folder: Path) -> None:
    def rows(made_up: str) -> str:
        return lines(
            [
                {
                    "knowledge": f"Town {n} has a mill.\u2028It is old.",
                    "question": f"What has town {n}?",
                    "right_answer": "a mill" if n % 2 else "an old mill",
                    "hallucinated_answer": made_up if n % 3 else "a new bridge",
                }
                for n in range(12)
            ]
        )

    write(folder / "halueval_qa/qa_one-turn_data.json", rows("a bridge"))
    write(folder / "halueval_qa/qa_multi-turn_data.json", rows("it has a bridge over the river"))


def test_halueval_takes_each_answer_of_a_question_once_with_the_knowledge(tmp_path: Path) -> None:
    halueval(tmp_path)
    found = halueval_qa(tmp_path)
    assert Counter(i.label for i in found) == {1: 12, 0: 12 + 8}
    assert found[0].question == "What has town 0?"
    assert found[0].context == "Town 0 has a mill.\u2028It is old."


def test_on_length_matched_answers_length_tells_nothing_in_either_half(tmp_path: Path) -> None:
    halueval(tmp_path)
    found = halueval_qa_matched(tmp_path)
    whole = {i.id: i.half for i in halueval_qa(tmp_path)}
    assert found
    for half in ("tuning", "evaluation"):
        lengths = [
            Counter(len(i.claim.split()) for i in found if (i.half, i.label) == (half, y)) for y in (0, 1)
        ]
        assert lengths[0] == lengths[1]
    assert all(whole[i.id] == i.half for i in found)


@pytest.mark.parametrize("name", SETS)
def test_a_set_that_is_not_there_is_named_without_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(AbsentDataError, match=r"^\w+/[\w.-]+ is not in the data folder$"):
        load_set(name, tmp_path)


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
    assert "best baseline" not in shown  # they are the baselines
