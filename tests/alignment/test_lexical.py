"""What the baseline sees, and what it is known not to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.alignment.lexical import BASELINE_THRESHOLD, LexicalAligner
from ragguard.errors import InvalidValueError
from ragguard.protocols import Aligner
from ragguard.types import Claim, Evidence, Passage, Span

PASSAGES = [
    Passage(
        id="drug", text="Ibuprofen kills pain. The dose for adults is 5 mg a day. It does not thin the blood."
    ),
    Passage(
        id="bridge", text="The bridge opened in 1978.\nIt carries 2,100,000 cars a year, 5% of them electric."
    ),
]


def judged(text: str, passages: list[Passage] = PASSAGES) -> Evidence:
    claim = Claim(text=text, span=Span(start=0, end=len(text)))
    return LexicalAligner().align([claim], passages)[0]


@pytest.mark.parametrize(
    ("claim", "outcome"),
    [
        ("The dose is 5 mg.", "supported"),
        ("The dose is five mg.", "supported"),
        ("The dose for adults is 10 mg a day.", "not_found"),
        ("It thins the blood.", "contradicted"),
        ("It does not thin the blood.", "supported"),
        ("The dose is not 5 mg.", "contradicted"),
        ("The bridge opened in 1978 [2].", "supported"),
        ("The bridge opened in 1987.", "not_found"),
        ("The bridge carries about 2.1 million cars a year.", "supported"),
        ("Five percent are electric.", "supported"),
        ("50% are electric.", "not_found"),
        ("Elephants are pink.", "not_found"),
        ("Yes.", "unverifiable"),
        ("It is.", "unverifiable"),
    ],
)
def test_words_numbers_and_negation_decide(claim: str, outcome: str) -> None:
    assert judged(claim).outcome == outcome


def test_the_evidence_is_the_supporting_sentence_of_the_original_text() -> None:
    evidence = judged("The dose is 5 mg.")
    assert evidence.passage_id == "drug"
    assert evidence.span is not None
    assert PASSAGES[0].text[evidence.span.start : evidence.span.end] == "The dose for adults is 5 mg a day."


def test_a_missing_number_is_named_and_costs_the_score() -> None:
    evidence = judged("The bridge opened in 1987.")
    assert "1987" in evidence.note
    assert evidence.score is not None
    assert evidence.score < BASELINE_THRESHOLD


def test_no_passage_is_no_support() -> None:
    for passages in ([], [Passage(id="empty", text=" \n")]):
        evidence = judged("Paris is big.", passages)
        assert (evidence.outcome, evidence.score, evidence.passage_id) == ("not_found", 0.0, None)


def test_a_fact_at_the_end_of_a_text_without_stops_is_found() -> None:
    passage = Passage(id="table", text=" ".join(f"row{i} cell{i}" for i in range(1000)) + " zinc melts early")
    evidence = judged("Zinc melts early", [passage])
    assert evidence.outcome == "supported"
    assert evidence.span is not None
    assert passage.text[evidence.span.start : evidence.span.end].endswith("zinc melts early")


def test_text_without_spaces_is_compared_by_pairs_of_letters() -> None:
    passages = [Passage(id="zh", text="巴黎是法国的首都。伦敦是英国的首都。")]
    assert judged("法国的首都是巴黎。", passages).outcome == "supported"
    assert judged("东京在日本。", passages).outcome == "not_found"


def test_irrelevant_passages_change_no_support() -> None:
    noise = [Passage(id=f"n{i}", text=f"Nothing about it, number {i}.") for i in range(50)]
    assert judged("The dose is 5 mg.", [*PASSAGES, *noise]) == judged("The dose is 5 mg.")


def test_it_cannot_see_who_did_what_to_whom() -> None:
    """The known limit of any word count: the reason why it is called a baseline."""
    assert judged("Dino bought Rex.", [Passage(id="p", text="Rex bought Dino.")]).outcome == "supported"


def test_one_evidence_a_claim_in_order() -> None:
    claims = [Claim(text=t, span=Span(start=0, end=1)) for t in ("Elephants fly.", "The dose is 5 mg.")]
    assert [e.claim for e in LexicalAligner().align(claims, PASSAGES)] == claims


def test_it_is_an_aligner_with_its_settings_in_the_fingerprint() -> None:
    aligner = LexicalAligner(supported_above=0.5)
    assert isinstance(aligner, Aligner)
    assert aligner.fingerprint()["supported_above"] == 0.5
    assert aligner.fingerprint() != LexicalAligner().fingerprint()


@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
def test_a_threshold_out_of_range_is_refused(value: float) -> None:
    with pytest.raises(InvalidValueError):
        LexicalAligner(supported_above=value)


@given(st.text(max_size=60), st.text(max_size=80))
def test_scores_stay_in_range_and_spans_in_the_passage(claim: str, text: str) -> None:
    evidence = judged(claim, [Passage(id="p", text=text)])
    assert evidence.score is not None
    assert 0 <= evidence.score <= 1
    assert evidence.span is None or evidence.span.end <= len(text)


@given(st.sampled_from(["The dose is 5 mg.", "Paris has three airports.", "It never sorts.", "巴黎是首都。"]))
def test_a_sentence_of_the_passage_is_fully_supported(sentence: str) -> None:
    evidence = judged(sentence, [Passage(id="p", text=f"Something else. {sentence}")])
    assert (evidence.outcome, evidence.score) == ("supported", 1.0)
