"""Readers of the data sets, on tiny files in the formats they are published in."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ragguard.alignment.training import sources
from ragguard.alignment.training.examples import CONTRADICTED, ENTAILED, IGNORE, NEUTRAL, Example
from ragguard.alignment.training.sources import OTHER_LICENCES, SOURCES, training_half
from ragguard.errors import UnreadableFileError
from tests.alignment.training.cases import fever, lines, put, table

RNG = random.Random(0)


def labels(found: list[Example]) -> list[tuple[int, int]]:
    return [(one.binary, one.three_way) for one in found]


def test_fever_is_two_way_and_its_evidence_reads_as_prose(tmp_path: Path) -> None:
    evidence = "Ada -LRB- born 1978 -RRB- is `` the '' founder ; Rex 's firm is Dino ."
    fever(tmp_path, [(evidence, "Ada left. ", "entailment"), ("B .", "C.", "not_entailment")])
    one, other = sources.read_fever(tmp_path, RNG)
    assert one.source == 'Ada (born 1978) is " the " founder; Rex\'s firm is Dino.'
    assert (one.claim, one.origin) == ("Ada left.", "fever")
    assert labels([one, other]) == [(1, ENTAILED), (0, IGNORE)]


def test_lines_of_aligned_files_end_at_line_feeds_only(tmp_path: Path) -> None:
    fever(tmp_path, [("A\u2028B\x0cC", "D.", "entailment"), ("E", "F.", "not_entailment")])
    assert [one.claim for one in sources.read_fever(tmp_path, RNG)] == ["D.", "F."]


def test_counterfactual_snli_is_three_way(tmp_path: Path) -> None:
    rows = [
        {"gold_label": label, "sentence1": "A.", "sentence2": "B."}
        for label in ("entailment", "neutral", "contradiction")
    ]
    table(tmp_path / "train/counterfactual_snli/NLI__all_combined__train.tsv", rows)
    found = sources.read_counterfactual_snli(tmp_path, RNG)
    assert labels(found) == [(1, ENTAILED), (0, NEUTRAL), (0, CONTRADICTED)]


def test_conjnli_reads_both_files_and_drops_lines_without_a_label(tmp_path: Path) -> None:
    row = {"Premise": "A and B.", "Hypothesis": "A.", "Label": "entailment"}
    table(tmp_path / "train/conjnli/adversarial_train_15k.tsv", [row, {**row, "Label": "-"}])
    table(tmp_path / "train/conjnli/conj_dev.tsv", [{**row, "Label": "contradiction"}])
    assert labels(sources.read_conjnli(tmp_path, RNG)) == [(1, ENTAILED), (0, CONTRADICTED)]


def test_wikifactcheck_is_given_its_other_side(tmp_path: Path) -> None:
    row = {"sentence": "Ada founded the firm in Oslo.", "negated": "Ada left the firm in Oslo."}
    table(tmp_path / "train/wikifactcheck/a_wikifactcheck_english_train.tsv", [row] * 40)
    found = sources.read_wikifactcheck(tmp_path, random.Random(0))
    assert len(found) == 80
    assert labels(found[:2]) == [(0, CONTRADICTED), (1, ENTAILED)]
    # Either sentence is the source: the style of a claim gives nothing away.
    assert {one.claim for one in found if one.three_way == CONTRADICTED} == set(row.values())
    for kept in found[1::2]:
        assert kept.origin == "wikifactcheck: kept"


def test_antonyms_are_two_way(tmp_path: Path) -> None:
    rows = [{"premise": "A.", "hypothesis": "B.", "label": label} for label in (0, 1)]
    table(tmp_path / "train/wikifactcheck/datasets__antonym-substitution__processed__sem_anto_neg.tsv", rows)
    assert labels(sources.read_antonyms(tmp_path, RNG)) == [(1, ENTAILED), (0, IGNORE)]


def test_factcg_reads_both_files_and_drops_empty_sources(tmp_path: Path) -> None:
    row = {"text_a": "A.", "text_b": ["B."], "orig_label": 1}
    lines(tmp_path / "train/factcg/CG2C_doc.json", [row, {**row, "text_a": " "}])
    lines(tmp_path / "train/factcg/CG2C_musique_minhop3_rbt_mnli_failed.json", [{**row, "orig_label": 0}])
    assert labels(sources.read_factcg(tmp_path, RNG)) == [(1, ENTAILED), (0, IGNORE)]


def test_help_reads_and_and_or(tmp_path: Path) -> None:
    row = {"ori_sentence": "A.", "new_sentence": "B.", "gold_label": "entailment"}
    table(tmp_path / "train/help_monotonicity/leskexppmb_and.tsv", [row])
    table(tmp_path / "train/help_monotonicity/leskexppmb_or.tsv", [{**row, "gold_label": "neutral"}])
    assert labels(sources.read_help(tmp_path, RNG)) == [(1, ENTAILED), (0, NEUTRAL)]


def test_lingnli_reads_every_round(tmp_path: Path) -> None:
    for name, label in (("train_a", "contradiction"), ("train_b", "neutral"), ("validation", "neutral")):
        row = {"premise": "A.", "hypothesis": "B."}
        rows = [{**row, "label": label}, {**row, "label": "-"}]
        lines(tmp_path / f"train/lingnli/{name}.jsonl", rows)
    assert labels(sources.read_lingnli(tmp_path, RNG)) == [(0, CONTRADICTED), (0, NEUTRAL)]


def test_rte_and_covidfact_are_two_way(tmp_path: Path) -> None:
    for name, read, second in (
        ("rte/train", sources.read_rte, "sentence2"),
        ("fever_dev/RTE-covidfact__train", sources.read_covidfact, "Sentence2"),
    ):
        rows = [
            {"sentence1": "A.", second: "B.", "label": label} for label in ("entailment", "not_entailment")
        ]
        table(tmp_path / f"train/{name}.tsv", rows)
        assert labels(read(tmp_path, RNG)) == [(1, ENTAILED), (0, IGNORE)]


def test_a_row_with_another_number_of_cells_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "train/rte/train.tsv", "sentence1\tsentence2\tlabel\nA.\tB.\nA.\tB.\tentailment\n")
    assert len(sources.read_rte(tmp_path, RNG)) == 1


def test_healthver_and_climate_fever_are_three_way(tmp_path: Path) -> None:
    put(
        tmp_path / "train/healthver_dev/healthver_dev.csv",
        'claim,evidence,label\n"C, one.","E.",Supports\nC.,E.,Refutes\nC.,E.,Neutral\nC.,E.,?\n',
    )
    found = sources.read_healthver(tmp_path, RNG)
    assert labels(found) == [(1, ENTAILED), (0, CONTRADICTED), (0, NEUTRAL)]
    assert (found[0].source, found[0].claim) == ("E.", "C, one.")
    pieces = [
        {"evidence": f"E{i}.", "evidence_label": label}
        for i, label in enumerate(("SUPPORTS", "NOT_ENOUGH_INFO", "REFUTES"))
    ]
    lines(tmp_path / "train/climate_fever/climate-fever.jsonl", [{"claim": "C.", "evidences": pieces}])
    assert labels(sources.read_climate_fever(tmp_path, RNG)) == [
        (1, ENTAILED),
        (0, NEUTRAL),
        (0, CONTRADICTED),
    ]


def test_similarity_is_taken_to_one_and_teaches_one_head(tmp_path: Path) -> None:
    for name, rows in (("train", "5.0\tA.\tB.\n2.5\tA.\tB.\nbroken\n"), ("test", "0.0\tA.\tB.\n")):
        put(tmp_path / f"train/sts/data__sts__semeval-sts__all__2015.{name}.tsv", rows)
    found = sources.read_sts(tmp_path, RNG)
    assert [one.similarity for one in found] == [1.0, 0.5, 0.0]
    assert labels(found) == [(IGNORE, IGNORE)] * 3


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_a_missing_file_is_named(tmp_path: Path, source: sources.Source) -> None:
    with pytest.raises(UnreadableFileError, match="of the training data"):
        source.read(tmp_path, RNG)


def test_a_licence_is_stated_where_weights_may_be_shared() -> None:
    every = {source.name: (source.licence, source.licensed) for source in SOURCES} | OTHER_LICENCES
    assert len({source.name for source in SOURCES}) == len(SOURCES)
    for licence, licensed in every.values():
        assert licence
        assert not (licensed and ("none" in licence or "mixed" in licence))


def test_articles_are_halved_once_and_for_all() -> None:
    halves = [training_half(f"Article {i}") for i in range(400)]
    assert 150 < sum(halves) < 250
    assert [training_half(name) for name in ("Oslo", "Normans", "Steam_engine")] == [
        training_half(name) for name in ("Oslo", "Normans", "Steam_engine")
    ]
