from collections.abc import Sequence

import pytest

from ragguard.errors import InvalidValueError
from ragguard.preference.correct import AlignerJudge, is_correct, outcome_of, same_wording, shares_gold
from ragguard.preference.records import Outcome, ProbeQuestion
from ragguard.types import Claim, Evidence, Passage


@pytest.mark.parametrize(
    ("answer", "golds", "outcome"),
    [
        # verbosity is no fault
        ("2007", ["2007"], "correct"),
        ("The first time he went to the finals was in 2007.", ["2007"], "correct"),
        # aliases
        ("It was JFK.", ["John F. Kennedy", "JFK"], "correct"),
        ("It was Nixon.", ["John F. Kennedy", "JFK"], "wrong"),
        # whole words
        ("The party began.", ["art"], "wrong"),
        ("in 12007", ["2007"], "wrong"),
        # numbers
        ("2,007 people", ["2007"], "correct"),
        ("twenty-one", ["21"], "correct"),
        ("It is 35.", ["3.5"], "wrong"),
        ("about 5 million", ["5"], "wrong"),
        # yes and no
        ("Yes, it is.", ["yes"], "correct"),
        ("No.", ["yes"], "wrong"),
        ("It is known that yes men exist.", ["yes"], "wrong"),
        ("I would say no one knows.", ["no"], "wrong"),
        ("Answer: no", ["no"], "correct"),
        ("That is false. Yes.", ["yes"], "wrong"),
        ("No information is given.", ["no"], "abstain"),
        # refusals
        ("I don't know.", ["Paris"], "abstain"),
        ("I’m sorry, I can’t answer this question.", ["Paris"], "abstain"),
        ("The passage does not mention Paris.", ["Paris"], "abstain"),
        ("Paris is not mentioned in the text.", ["Paris"], "abstain"),
        ("Unknown. The given information does not mention Paris.", ["Paris"], "abstain"),
        ("There is no information about Paris.", ["Paris"], "abstain"),
        ("I don't know, but it was Paris.", ["Paris"], "correct"),
        ("The soldiers were not given food in 1812.", ["1812"], "correct"),
        ("The dose is not known to exceed 5 mg.", ["5 mg"], "correct"),
        ("None", ["none"], "correct"),
        ("", ["Paris"], "abstain"),
        ("...", ["Paris"], "abstain"),
        # negation
        ("It is not Paris but Lyon.", ["Paris"], "wrong"),
        ("Not only Paris but Lyon.", ["Paris"], "correct"),
        # gold answers that are nothing but articles or signs
        ("They were The The.", ["The The"], "correct"),
        ("The operator is +.", ["+"], "correct"),
        ("The operator is -.", ["+"], "wrong"),
    ],
)
def test_outcomes(answer: str, golds: list[str], outcome: Outcome) -> None:
    assert outcome_of(answer, golds) == outcome
    assert is_correct(answer, golds) == (outcome == "correct")


@pytest.mark.parametrize("golds", [[], [""], ["Paris", "  "], "Paris"])
def test_an_empty_gold_answer_is_an_error(golds: Sequence[str]) -> None:
    with pytest.raises(InvalidValueError):
        is_correct("Paris", golds)


def test_wording_and_shared_words() -> None:
    assert same_wording("The year 2,007.", "year 2007")
    assert not same_wording("2007", "in 2007")
    assert shares_gold("Duke William", ["William, Duke of Normandy"])
    assert not shares_gold("Harold", ["William, Duke of Normandy"])
    assert not shares_gold("the year", ["2007"])


class Synonyms:
    """Takes two texts as one where they differ by known synonyms alone."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, tuple[str, ...]]] = []

    def align(
        self, claims: Sequence[Claim], passages: Sequence[Passage], /, *, question: str = ""
    ) -> list[Evidence]:
        self.seen += [(claim.text, tuple(p.text for p in passages)) for claim in claims]
        texts = [p.text.replace("car", "automobile") for p in passages]
        return [Evidence(claim=c, score=0.9 if c.text in texts else 0.1) for c in claims]

    def fingerprint(self) -> dict[str, str]:
        return {"aligner": "synonyms"}


def test_an_aligner_judges_the_question_with_its_answer_against_each_gold_answer() -> None:
    aligner = Synonyms()
    judge = AlignerJudge(aligner)
    question = ProbeQuestion(id="q", text="What did he drive?", answers=("lorry", "car"))
    assert judge("automobile", question) == "correct"
    assert judge("bicycle", question) == "wrong"
    assert aligner.seen[0] == ("What did he drive? automobile", ("What did he drive? lorry",))


def test_an_aligner_is_not_asked_about_abstentions_and_yes_or_no() -> None:
    aligner = Synonyms()
    judge = AlignerJudge(aligner)
    assert judge("I don't know.", ProbeQuestion(id="q", text="What?", answers=("car",))) == "abstain"
    assert judge("Yes.", ProbeQuestion(id="q", text="Is it?", answers=("yes",))) == "correct"
    assert aligner.seen == []


def test_a_threshold_out_of_range_is_refused() -> None:
    with pytest.raises(InvalidValueError):
        AlignerJudge(Synonyms(), threshold=0.0)
