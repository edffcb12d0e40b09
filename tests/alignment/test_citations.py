"""An answer with its sources."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ragguard.alignment.citations import citations, cite, is_supported
from ragguard.alignment.claims import split_claims
from ragguard.types import Evidence, Quotation, Span

ANSWER = "The dose is 5 mg. Elephants are pink. It is taken twice a day."


def place(passage: str, start: int, end: int) -> Quotation:
    return Quotation(passage_id=passage, span=Span(start=start, end=end))


def evidence(*said: tuple[str, float, list[Quotation]], answer: str = ANSWER) -> list[Evidence]:
    return [
        Evidence(claim=claim, score=score, outcome=outcome, quotations=tuple(quotations))
        for claim, (outcome, score, quotations) in zip(split_claims(answer), said, strict=True)
    ]


FOUND = evidence(
    ("supported", 0.9, [place("drug", 0, 17), place("leaflet", 5, 9)]),
    ("not_found", 0.1, [place("zoo", 0, 3)]),
    ("supported", 0.8, [place("leaflet", 20, 45)]),
)


def test_marks_stand_after_the_claims_and_sources_below() -> None:
    assert cite(ANSWER, FOUND) == (
        "The dose is 5 mg. [1][2] Elephants are pink. [unsupported] It is taken twice a day. [2]\n\n"
        "[1] drug, characters 0-17\n"
        "[2] leaflet, characters 5-9, 20-45"
    )


def test_citations_are_data_without_text() -> None:
    found = citations(FOUND)
    assert json.loads(json.dumps(found)) == found
    assert [one["marks"] for one in found] == [["1", "2"], ["unsupported"], ["2"]]
    assert found[0]["sources"][1] == {"passage_id": "leaflet", "start": 5, "end": 9}
    assert [ANSWER[one["start"] : one["end"]] for one in found] == [c.text for c in split_claims(ANSWER)]
    assert found[1]["sources"] == [{"passage_id": "zoo", "start": 0, "end": 3}]


@pytest.mark.parametrize("outcome", ["contradicted", "conflicting", "unverifiable"])
def test_no_score_outweighs_such_an_outcome(outcome: str) -> None:
    assert not is_supported(Evidence(score=1.0, outcome=outcome), 0.5)


@pytest.mark.parametrize(
    ("score", "threshold", "supported"),
    [(0.6, 0.5, True), (0.5, 0.5, False), (None, 0.0, False), (float("nan"), 0.0, False), (0.6, None, False)],
)
def test_support_is_a_score_above_the_threshold(score: Any, threshold: Any, supported: bool) -> None:
    assert is_supported(Evidence(score=score, outcome="not_found"), threshold) is supported


def test_a_threshold_decides_over_the_aligners_own_word() -> None:
    assert [one["marks"] for one in citations(FOUND, threshold=0.85)] == [
        ["1", "2"],
        ["unsupported"],
        ["unsupported"],
    ]


def test_an_aligner_that_names_one_place_is_cited_by_it() -> None:
    (claim,) = split_claims("It is stable.")
    one = Evidence(claim=claim, passage_id="sort", span=Span(start=1, end=4), outcome="supported")
    assert cite("It is stable.", [one]).endswith("[1] sort, characters 1-4")


def test_a_supported_claim_without_a_known_place_bears_no_mark() -> None:
    (claim,) = split_claims("It is stable.")
    assert cite("It is stable.", [Evidence(claim=claim, outcome="supported")]) == "It is stable."


def test_nothing_to_cite_leaves_the_answer_as_it_is() -> None:
    assert cite("Hello!\n", []) == "Hello!\n"
    assert cite("Hello!", [Evidence(outcome="supported")]) == "Hello!"


def test_marks_in_a_list_stand_on_their_lines() -> None:
    answer = "- The dose is 5 mg.\n- Elephants are pink."
    found = evidence(("supported", 0.9, [place("drug", 0, 3)]), ("not_found", 0.1, []), answer=answer)
    assert cite(answer, found).splitlines()[:2] == [
        "- The dose is 5 mg. [1]",
        "- Elephants are pink. [unsupported]",
    ]
