"""Whether an answer is correct: it holds a gold answer, or an aligner says that it means one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from ragguard.errors import InvalidValueError
from ragguard.preference.answer_words import ARTICLES, answer_words
from ragguard.preference.records import Outcome, ProbeQuestion
from ragguard.protocols import Aligner
from ragguard.types import Claim, Passage, Span

Judge: TypeAlias = Callable[[str, ProbeQuestion], Outcome]
"""Decides what an answer to a question is worth."""

_YES_NO = {"yes": "yes", "no": "no", "true": "yes", "false": "no"}
_SOURCE = r"(?:passages?|texts?|contexts?|documents?|articles?|paragraphs?|information|sources?|excerpts?)"
_SAYS = (
    r"(?:mention|say|state|specify|provide|contain|include|give|tell|indicate|answer|discuss|address|name)"
)
_TOLD = r"(?:given|provided|mentioned|stated|specified|known|available|found)"
_REFUSALS = re.compile(
    r"\b(?:i|we)\s*(?:'m|\s+am|\s+are|'re)?\s*(?:really\s+|just\s+)?"
    r"(?:do\s*n[o']t|don't|cannot|can\s*not|can't|could\s*n[o']t|couldn't|am\s+not|not|unable|was\s+unable)\b"
    r"[^.;!?]{0,40}?\b(?:know|sure|certain|able|find|answer|tell|determine|say|have|unable)\b"
    r"|\bi(?:'m| am) (?:unable|not sure|sorry)\b"
    # "the passage does not mention ...", "the text isn't clear"
    rf"|\b{_SOURCE}\b[^.;!?]{{0,40}}?(?:\b(?:does|do|did|is|are|was|were)\s*(?:not|n't)\b)[^.;!?]{{0,30}}?"
    rf"\b(?:{_SAYS}(?:s|d|ed)?|{_TOLD}|clear|enough)\b"
    # "it is not mentioned in the passage", "the date is not known."; not "was not given food in 1812"
    rf"|(?:\b(?:not|never|nowhere)|n't)\s+(?:been\s+|explicitly\s+|clearly\s+)?{_TOLD}"
    rf"\s*(?:\b(?:in|by|from)\b[^.;!?]{{0,20}}?\b{_SOURCE}\b|[.;!?]|$)"
    r"|\b(?:no|not\s+enough|insufficient)\s+(?:\w+\s+)?(?:information|mention|answer|context|details?)\b"
    r"|^\W*(?:(?:the\s+)?answer(?:\s+is|:)\s*)?(?:unknown|unanswerable|n/?a|none|not\s+known|no\s+idea)\W*$",
    re.IGNORECASE,
)
_PARTS = re.compile(r"(?<=[.!?;])\s+|\n+|,?\s+\b(?:but|however|though|although)\b,?", re.IGNORECASE)
_NEGATORS = frozenset({"not", "never", "neither", "nor", "isnt", "wasnt", "arent", "werent", "cannot"})
_NEGATED_WITHIN = 2
_OPENERS = re.compile(r"^\W*(?:(?:the\s+)?(?:short\s+)?answer\s*(?:is|:)|answer:)\s*", re.IGNORECASE)
_LENIENT_SHARE = 0.5


def is_correct(answer: str, golds: Sequence[str]) -> bool:
    """Return whether an answer holds one of the gold answers; see `outcome_of`.

    Example:
        >>> is_correct("The first time was in 2007.", ["2,007"])
        True
        >>> is_correct("The passage does not mention Paris.", ["Paris"])
        False

    Raises:
        InvalidValueError: there is no gold answer, or one is empty.
    """
    return outcome_of(answer, golds) == "correct"


def outcome_of(answer: str, golds: Sequence[str]) -> Outcome:
    """Return "correct", "abstain" or "wrong", by normalised containment.

    The words of a gold answer must stand in the answer one after another, as whole
    words and not right behind a negation; how much else it says does not matter.
    A gold yes or no must be the answer's first word. Sentences that say that nothing
    is known are left out before, so that what they name is no answer; an answer of
    such sentences alone abstains.

    Args:
        answer: of the reader.
        golds: the gold answer and its aliases; any is correct.

    Raises:
        InvalidValueError: there is no gold answer, or one is empty.
    """
    _require_golds(golds)
    plain = answer.replace("’", "'")
    parts = [part for part in _PARTS.split(plain) if part and answer_words(part)]
    told = [part for part in parts if not _REFUSALS.search(part)]
    if any(answer_words(gold) and same_wording(answer, gold) for gold in golds):
        return "correct"  # "None" can be an answer
    for gold in golds:
        wanted = _YES_NO.get(" ".join(answer_words(gold)))
        if wanted is not None:
            if told and parts[0] == told[0] and _first_word(told[0]) == wanted:
                return "correct"
        elif any(_holds(part, gold) for part in told) or _holds_sign(answer, gold):
            return "correct"
    return "wrong" if told else "abstain"


def judge_answer(answer: str, question: ProbeQuestion) -> Outcome:
    """Return the outcome by containment of one of the question's gold answers."""
    return outcome_of(answer, question.answers)


class AlignerJudge:
    """Decides by meaning: the answer, with its question, is a claim against each gold answer.

    For answers that people put in many ways. Abstentions and yes or no are decided
    as by containment, which knows them better. What "question answer" entails is
    not what aligners are trained on: check a sample by hand, and choose the
    threshold on it.

    Args:
        aligner: judges.
        threshold: the least support of a correct answer, in (0, 1].
    """

    def __init__(self, aligner: Aligner, *, threshold: float = 0.5) -> None:
        if not 0 < threshold <= 1:
            raise InvalidValueError(f"threshold must lie in (0, 1], got {threshold}")
        self._aligner, self._threshold = aligner, threshold

    def __call__(self, answer: str, question: ProbeQuestion) -> Outcome:
        """Return the outcome of an answer."""
        contained = outcome_of(answer, question.answers)
        yes_no = any(" ".join(answer_words(gold)) in _YES_NO for gold in question.answers)
        if contained == "abstain" or yes_no or not answer.strip():
            return contained
        text = f"{question.text} {answer}"
        claim = Claim(text=text, span=Span(start=0, end=len(text)))
        golds = [
            Passage(id=f"gold-{number}", text=f"{question.text} {gold}")
            for number, gold in enumerate(question.answers)
        ]
        # One gold at a time: together they would be read as one text.
        for gold in golds:
            score = self._aligner.align([claim], [gold], question=question.text)[0].score
            if score is not None and score >= self._threshold:
                return "correct"
        return "wrong"


def same_wording(one: str, other: str) -> bool:
    """Return whether two answers differ in nothing but case, articles, punctuation and spelling of numbers."""
    return answer_words(one) == answer_words(other)


def shares_gold(answer: str, golds: Sequence[str]) -> bool:
    """Return whether a wrong answer still has half of the words of a gold answer of several words."""
    words = set(answer_words(answer))
    for gold in golds:
        wanted = set(answer_words(gold))
        if len(wanted) > 1 and len(wanted & words) >= _LENIENT_SHARE * len(wanted):
            return True
    return False


def _require_golds(golds: Sequence[str]) -> None:
    if isinstance(golds, str):
        raise InvalidValueError("gold answers are a list", hint='e.g. ["2007"]')
    if not golds or any(not gold.strip() for gold in golds):
        raise InvalidValueError(
            "a question has no gold answer, or an empty one", hint="an empty answer would be in every answer"
        )


def _first_word(text: str) -> str | None:
    words = answer_words(_OPENERS.sub("", text))
    return _YES_NO.get(words[0]) if words else None


def _holds(part: str, gold: str) -> bool:
    wanted = answer_words(gold)
    if not wanted:
        return False
    # A band called The The is looked for with its articles.
    words = answer_words(part, articles="keep" if ARTICLES.issuperset(wanted) else "drop")
    for at in range(len(words) - len(wanted) + 1):
        if words[at : at + len(wanted)] == wanted and not _negated(words, at):
            return True
    return False


def _negated(words: Sequence[str], at: int) -> bool:
    before = words[max(0, at - _NEGATED_WITHIN) : at]
    return bool(_NEGATORS & set(before)) and "only" not in before


def _holds_sign(answer: str, gold: str) -> bool:
    """A gold answer without any word ("+", "->") is looked for as it is."""
    return not answer_words(gold) and gold.strip() in answer
