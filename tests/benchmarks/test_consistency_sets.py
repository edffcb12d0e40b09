from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.consistency_sets import (
    SETS,
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
from benchmarks.question_sets import AbsentDataError
from tests.benchmarks.consistency_case import facts, halueval, item, lines, parity, texts, write

HEAD = "model_name\tdata_source\tknowledge\tmessage\tresponse\tbegin_label\n"


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


def wice_files(folder: Path, evidence: Sequence[list[str]]) -> None:
    """A claim to each article, and of each article two chunks of two sentences."""
    labels = ("supported", "partially_supported", "not_supported", "supported")
    articles = [
        {"label": labels[n % 4], "claim": f"c{n}", "evidence": found, "meta": {"id": f"dev{n}"}}
        for n, found in enumerate(evidence)
    ]
    chunks = [
        {**a, "evidence": found[:2]} for a, found in zip(articles, evidence, strict=True) for _ in range(2)
    ]
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
