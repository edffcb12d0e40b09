"""Preference probing: what one passage does to one reader's answer.

The reader answers a question without any passage and then with one passage at a
time, from several ranks of the pool. Wrong without and correct with a passage: it
is aligned. Correct without and wrong with it: unaligned. Otherwise it made no
difference, which is kept as well, as the tier between the two.

References:
    Dong, Zhu, Zhang, Wang, Wen and Dou (2025), "Understand What LLM Needs: Dual
    Preference Alignment for Retrieval-Augmented Generation" (categories and ranks);
    gains of several samples and reasons are ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ragguard.errors import DuplicateIdError, InvalidValueError
from ragguard.preference.asking import Budget, Progress, Spent, ask_all
from ragguard.preference.correct import Judge, judge_answer, same_wording, shares_gold
from ragguard.preference.probe_log import AnswerLog
from ragguard.preference.readers import Ask, Reader
from ragguard.preference.records import Category, Outcome, PreferenceExample, ProbeQuestion, Why
from ragguard.types import Passage

RANKS = (1, 25, 50, 100)

Pool: TypeAlias = Callable[[str], Sequence[Passage]] | Mapping[str, Sequence[Passage]]
"""A retriever of the question's text, or ranked passages by question id; best first."""


@dataclass(frozen=True)
class Probed:
    """What probing found.

    Attributes:
        reader: id of the reader.
        examples: one a question and passage for which every answer is there.
        closed: by question id, the share of correct answers without passages.
        spent: calls, tokens and cost; `spent.left` answers are still missing.
    """

    reader: str
    examples: list[PreferenceExample]
    closed: Mapping[str, float]
    spent: Spent

    @property
    def complete(self) -> bool:
        """True when no answer is missing."""
        return self.spent.left == 0

    @property
    def counts(self) -> dict[str, int]:
        """How many examples are of each category."""
        return dict(Counter(example.category for example in self.examples))


def probe_ranks(size: int, ranks: Sequence[int] = RANKS) -> list[int]:
    """Return the ranks to probe in a pool of that size, ascending, each once.

    A pool that does not reach the last rank is probed at the same quantiles: its
    first passage, its last, and proportionally between.

    Example:
        >>> probe_ranks(646), probe_ranks(11), probe_ranks(2)
        ([1, 25, 50, 100], [1, 3, 6, 11], [1, 2])
    """
    wanted = sorted(set(ranks))
    if not wanted or wanted[0] < 1:
        raise InvalidValueError(
            "ranks must be at least 1, and one at least is needed", hint="e.g. 1, 25, 50, 100"
        )
    if size >= wanted[-1]:
        return wanted
    if size <= len(wanted):
        return list(range(1, size + 1))
    scale = (size - 1) / (wanted[-1] - 1)
    found: list[int] = []
    for place, rank in enumerate(wanted):
        # Rounding may put two on one rank; as many passages as asked for are probed all the same.
        least = found[-1] + 1 if found else 1
        found.append(min(max(least, 1 + round((rank - 1) * scale)), size - (len(wanted) - 1 - place)))
    return found


def probe(
    reader: Reader,
    questions: Sequence[ProbeQuestion],
    pool: Pool,
    *,
    ranks: Sequence[int] = RANKS,
    samples: int = 1,
    margin: float = 0.5,
    judge: Judge | None = None,
    log: AnswerLog | None = None,
    budget: Budget | None = None,
    progress: Progress | None = None,
) -> Probed:
    """Return what single passages do to the reader's answers.

    Gold passages of a question that the pool holds at other ranks are probed too:
    it is mostly there that a passage can help. A passage that occurs twice in a
    pool is probed at its first place.

    Args:
        questions: with their answers; ids differ.
        pool: what the passages are taken from.
        ranks: in the pool, from 1.
        samples: answers a condition, at least 1; more than one needs a reader that
            is not deterministic.
        margin: the least change of P(correct) that makes a passage aligned or
            unaligned, in (0, 1].
        judge: decides whether an answer is correct; containment of a gold answer by default.
        log: keeps the answers; with a file, an interrupted run goes on where it was.
        budget: where it ends, the examples that are complete are returned.
        progress: told after every answer.

    Raises:
        InvalidValueError: a setting is out of its range, or a gold answer is empty.
        DuplicateIdError: two questions have one id.
        GenerationError: the reader failed; what it had answered is in the log.
    """
    if samples < 1 or not 0 < margin <= 1:
        raise InvalidValueError("samples must be at least 1 and margin lie in (0, 1]")
    if len({q.id for q in questions}) < len(questions):
        raise DuplicateIdError("two questions have one id", hint="give every question its own")
    decide = judge or judge_answer
    for question in questions:
        decide("", question)  # an empty gold answer is found before anything is paid for
    kept = log if log is not None else AnswerLog()
    shown = {q.id: _chosen(q, _ranked(pool, q), ranks) for q in questions}
    asks = [
        Ask(q.text, passages, sample)
        for q in questions
        for passages in ((), *((p.text,) for _, p in shown[q.id]))
        for sample in range(samples)
    ]
    spent = ask_all(reader, asks, log=kept, budget=budget, progress=progress)
    examples: list[PreferenceExample] = []
    closed: dict[str, float] = {}
    for question in questions:
        without = _answers(reader, kept, question.text, (), samples)
        if without is None:
            continue
        judged = [(answer, decide(answer, question)) for answer in without]
        closed[question.id] = _correct(judged)
        for rank, passage in shown[question.id]:
            answers = _answers(reader, kept, question.text, (passage.text,), samples)
            if answers is not None:
                after = [(answer, decide(answer, question)) for answer in answers]
                examples.append(_example(reader, question, rank, passage, judged, after, margin))
    return Probed(reader.id, examples, closed, spent)


_Judged: TypeAlias = Sequence[tuple[str, Outcome]]


def _example(
    reader: Reader,
    question: ProbeQuestion,
    rank: int,
    passage: Passage,
    before: _Judged,
    after: _Judged,
    margin: float,
) -> PreferenceExample:
    gain = _correct(after) - _correct(before)
    category = category_of(_correct(before), _correct(after), margin=margin)
    return PreferenceExample(
        query_id=question.id,
        query=question.text,
        passage_id=passage.id,
        passage=passage.text,
        category=category,
        gain=gain,
        reason=_reason(category, question, before, after),
        n=len(after),
        reader=reader.id,
        rank=rank,
        retriever_score=passage.score,
        cluster=question.cluster,
        split=question.split,
    )


def category_of(before: float, after: float, *, margin: float = 0.5) -> Category:
    """Return what P(correct) without and with a passage say about it.

    Example:
        >>> category_of(0.0, 1.0), category_of(1.0, 0.0), category_of(1.0, 0.75), category_of(0.0, 0.25)
        ('aligned', 'unaligned', 'both_correct', 'both_wrong')
    """
    gain = after - before
    # Thirds and fifths are no exact floats: a gain of 3/5 - 1/10 must reach a margin of 1/2.
    if gain >= margin - 1e-9:
        return "aligned"
    if gain <= -margin + 1e-9:
        return "unaligned"
    return "both_correct" if before + after >= 1 else "both_wrong"


def _reason(category: Category, question: ProbeQuestion, before: _Judged, after: _Judged) -> Why:
    if category == "unaligned":
        failed = [(answer, outcome) for answer, outcome in after if outcome != "correct"]
        abstained = sum(outcome == "abstain" for _, outcome in failed)
        if 2 * abstained >= len(failed):
            return "abstained"
        partly = sum(o == "wrong" and shares_gold(a, question.answers) for a, o in failed)
        return "format_only" if 2 * partly > len(failed) - abstained else "contradicted"
    if category == "both_correct" and not any(same_wording(a, b) for a, _ in before for b, _ in after):
        return "format_only"
    return ""


def _correct(judged: _Judged) -> float:
    return sum(outcome == "correct" for _, outcome in judged) / len(judged)


def _answers(
    reader: Reader, log: AnswerLog, question: str, passages: tuple[str, ...], samples: int
) -> list[str] | None:
    found = [log.get(reader, Ask(question, passages, sample)) for sample in range(samples)]
    known = [answer for answer in found if answer is not None]
    return known if len(known) == samples else None


def _ranked(pool: Pool, question: ProbeQuestion) -> list[Passage]:
    if isinstance(pool, Mapping):
        if question.id not in pool:
            raise InvalidValueError(f"the pool has no passages for question {question.id!r}")
        found = pool[question.id]
    else:
        found = pool(question.text)
    first: dict[str, Passage] = {}
    for passage in found:
        first.setdefault(passage.id, passage)
    return list(first.values())


def _chosen(
    question: ProbeQuestion, ranked: Sequence[Passage], ranks: Sequence[int]
) -> list[tuple[int, Passage]]:
    wanted = set(probe_ranks(len(ranked), ranks))
    gold = set(question.gold_passages)
    return [(rank, p) for rank, p in enumerate(ranked, 1) if rank in wanted or p.id in gold]
