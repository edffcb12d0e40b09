"""From a reading and a score to what is said of a claim."""

from __future__ import annotations

import pytest

from ragguard.alignment.claims import split_claims
from ragguard.alignment.outcomes import Judged, evidence_of
from ragguard.alignment.reading import prepare, read_answers
from ragguard.types import Claim, Evidence, Passage, Span
from tests.alignment.word_engine import NO, OTHERWISE, YES, Says, WordEngine, keyed


def judged(
    answer: str, *texts: str, score: float, says: Says = lambda s, c: YES, question: str = ""
) -> Evidence:
    engine = WordEngine(says)
    passages = [Passage(id=f"p{i}", text=text) for i, text in enumerate(texts)]
    claims = split_claims(answer) or [Claim(text=answer, span=Span(start=0, end=len(answer)))]
    read = read_answers(engine, [prepare(engine, claims, passages, question=question, chunk_tokens=64)])[0]
    return evidence_of(Judged(claims[-1], read.claims[-1], score, 0.5), passages)


def quoted(found: Evidence, *texts: str) -> list[str]:
    return [texts[int(q.passage_id[1:])][q.span.start : q.span.end] for q in found.quotations]


TWO = ("The tower is old. The bridge opened in 1978.", "The bridge opened in 1978 after a flood.")


def test_a_supported_claim_names_the_sentence_and_nothing_that_fails() -> None:
    texts = ("The tower is old. The bridge opened in 1978.",)
    found = judged("The bridge opened in 1978.", *texts, score=0.9, says=keyed("1978"))
    assert (found.outcome, found.note, found.failing) == ("supported", "", None)
    assert quoted(found, *texts) == ["The bridge opened in 1978."]
    assert (found.passage_id, found.span) == ("p0", found.quotations[0].span)


def test_sentences_that_support_as_well_are_named_too() -> None:
    found = judged("The bridge opened in 1978.", *TWO, score=0.9, says=keyed("1978"))
    assert {q.passage_id for q in found.quotations} == {"p0", "p1"}


def test_a_claim_that_needs_two_sentences_names_both() -> None:
    texts = ("Ada founded Acme.", "Acme is based in Oslo.")
    found = judged("Ada's company Acme is in Oslo.", *texts, score=0.9, says=keyed("Ada", "Oslo"))
    assert sorted(quoted(found, *texts)) == sorted(texts)


def test_a_paraphrase_that_shares_no_word_is_quoted_by_its_chunk() -> None:
    texts = ("Oslo is cold.", "Lincoln died in 1865.")
    found = judged("He passed away.", *texts, score=0.9, says=lambda s, c: YES if "died" in s else NO)
    assert quoted(found, *texts) == ["Lincoln died in 1865."]


def test_a_score_at_the_threshold_supports_nothing() -> None:
    assert judged("The bridge opened in 1978.", *TWO, score=0.5).outcome == "not_found"


def test_a_figure_that_differs_is_named_on_both_sides() -> None:
    texts = ("The bridge is long and the bridge is red.", "It rained. The bridge opened in 1978.")
    answer = "The bridge opened in 1987."
    found = judged(answer, *texts, score=0.1, says=lambda s, c: NO)
    assert found.outcome == "contradicted"
    assert found.failing is not None
    assert answer[found.failing.start : found.failing.end] == "1987"
    assert quoted(found, *texts) == ["The bridge opened in 1978."]
    assert "1987" in found.note


def test_what_fails_is_a_place_of_the_answer_not_of_the_claim() -> None:
    answer = "The tower is old. The bridge opened in 1987."
    found = judged(answer, *TWO, score=0.1)
    assert found.failing is not None
    assert answer[found.failing.start : found.failing.end] == "1987"


def test_the_model_can_contradict_where_no_check_does() -> None:
    found = judged(
        "The ferry left without people.",
        "The ferry left with a crowd aboard.",
        score=0.1,
        says=lambda s, c: OTHERWISE,
    )
    assert (found.outcome, found.note) == ("contradicted", "the nearest sentences say otherwise")


def test_an_unsupported_claim_that_nothing_opposes_is_not_found() -> None:
    found = judged(
        "The ferry sank.", "The bridge is red. The ferry is blue.", score=0.1, says=lambda s, c: NO
    )
    assert (found.outcome, found.note) == ("not_found", "no sentence says so")


def test_a_supported_claim_that_another_passage_contradicts_is_conflicting() -> None:
    texts = ("The bridge opened in 1978.", "The bridge opened not before 1990.")

    def says(source: str, claim: str) -> tuple[float, float]:
        return YES if "1978" in source else OTHERWISE

    found = judged("The bridge opened in 1978.", *texts, score=0.9, says=says)
    assert found.outcome == "conflicting"
    assert set(quoted(found, *texts)) == set(texts), "both sides are named"


@pytest.mark.parametrize("answer", ["…", "  \n", "--", "It is.", "Yes."])
def test_a_claim_without_words_of_content_is_unverifiable(answer: str) -> None:
    found = judged(answer, *TWO, score=0.99)
    assert (found.outcome, found.score, found.quotations) == ("unverifiable", 0.0, ())


def test_a_question_gives_no_words_to_an_answer_of_dots() -> None:
    assert judged("…", *TWO, score=0.99, question="Did the bridge open in 1978?").outcome == "unverifiable"


def test_yes_is_judged_with_its_question() -> None:
    found = judged("Yes.", *TWO, score=0.99, question="Did the bridge open in 1978?")
    assert found.outcome == "supported"


@pytest.mark.parametrize(
    "claim", ["大桥于1978年通车。", "पुल 1978 में खुला।", "Die Brücke ist nicht mehr im Betrieb."]
)
def test_another_language_is_judged_and_marked_uncalibrated(claim: str) -> None:
    found = judged(claim, claim, score=0.9)
    assert found.outcome == "supported"
    assert "uncalibrated" in found.note
    assert found.quotations


def test_a_claim_too_long_to_be_read_is_unverifiable() -> None:
    long = "The report lists " + ", ".join(f"item number {i} of the year" for i in range(120)) + "."
    found = judged(long, long, score=0.99)
    assert (found.outcome, found.score) == ("unverifiable", 0.0)
    assert "too long" in found.note
