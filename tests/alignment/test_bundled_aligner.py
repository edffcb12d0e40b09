"""What the aligner that comes with ragguard says of sentences: by the bundled model, not by a stub."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ragguard.alignment.aligner import AlignmentAligner
from ragguard.alignment.claims import split_claims
from ragguard.alignment.guard import ConsistencyGuard
from ragguard.models.pair_model import model_folder
from ragguard.types import Action, Evidence, Passage, Reason, Stage, Turn

BRIDGE = (
    "The Harbour Bridge opened in 1978 after six years of work. It is 300 metres long and carries four lanes. "
    "The engineer Maria Lund designed it. In the spring of 1994 a flood closed it for nine days."
)
NUMBERS = (
    "Revenue was $143 billion. The three tests scored 85%, 86% and 89.4%. About 2,100,000 people live in the region. "
    "Growth went from 4% to 6%."
)
DEAL = "Rex bought Dino in 2019 after Dino's chair resigned; Dino did not buy Rex."


@pytest.fixture(scope="module")
def aligner() -> AlignmentAligner:
    made = AlignmentAligner()
    made.warm_up()
    return made


def judged(
    aligner: AlignmentAligner, answer: str, *texts: str, question: str = "", more: Sequence[Passage] = ()
) -> list[Evidence]:
    passages = [*(Passage(id=f"p{i}", text=text) for i, text in enumerate(texts)), *more]
    return aligner.align(split_claims(answer), passages, question=question)


def outcome(aligner: AlignmentAligner, claim: str, *texts: str, question: str = "") -> str:
    (found,) = judged(aligner, claim, *texts, question=question)
    return found.outcome


def test_the_bundled_model_brings_its_combiner(aligner: AlignmentAligner) -> None:
    folder = model_folder("bundled")
    assert folder is not None
    assert (folder / "combiner.json").exists()
    assert len(aligner.combiner.names) > 3
    assert 0 < aligner.default_threshold < 1


@pytest.mark.parametrize(
    "claim",
    [
        "The Harbour Bridge opened in 1978.",
        "Maria Lund designed the bridge.",
        "The bridge is 300 metres long.",
        "A flood closed the bridge for nine days in 1994.",
        pytest.param(
            "The bridge was opened to the public in 1978.",
            marks=pytest.mark.xfail(
                reason="under the cautious threshold: the source does not name the public"
            ),
        ),
    ],
)
def test_what_a_passage_says_is_supported(aligner: AlignmentAligner, claim: str) -> None:
    assert outcome(aligner, claim, BRIDGE) == "supported"


@pytest.mark.parametrize(
    "claim",
    [
        "The Harbour Bridge opened in 1987.",
        "The bridge is 400 metres long.",
        "Maria Lund painted the bridge.",
        "The bridge was never closed.",
        "The bridge carries six lanes.",
        "The bridge is the longest in the country.",
        "Elephants are pink.",
    ],
)
def test_what_no_passage_says_is_not(aligner: AlignmentAligner, claim: str) -> None:
    assert outcome(aligner, claim, BRIDGE) != "supported"


@pytest.mark.parametrize("text", [BRIDGE, NUMBERS, DEAL])
def test_a_sentence_supports_itself(aligner: AlignmentAligner, text: str) -> None:
    for found in judged(aligner, text, text):
        assert found.outcome == "supported", found.note


@pytest.mark.parametrize(
    ("claim", "supported"),
    [
        ("Revenue was $143 billion.", True),
        ("Revenue was $185 billion.", False),
        ("Revenue was $143 million.", False),
        ("About 2.1 million people live in the region.", True),
        ("999 million people live in the region.", False),
        pytest.param(
            "Growth rose by two percentage points.",
            True,
            marks=pytest.mark.xfail(reason="the check agrees, the model does not: just under the threshold"),
        ),
    ],
)
def test_figures_are_compared(aligner: AlignmentAligner, claim: str, supported: bool) -> None:
    assert (outcome(aligner, claim, NUMBERS) == "supported") is supported


@pytest.mark.parametrize(
    "claim", ["Dino bought Rex.", "Rex's chair resigned.", "Rex bought Dino before the chair resigned."]
)
def test_the_same_words_with_another_meaning_are_not_supported(aligner: AlignmentAligner, claim: str) -> None:
    assert outcome(aligner, claim, DEAL) != "supported"


def test_one_lie_among_true_sentences_is_the_one_that_fails(aligner: AlignmentAligner) -> None:
    lie = "The Harbour Bridge opened in 1987."
    answer = f"Maria Lund designed the bridge. {lie} The bridge is 300 metres long."
    found = judged(aligner, answer, BRIDGE)
    assert [e.claim.text for e in found if e.claim and e.outcome != "supported"] == [lie]
    (one,) = [e for e in found if e.outcome != "supported"]
    assert one.failing is not None
    assert answer[one.failing.start : one.failing.end] == "1987"
    assert one.span is not None
    assert "1978" in BRIDGE[one.span.start : one.span.end]


def test_a_fact_at_the_end_of_a_long_table_is_found(aligner: AlignmentAligner) -> None:
    table = " ".join(f"item {i} price {i * 7}" for i in range(500)) + " and the bridge opened in 1978"
    (found,) = judged(aligner, "The bridge opened in 1978.", table)
    assert found.outcome == "supported"
    assert found.span is not None
    assert found.span.end > 0.9 * len(table)


def test_halves_in_two_passages_support_together(aligner: AlignmentAligner) -> None:
    texts = ["Ada Berg founded the company Acme.", "Copper is red.", "The company Acme is based in Oslo."]
    (found,) = judged(aligner, "The company founded by Ada Berg is based in Oslo.", *texts)
    assert found.outcome == "supported"
    assert {"p0", "p2"} <= {q.passage_id for q in found.quotations}


def test_passages_beside_the_point_change_little(aligner: AlignmentAligner) -> None:
    more = [
        Passage(id=f"x{i}", text=f"Whales number {i + 3000} swim far. They sing at night.")
        for i in range(100)
    ]
    answer = "The Harbour Bridge opened in 1978. The bridge is the longest in the country."
    for one, other in zip(
        judged(aligner, answer, BRIDGE), judged(aligner, answer, BRIDGE, more=more), strict=True
    ):
        assert other.score == pytest.approx(one.score, abs=0.05)
        assert other.outcome == one.outcome


def test_a_short_answer_is_judged_with_its_question(aligner: AlignmentAligner) -> None:
    question = "Who designed the Harbour Bridge?"
    assert outcome(aligner, "Maria Lund.", BRIDGE, question=question) == "supported"
    assert outcome(aligner, "Peter Lund.", BRIDGE, question=question) != "supported"


def test_a_pronoun_is_judged_with_what_it_stands_for(aligner: AlignmentAligner) -> None:
    found = judged(aligner, "The Harbour Bridge opened in 1978. It is 300 metres long.", BRIDGE)
    assert [e.outcome for e in found] == ["supported", "supported"]


def test_another_language_is_judged_and_marked(aligner: AlignmentAligner) -> None:
    (found,) = judged(aligner, "大桥于1978年通车。", "大桥于1978年通车。")
    assert "uncalibrated" in found.note


def test_an_early_exit_gives_the_same_outcomes(aligner: AlignmentAligner) -> None:
    early = AlignmentAligner(early_exit=True)
    answer = f"{BRIDGE} The bridge opened in 1987. Elephants are pink."
    texts = (BRIDGE, NUMBERS, DEAL)
    assert [e.outcome for e in judged(early, answer, *texts)] == [
        e.outcome for e in judged(aligner, answer, *texts)
    ]


@pytest.mark.parametrize(
    ("answer", "action", "reason"),
    [
        ("The Harbour Bridge opened in 1978.", Action.PASS, Reason.OK),
        ("The Harbour Bridge opened in 1987.", Action.REFUSE, Reason.CONTRADICTED_ANSWER),
        ("Elephants are pink.", Action.REFUSE, Reason.UNSUPPORTED_ANSWER),
    ],
)
def test_the_guard_by_default_judges_with_it(answer: str, action: Action, reason: Reason) -> None:
    turn = Turn(question="When did the bridge open?", passages=(Passage(id="b", text=BRIDGE),), answer=answer)
    found = ConsistencyGuard().check(turn, Stage.ANSWER)
    assert (found.action, found.reason, found.uncalibrated) == (action, reason, True)
